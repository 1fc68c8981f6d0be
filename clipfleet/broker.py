"""The broker beside Celery: is it there, what waits in it, which workers live, what happened.

Events are a capped Redis stream per run, a hint for whoever watches: losing one costs a glance
at the store, never a clip. The store says what is true.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import redis

from clipfleet.errors import BrokerError
from clipfleet.queues import QUEUES

EVENTS_KEPT = 100_000
REFUSALS_KEPT = 1000
_REFUSALS = "clipfleet:refused"
EVENTS_EXPIRE_S = 24 * 3600


@dataclass(frozen=True, kw_only=True)
class Event:
    """One step of one clip that a worker has done, or found done already.

    `step` is a queue's name; `status` a `records.Status` or, for trouble that passes, "waiting",
    with the name of its `error`. `windows` is how many the clip has, known from `prepare` on.
    """

    step: str
    clip_uuid: str
    status: str
    start_frame: int = -1
    windows: int = 0
    message: str = ""
    error: str = ""


_EVENT_FIELDS = {field.name for field in fields(Event)}


@dataclass(frozen=True, kw_only=True)
class WorkerBeat:
    """A live worker: its name, its queues, and how many messages it holds."""

    name: str
    queues: tuple[str, ...]
    holds: int


class Broker:
    """A connection to the broker for everything but tasks. Safe between threads, not forks."""

    def __init__(self, url: str) -> None:
        try:
            self.address = redact(url)
            self._redis = redis.Redis.from_url(
                url, socket_connect_timeout=5, socket_timeout=15, decode_responses=True
            )
        except ValueError:  # its words may repeat the password
            raise BrokerError(
                "this is no broker's address; give redis://:PASSWORD@HOST:PORT, and in the "
                "password write / as %2F, # as %23, ? as %3F, @ as %40, % as %25"
            ) from None

    def check(self) -> None:
        """Raises `BrokerError` unless the broker answers."""
        with self._errors():
            self._redis.ping()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Redis's errors as `BrokerError`."""
        try:
            yield
        except redis.RedisError as error:
            raise self._refused(error) from None

    def _refused(self, error: redis.RedisError) -> BrokerError:
        text = str(error)
        if isinstance(error, redis.AuthenticationError) or "NOAUTH" in text or "WRONGPASS" in text:
            return BrokerError(
                f"broker {self.address} refuses the password; "
                "put the right one in CLIPFLEET_BROKER or --broker (redis://:PASSWORD@HOST:PORT)"
            )
        return BrokerError(
            f"broker {self.address} cannot be reached ({type(error).__name__}); "
            "is it running, and is CLIPFLEET_BROKER or --broker right?"
        )

    def emit(self, run_id: str, event: Event) -> None:
        """Tell whoever watches the run. A broker that is away just now is no error."""
        key = _events_key(run_id)
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                entry: dict[Any, Any] = {"e": json.dumps(event.__dict__)}
                pipe.xadd(key, entry, maxlen=EVENTS_KEPT, approximate=True)
                pipe.expire(key, EVENTS_EXPIRE_S)
                pipe.execute()
        except redis.RedisError:
            return

    def events(self, run_id: str, after: str, *, wait_s: float) -> Iterator[tuple[str, Event]]:
        """Events of the run after the id `after` ("0" for all), waiting at most `wait_s`."""
        with self._errors():
            reply: Any = self._redis.xread(
                {_events_key(run_id): after}, count=1000, block=max(1, int(wait_s * 1000))
            )
        for _, entries in reply or []:
            for entry_id, entry in entries:
                said = json.loads(entry["e"])
                yield entry_id, Event(**{k: said[k] for k in _EVENT_FIELDS & said.keys()})

    def refuse(self, queue: str, reason: str, *, worker: str) -> None:
        """Note that a worker dropped a message that is none of ours. Without a broker, nothing."""
        entry: dict[Any, Any] = {"queue": queue, "reason": reason, "worker": worker}
        with contextlib.suppress(redis.RedisError):
            self._redis.xadd(_REFUSALS, entry, maxlen=REFUSALS_KEPT, approximate=True)

    def refusals(self) -> list[dict[str, str]]:
        """The messages that workers dropped, the latest first: when, queue, reason, worker."""
        with self._errors():
            entries: Any = self._redis.xrevrange(_REFUSALS, count=REFUSALS_KEPT)
        return [
            {"at": datetime.fromtimestamp(int(i.split("-")[0]) / 1000, UTC).isoformat(), **entry}
            for i, entry in entries
        ]

    def backlog(self) -> dict[str, int]:
        """Messages waiting in each queue, those that workers hold left out."""
        with self._errors(), self._redis.pipeline(transaction=False) as pipe:
            for queue in QUEUES:
                pipe.llen(queue)
            return dict(zip(QUEUES, pipe.execute(), strict=True))

    def messages(self) -> int:
        """All messages, waiting or held by a worker. Raises `BrokerError`."""
        with self._errors(), self._redis.pipeline(transaction=True) as pipe:
            for queue in QUEUES:
                pipe.llen(queue)
            pipe.hlen("unacked")  # kombu's hash of messages that workers hold
            return sum(pipe.execute())

    def beat(self, beat: WorkerBeat, *, expires_s: float) -> None:
        """Say that a worker lives. Raises `redis.RedisError`."""
        value = json.dumps({"queues": beat.queues, "holds": beat.holds})
        self._redis.set(f"clipfleet:worker:{beat.name}", value, px=int(expires_s * 1000))

    def workers(self) -> list[WorkerBeat]:
        """The workers that said so within their lease."""
        found = []
        with self._errors():
            for key in self._redis.scan_iter("clipfleet:worker:*", count=1000):
                value = self._redis.get(key)
                if value:
                    beat = json.loads(str(value))
                    name = str(key).removeprefix("clipfleet:worker:")
                    found.append(
                        WorkerBeat(name=name, queues=tuple(beat["queues"]), holds=beat["holds"])
                    )
        return sorted(found, key=lambda b: b.name)

    def restarts(self, task_id: str) -> int:
        """How often a task that came back was begun again. Raises `BrokerError`."""
        with self._errors():
            return int(str(self._redis.get(f"clipfleet:restarts:{task_id}") or 0))

    def count_restart(self, task_id: str, *, by: int = 1) -> None:
        """Count that a task which came back is begun again. Raises `BrokerError`."""
        with self._errors(), self._redis.pipeline(transaction=True) as pipe:
            pipe.incrby(f"clipfleet:restarts:{task_id}", by)
            pipe.expire(f"clipfleet:restarts:{task_id}", EVENTS_EXPIRE_S)
            pipe.execute()

    def last_event(self, run_id: str) -> str:
        """The id of the run's latest event, "0" where there is none: what comes after is new."""
        with self._errors():
            latest: Any = self._redis.xrevrange(_events_key(run_id), count=1)
        return str(latest[0][0]) if latest else "0"

    def close(self) -> None:
        """Let the connections go."""
        self._redis.close()


def redact(url: str) -> str:
    """The broker's address without its password, which may hold any character but @."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if rest else "(none)"


def _events_key(run_id: str) -> str:
    return f"clipfleet:events:{run_id}"
