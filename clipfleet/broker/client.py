"""The broker beside Celery: is it there, what waits in it, which workers live, what happened.

Events are a capped Redis stream per run, a hint for whoever watches: losing one costs a glance
at the store, never a clip. The store says what is true.
"""

import base64
import contextlib
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import redis

from clipfleet.broker.beats import BEATS, WorkerBeat
from clipfleet.broker.connection import connect
from clipfleet.broker.url import check_broker_url
from clipfleet.errors import BrokerAway, BrokerError
from clipfleet.queues import ASSEMBLE, QUEUES

# Few, so that the broker's memory does not grow with a run; who misses some looks at the store.
EVENTS_KEPT = 2000
REFUSALS_KEPT = 1000
_REFUSALS = "clipfleet:refused"
_FLEET = "clipfleet:fleet"
_PIECE = 1000
# In an unacknowledged message, which is JSON within JSON, quotes are escaped.
_BODY = re.compile(r'"body\\?": ?\\?"([A-Za-z0-9+/=]*)')
_CLIP = re.compile(rb'"clip_uuid": ?"([0-9a-f-]{36})"')
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
# What we write, by its kind.
_KINDS = {
    "list": QUEUES,
    "hash": ("unacked", "clipfleet:fed:*"),
    "zset": ("unacked_index",),
    "stream": ("clipfleet:refused", "clipfleet:events:*"),
    "string": (
        *("clipfleet:worker:*", "clipfleet:feeder:*", "clipfleet:claim:*"),
        *("clipfleet:alive:*", "clipfleet:farewell:*", "clipfleet:restoring"),
        *("clipfleet:cancelled:*", _FLEET),
    ),
}


class Broker:
    """A connection to the broker for everything but tasks. Safe between threads, not forks."""

    def __init__(self, url: str) -> None:
        """Raises `UsageError` where that is no broker's address."""
        check_broker_url(url)
        self.address = redact(url)
        self._fleet = ""
        self.fleets: set[str] = set()  # all the names that it was seen to have
        # A connection that lay idle may be dead; a broker that is away is told of at once.
        self.client = connect(url, retries=1)

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
            if "WRONGTYPE" in str(error):
                with contextlib.suppress(redis.RedisError):
                    remove_wrong_types(self.client)
            raise self._refused(error) from None

    def _refused(self, error: redis.RedisError) -> BrokerError:
        text = str(error)
        if isinstance(error, redis.AuthenticationError) or "NOAUTH" in text or "WRONGPASS" in text:
            return BrokerError(
                f"broker {self.address} refuses the password; "
                "put the right one in CLIPFLEET_BROKER or --broker (redis://:PASSWORD@HOST:PORT)"
            )
        if isinstance(error, redis.exceptions.NoPermissionError):
            return BrokerError(
                f"broker {self.address} does not let its user do this ({text}); "
                "give the user the rights of deploy/broker-user.acl"
            )
        return BrokerAway(
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
        except redis.RedisError as error:
            self._begin_anew(key, error)

    def events(self, run_id: str, after: str, *, wait_s: float) -> Iterator[tuple[str, Event]]:
        """Events of the run after the id `after` ("0" for all), waiting at most `wait_s`.

        An unrecognised one comes as an event of no clip.
        """
        # The broker looks ten times a second at whom it lets wait no longer, however short that is.
        wait_ms = int(wait_s * 1000) or None
        with self.errors():
            reply: Any = self.client.xread({_events_key(run_id): after}, count=1000, block=wait_ms)
        for _, entries in reply or []:
            for entry_id, entry in entries:
                yield entry_id, _read_event(entry)

    def refuse(self, queue: str, reason: str, *, worker: str) -> None:
        """Note that a worker dropped an unrecognised message. Without a broker, do nothing."""
        entry: dict[Any, Any] = {"queue": queue, "reason": reason, "worker": worker}
        try:
            self.client.xadd(_REFUSALS, entry, maxlen=REFUSALS_KEPT, approximate=True)
        except redis.RedisError as error:
            self._begin_anew(_REFUSALS, error)

    def _begin_anew(self, stream: str, error: redis.RedisError) -> None:
        """Remove a stream that takes nothing more, as its last entry has the highest id."""
        if "equal or smaller" in str(error):
            with contextlib.suppress(redis.RedisError):
                self.client.delete(stream)

    def refusals(self) -> list[dict[str, str]]:
        """The messages that workers dropped, the latest first: when, queue, reason, worker."""
        with self.errors():
            entries: Any = self.client.xrevrange(_REFUSALS, count=REFUSALS_KEPT)
        return [
            {name: str(entry.get(name, "")) for name in ("queue", "reason", "worker")}
            | {"at": _moment(str(i))}
            for i, entry in entries
        ]

    def mend_queues(self) -> None:
        """Remove what lies under queues' names and is no queue. Without a broker, do nothing."""
        with contextlib.suppress(redis.RedisError):
            remove_wrong_types(self.client, all_keys=False)

    def backlog(self) -> dict[str, int]:
        """Messages waiting in each queue; those in progress do not count."""
        with self.errors(), self.client.pipeline(transaction=False) as pipe:
            for queue in QUEUES:
                pipe.llen(queue)
            return dict(zip(QUEUES, pipe.execute(), strict=True))

    def traffic(self) -> tuple[int, int]:
        """(messages that wait, messages in progress). Raises `BrokerError`."""
        with self.errors(), self.client.pipeline(transaction=True) as pipe:
            for queue in QUEUES:
                pipe.llen(queue)
            pipe.hlen("unacked")  # kombu's hash of messages that are not acknowledged
            *waiting, unacked = pipe.execute()
        return sum(waiting), unacked

    def clips_at_hand(self, *, most: int) -> set[str] | None:
        """The clips that some message is of, waiting or in progress; None if messages are too many.

        Read in pieces: what moves meanwhile may be missed. Raises `BrokerError`.
        """
        if self.messages() > most:
            return None
        clips = set()
        with self.errors():
            for queue in QUEUES:
                for start in range(0, 2 * most, _PIECE):
                    piece: Any = self.client.lrange(queue, start, start + _PIECE - 1)
                    clips |= {_clip_of(message) for message in piece}
                    if len(piece) < _PIECE:
                        break
            for _, unacked in self.client.hscan_iter("unacked", count=_PIECE):
                clips.add(_clip_of(unacked))
        return clips

    def messages(self) -> int:
        """All messages, waiting or in progress. Raises `BrokerError`."""
        return sum(self.traffic())

    def workers(self) -> list[WorkerBeat]:
        """The workers that are alive, as their beats say."""
        with self.errors():
            keys = [str(key) for key in self.client.scan_iter(f"{BEATS}*", count=1000)]
            values: Any = self.client.mget(keys) if keys else []
        said = zip(keys, values, strict=True)
        beats = (WorkerBeat.read(key.removeprefix(BEATS), value) for key, value in said)
        return sorted((beat for beat in beats if beat), key=lambda b: b.name)

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

    def fleet(self) -> str:
        """The name of the fleet that this broker serves, set by whoever asks first.

        Raises `BrokerError`.
        """
        with self.errors():
            # A broker that lost its name is told it again by whoever remembers.
            self.client.set(_FLEET, self._fleet or secrets.token_hex(8), nx=True)
            self._fleet = str(self.client.get(_FLEET))[:64]
        self.fleets.add(self._fleet)
        return self._fleet

    def cancel(self, run_id: str) -> None:
        """Have workers drop what they get of the run. Raises `BrokerError`."""
        with self.errors():
            self.client.set(_cancelled_key(run_id), 1, ex=CANCELLED_S)

    def clear_cancellation(self, run_id: str) -> None:
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


def remove_wrong_types(client: redis.Redis, *, all_keys: bool = True) -> None:
    """Remove what lies under our keys and is of another type than we write.

    Until that is done, every look at it fails, for everyone. Without `all_keys`, only the keys that
    messages lie under are looked at. Raises `redis.RedisError`.
    """
    for kind, patterns in _KINDS.items():
        for pattern in patterns:
            magic = pattern.endswith("*")
            if magic and not all_keys:
                continue
            for key in client.scan_iter(pattern, count=1000) if magic else [pattern]:
                if client.type(key) not in (kind, "none"):
                    client.delete(key)


def _clip_of(message: object) -> str:
    """The clip that a message is of, as it lies on a queue or is in progress; "" for none."""
    body = _BODY.search(str(message))
    try:
        found = _CLIP.search(base64.b64decode(body[1]) if body else b"")
    except ValueError:
        return ""
    return found[1].decode() if found else ""


def _read_event(entry: Any) -> Event:
    try:
        said = json.loads(entry["e"])
        event = Event(**{name: said[name] for name in _EVENT_FIELDS & said.keys()})
        if all(type(getattr(event, f.name)) is f.type for f in fields(Event)):
            return event
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    return Event(step="", clip_uuid="", status="")


def redact(url: str) -> str:
    """The broker's address without its password, which may hold any character but @."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if rest else "(none)"


def _cancelled_key(run_id: str) -> str:
    return f"clipfleet:cancelled:{run_id}"


def _moment(event_id: str) -> str:
    """When an entry was written; empty where its id, which anyone may choose, is no time."""
    try:
        return datetime.fromtimestamp(_order(event_id)[0] / 1000, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return ""


def _order(event_id: str) -> tuple[int, int]:
    milliseconds, _, number = event_id.partition("-")
    return int(milliseconds), int(number or 0)


def _events_key(run_id: str) -> str:
    return f"clipfleet:events:{run_id}"
