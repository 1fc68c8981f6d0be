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

from clipfleet.broker_url import check_broker_url
from clipfleet.errors import BrokerError
from clipfleet.queues import ASSEMBLE, QUEUES

# Few, so that the broker's memory does not grow with a run; who misses some looks at the store.
EVENTS_KEPT = 2000
REFUSALS_KEPT = 1000
_REFUSALS = "clipfleet:refused"
EVENTS_EXPIRE_S = 24 * 3600
CANCELLED_S = 7 * 24 * 3600  # no message of the run is left by then


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
    """A live worker: its name, its queues, and how many messages it holds.

    `busy`: the share of the time since its last beat in which its engine had something to do; None
    for a worker without one.
    """

    name: str
    queues: tuple[str, ...]
    holds: int
    busy: float | None = None


class Broker:
    """A connection to the broker for everything but tasks. Safe between threads, not forks."""

    def __init__(self, url: str) -> None:
        """Raises `UsageError` where that is no broker's address."""
        check_broker_url(url)
        self.address = redact(url)
        self.client = redis.Redis.from_url(
            url, socket_connect_timeout=5, socket_timeout=15, decode_responses=True
        )

    def check(self) -> None:
        """Raises `BrokerError` unless the broker answers."""
        with self.errors():
            self.client.ping()

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
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
            with self.client.pipeline(transaction=False) as pipe:
                entry: dict[Any, Any] = {"e": json.dumps(event.__dict__)}
                pipe.xadd(key, entry, maxlen=EVENTS_KEPT, approximate=True)
                if event.step == ASSEMBLE:  # once a clip is enough
                    pipe.expire(key, EVENTS_EXPIRE_S)
                pipe.execute()
        except redis.RedisError:
            return

    def events(self, run_id: str, after: str, *, wait_s: float) -> Iterator[tuple[str, Event]]:
        """Events of the run after the id `after` ("0" for all), waiting at most `wait_s`."""
        # The broker looks ten times a second at whom it lets wait no longer, however short that is.
        wait_ms = int(wait_s * 1000) or None
        with self.errors():
            reply: Any = self.client.xread({_events_key(run_id): after}, count=1000, block=wait_ms)
        for _, entries in reply or []:
            for entry_id, entry in entries:
                said = json.loads(entry["e"])
                yield entry_id, Event(**{k: said[k] for k in _EVENT_FIELDS & said.keys()})

    def refuse(self, queue: str, reason: str, *, worker: str) -> None:
        """Note that a worker dropped a message that is none of ours. Without a broker, nothing."""
        entry: dict[Any, Any] = {"queue": queue, "reason": reason, "worker": worker}
        with contextlib.suppress(redis.RedisError):
            self.client.xadd(_REFUSALS, entry, maxlen=REFUSALS_KEPT, approximate=True)

    def refusals(self) -> list[dict[str, str]]:
        """The messages that workers dropped, the latest first: when, queue, reason, worker."""
        with self.errors():
            entries: Any = self.client.xrevrange(_REFUSALS, count=REFUSALS_KEPT)
        return [
            {"at": datetime.fromtimestamp(int(i.split("-")[0]) / 1000, UTC).isoformat(), **entry}
            for i, entry in entries
        ]

    def backlog(self) -> dict[str, int]:
        """Messages waiting in each queue, those that workers hold left out."""
        with self.errors(), self.client.pipeline(transaction=False) as pipe:
            for queue in QUEUES:
                pipe.llen(queue)
            return dict(zip(QUEUES, pipe.execute(), strict=True))

    def traffic(self) -> tuple[int, int]:
        """(messages that wait, messages that workers hold). Raises `BrokerError`."""
        with self.errors(), self.client.pipeline(transaction=True) as pipe:
            for queue in QUEUES:
                pipe.llen(queue)
            pipe.hlen("unacked")  # kombu's hash of messages that workers hold
            *waiting, held = pipe.execute()
        return sum(waiting), held

    def messages(self) -> int:
        """All messages, waiting or held by a worker. Raises `BrokerError`."""
        return sum(self.traffic())

    def beat(self, beat: WorkerBeat, *, expires_s: float) -> None:
        """Say that a worker lives. Raises `redis.RedisError`."""
        value = json.dumps({"queues": beat.queues, "holds": beat.holds, "busy": beat.busy})
        self.client.set(f"clipfleet:worker:{beat.name}", value, px=int(expires_s * 1000))

    def workers(self) -> list[WorkerBeat]:
        """The workers that said so within their lease."""
        found = []
        with self.errors():
            for key in self.client.scan_iter("clipfleet:worker:*", count=1000):
                value = self.client.get(key)
                if value:
                    beat = json.loads(str(value))
                    name = str(key).removeprefix("clipfleet:worker:")
                    found.append(
                        WorkerBeat(
                            name=name,
                            queues=tuple(beat["queues"]),
                            holds=beat["holds"],
                            busy=beat.get("busy"),
                        )
                    )
        return sorted(found, key=lambda b: b.name)

    def restarts(self, task_id: str) -> int:
        """How often a task that came back was begun again. Raises `BrokerError`."""
        with self.errors():
            return int(str(self.client.get(f"clipfleet:restarts:{task_id}") or 0))

    def count_restart(self, task_id: str, *, by: int = 1) -> None:
        """Count that a task which came back is begun again. Raises `BrokerError`."""
        with self.errors(), self.client.pipeline(transaction=True) as pipe:
            pipe.incrby(f"clipfleet:restarts:{task_id}", by)
            pipe.expire(f"clipfleet:restarts:{task_id}", EVENTS_EXPIRE_S)
            pipe.execute()

    def missed_events(self, run_id: str, after: str) -> bool:
        """Whether events after the id `after` may be gone unread."""
        with self.errors():
            oldest: Any = self.client.xrange(_events_key(run_id), count=1)
        return bool(oldest) and _order(str(oldest[0][0])) > _order(after)

    def last_event(self, run_id: str) -> str:
        """The id of the run's latest event, "0" where there is none: what comes after is new."""
        with self.errors():
            latest: Any = self.client.xrevrange(_events_key(run_id), count=1)
        return str(latest[0][0]) if latest else "0"

    def cancel(self, run_id: str) -> None:
        """Have workers drop what they get of the run. Raises `BrokerError`."""
        with self.errors():
            self.client.set(_cancelled_key(run_id), 1, ex=CANCELLED_S)

    def take_up_again(self, run_id: str) -> None:
        """Have workers do what they get of a run that was cancelled. Raises `BrokerError`."""
        with self.errors():
            self.client.delete(_cancelled_key(run_id))

    def cancelled(self, run_id: str) -> bool:
        """Whether the run is cancelled. Raises `BrokerError`."""
        with self.errors():
            return bool(self.client.exists(_cancelled_key(run_id)))

    def close(self) -> None:
        """Let the connections go."""
        self.client.close()


def redact(url: str) -> str:
    """The broker's address without its password, which may hold any character but @."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if rest else "(none)"


def _cancelled_key(run_id: str) -> str:
    return f"clipfleet:cancelled:{run_id}"


def _order(event_id: str) -> tuple[int, int]:
    milliseconds, _, number = event_id.partition("-")
    return int(milliseconds), int(number or 0)


def _events_key(run_id: str) -> str:
    return f"clipfleet:events:{run_id}"
