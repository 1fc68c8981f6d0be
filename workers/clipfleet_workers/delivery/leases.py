"""Leases on messages: a live worker keeps what it holds, a dead one's messages come back.

Kombu's Redis transport keeps what a worker took and has not acknowledged in a hash, and gives it
back once `visibility_timeout` has passed, whether its worker lives or not, and only while its own
loop turns. So leases are ours. A thread of its own renews them, by a connection of its own, until
the very end of the worker: also while it drains, and while Celery connects anew. Whatever the
broker refuses just now (an acknowledgement, a message to be given back) is done as soon as it does
not. A message is held by its worker until one of three things is done with it: it is acknowledged,
given back, or put off.

A worker that vanished with a message in its hands is evidence against the message. One that was
told to stop, or that the broker could not hear because it heard nobody, is none.

The broker's two keys are kombu's own, and so is what lies in them: `unacked`, a hash of delivery
tag → [message, exchange, routing key], and `unacked_index`, the same tags by when their leases
began. Leases are by the broker's clock. Where that jumps, work may be done twice, and nothing is
lost.
"""

import contextlib
import enum
import functools
import json
import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis

from clipfleet.broker import connection
from clipfleet.broker.beats import WorkerBeat, beat_key
from clipfleet.broker.client import remove_wrong_types
from clipfleet.clock import SYSTEM, Clock
from clipfleet.queues import ANSWER_S, QUEUES

log = logging.getLogger("clipfleet")

UNACKED, INDEX = "unacked", "unacked_index"
# Fields of a message's headers and properties that are ours: kombu passes them on.
DEATHS, HOLDER = "deaths", "holder"
FAREWELL_S = 24 * 3600
_RESTORED_AT_ONCE = 100
_SOON_S = 0.5
# A message that is put off waits so long, at least: to look again at once would be to spin.
PUT_OFF_S = 30.0
# The longest that a task asks to wait for the store; one whose sender was ahead gets no more.
LONGEST_WAIT_S = 60.0

_FAILURES = (redis.RedisError, OSError)


class End(enum.Enum):
    """What becomes of a message that a worker held."""

    ACK = enum.auto()  # done with
    GIVE_BACK = enum.auto()  # to any worker, at the end of its queue
    PUT_OFF = enum.auto()  # the same, after a while


@dataclass
class _Held:
    message: dict[str, Any]
    queue: str
    since: float  # by the worker's own clock
    started: bool = False
    written: bool = True
    died: bool = False
    end: End | None = None
    ending: bool = False
    release: Callable[[], object] = lambda: None


class BrokerClock:
    """The broker's time; between looks at it, by a clock that does not jump."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_s: float | None = None

    def set(self, client: redis.Redis) -> None:
        """Look at the broker's clock."""
        seconds, microseconds = client.time()
        self._ahead_s = seconds + microseconds / 1e6 - self._clock.monotonic()

    def now(self) -> float:
        """In seconds since 1970, once it was looked at."""
        assert self._ahead_s is not None
        return self._ahead_s + self._clock.monotonic()

    def ready(self, client: redis.Redis) -> None:
        """Look at the broker's clock unless it was looked at before."""
        if self._ahead_s is None:
            self.set(client)


class Leases:
    """What one worker holds. `start` begins renewing, `close` ends it and gives back the rest."""

    def __init__(
        self,
        url: str,
        *,
        name: str,
        queues: tuple[str, ...],
        lease_s: float,
        longest_task_s: float = 3600.0,
        busy: Callable[[], float | None] = lambda: None,
        refuse: Callable[[str, str], None] = lambda queue, reason: None,
        clock: Clock = SYSTEM,
    ) -> None:
        """`refuse` is told of what lies among held messages and is none (queue, reason)."""
        self.id = f"{name}.{uuid.uuid4().hex[:12]}"
        self._name, self._queues, self._lease_s = name, queues, lease_s
        self._longest_task_s, self._busy, self._refuse = longest_task_s, busy, refuse
        self._clock, self._broker_clock = clock, BrokerClock(clock)
        # Of which every byte can be read and written back: a tag may be anybody's.
        self._client = connection.connect(url, encoding="latin-1")
        self._held: dict[str, _Held] = {}
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._leaving = self._took_leave = False
        self._thread: threading.Thread | None = None
        self._renewed_at = 0.0
        self._heard_since: float | None = None  # renewed without a break
        self._well = True

    # What the transport and the pools tell.

    def take(
        self,
        tag: str,
        message: dict[str, Any],
        queue: str,
        release: Callable[[], object] = lambda: None,
    ) -> None:
        """A message came. It is worked on also where the broker does not take note of it now.

        `release` frees its place at the worker, where it is let go before anyone began it. Until
        somebody does, it is no evidence that its worker vanished with it: as a rule that is at
        once, and is noted with it.
        """
        if not _waits(message):
            message["properties"][HOLDER] = self.id
        held = _Held(message=message, queue=queue, since=self._clock.monotonic(), release=release)
        with self._lock:
            self._held[tag] = held
        held.written = self._tried(functools.partial(self._write, tag=tag, held=held))

    def started(self, tag: str) -> None:
        """A thread or a process has it in hand now."""
        with self._lock:
            if tag in self._held:
                held = self._held[tag]
                held.started, held.since = True, self._clock.monotonic()

    def at_work(self, tag: str) -> None:
        """It is being worked on, after it waited for its time or its turn."""
        self.started(tag)
        with self._lock:
            held = self._held.get(tag)
            if held is None or HOLDER in held.message["properties"]:
                return
            held.message["properties"][HOLDER] = self.id
        held.written = self._tried(functools.partial(self._write, tag=tag, held=held))

    def died(self, tag: str) -> None:
        """What worked on it died of it, which counts against it once it is given back."""
        with self._lock:
            if tag in self._held:
                self._held[tag].died = True

    def put_off(self, tag: str) -> None:
        """Once it is given back, let nobody have it for a while."""
        with self._lock:
            if tag in self._held:
                self._held[tag].end = End.PUT_OFF

    def end(self, tag: str, how: End) -> None:
        """The worker is done with it. Where the broker takes that not now, then later."""
        with self._lock:
            held = self._held.get(tag)
            if held is None:
                return
            held.end = held.end or how
        self._end(tag, held)

    def leave(self, tag: str, message: dict[str, Any], queue: str) -> None:
        """Put a message off that just came, and that this worker cannot read."""
        held = _Held(message=message, queue=queue, since=self._clock.monotonic())
        held.started, held.end = True, End.PUT_OFF
        with self._lock:
            self._held[tag] = held
        self._end(tag, held)

    def reconnected(self) -> None:
        """Celery forgot what it had not begun: give it back."""
        self._tried(functools.partial(remove_wrong_types, all_keys=False))
        self._give_back(lambda held: not held.started)

    # The worker's life.

    def start(self) -> None:
        """Begin; where the broker is away, it is waited for."""
        self._tried(self._broker_clock.set)
        self._thread = threading.Thread(target=self._keep, name="leases", daemon=True)
        self._thread.start()

    def farewell(self) -> None:
        """The worker was told to stop: what it may leave behind is no evidence.

        What comes yet and is not begun goes to others at once.
        """
        self._leaving = True
        self._tried(self._say_farewell)

    def _say_farewell(self, client: redis.Redis) -> None:
        client.set(_farewell_key(self.id), 1, ex=FAREWELL_S)
        self._took_leave = True

    def close(self) -> None:
        """Give back what is left, and stop."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(2 * ANSWER_S)
        self._give_back(lambda held: True)
        self._tried(lambda client: client.delete(beat_key(self._name), _alive_key(self.id)))
        self._client.close()

    @property
    def held(self) -> int:
        """How many messages the worker holds."""
        return len(self._held)

    def stuck(self) -> int:
        """How many of them nobody gets on with."""
        now, held = self._clock.monotonic(), self._snapshot()
        slow = [h for _, h in held if h.started and now - h.since > self._longest_task_s]
        return len(slow) + len(self._idle(held))

    # Renewing.

    def _keep(self) -> None:
        next_at = 0.0
        while not self._closing.is_set():
            if self._clock.monotonic() >= next_at or self._is_behind():
                well = self._beat()
                next_at = self._clock.monotonic() + (self._lease_s / 3 if well else _SOON_S)
            left_s = next_at - self._clock.monotonic()
            self._closing.wait(max(0.0, min(left_s, _SOON_S)))

    def _is_behind(self) -> bool:
        return any(
            h.end is not None or not h.written or self._is_for_others(h)
            for _, h in self._snapshot()
        )

    def _is_for_others(self, held: _Held) -> bool:
        """Whether it came as the worker was stopping, and nobody here will begin it."""
        waited_s = self._clock.monotonic() - held.since
        return self._leaving and not held.started and waited_s >= _SOON_S

    def _beat(self) -> bool:
        try:
            connection.twice(self._client, self._renew)
            self._catch_up()
            self._restore_lapsed(self._client)
        except _FAILURES as error:
            if self._well:  # once is enough
                log.warning("cannot renew leases: %s", error, extra={"action": "lease_missed"})
            self._well = False
            if "WRONGTYPE" in str(error):
                self._tried(remove_wrong_types)
            return False
        except Exception:  # a fault of ours must not let go of all that the worker holds
            log.exception("leases are renewed all the same", extra={"action": "lease_fault"})
            return False
        if not self._well:
            log.info("leases are renewed again", extra={"action": "lease_renewed"})
        self._well = True
        return True

    def _renew(self, client: redis.Redis) -> None:
        self._broker_clock.set(client)
        now, held = self._broker_clock.now(), self._snapshot()
        # Leases further ahead than any message is put off are of before the broker's clock went
        # back: they begin now.
        future = client.zrange(INDEX, f"({now + PUT_OFF_S + self._lease_s}", "+inf", byscore=True)
        tags = [tag for tag, _ in held]
        beat = WorkerBeat(
            name=self._name,
            queues=self._queues,
            holds=len(held),
            busy=self._busy(),
            stuck=self.stuck(),
        )
        with client.pipeline(transaction=False) as pipe:
            if tags or future:
                scores: dict[Any, Any] = dict.fromkeys([*tags, *future], now)
                pipe.zadd(INDEX, scores, xx=True)
            pipe.set(_alive_key(self.id), 1, px=_ms(self._lease_s))
            pipe.set(beat_key(self._name), beat.to_json(), px=_ms(2 * self._lease_s))
            pipe.execute()
        if self._leaving and not self._took_leave:
            self._say_farewell(client)

    def _catch_up(self) -> None:
        """Do what the broker did not take before, and let go of what nobody gets on with."""
        for tag, held in self._snapshot():
            if held.end is None and self._is_for_others(held):
                held.end = End.GIVE_BACK
                held.release()
            if held.end is not None:
                if not self._end(tag, held):
                    return
            elif not held.written:
                held.written = self._tried(functools.partial(self._write, tag=tag, held=held))
                if not held.written:
                    return
        for tag, held in self._idle(self._snapshot()):
            log.error("a message that nobody works on is given back", extra={"action": "stuck"})
            held.release()
            self.end(tag, End.GIVE_BACK)

    def _idle(self, held: list[tuple[str, _Held]]) -> list[tuple[str, _Held]]:
        """Messages that wait for a worker's hands though all are free."""
        now = self._clock.monotonic()
        if any(each.started and each.end is None for _, each in held):
            return []
        patience_s = 2 * self._lease_s
        return [
            (tag, each)
            for tag, each in held
            if each.end is None and now - each.since > patience_s + _asked_to_wait_s(each.message)
        ]

    def _give_back(self, which: Callable[[_Held], bool]) -> None:
        chosen = [(tag, h) for tag, h in self._snapshot() if h.end is not None or which(h)]
        for _, held in chosen:
            held.end = held.end or End.GIVE_BACK
        for tag, held in chosen:
            if not self._end(tag, held):
                return  # each of the rest would take its time to say the same; it is done later

    # What is written in the broker.

    def _write(
        self, client: redis.Redis, tag: str, held: _Held, since: float | None = None
    ) -> None:
        self._broker_clock.ready(client)
        with client.pipeline(transaction=True) as pipe:
            pipe.zadd(INDEX, {tag: since or self._broker_clock.now()})
            pipe.hset(UNACKED, tag, json.dumps([held.message, "", held.queue]))
            pipe.execute()

    def _end(self, tag: str, held: _Held) -> bool:
        with self._lock:
            if held.ending:  # by another thread, which will see to it
                return True
            held.ending = True
        try:
            if not self._tried(functools.partial(self._do_end, tag=tag, held=held)):
                return False
        finally:
            held.ending = False
        with self._lock:
            if self._held.get(tag) is held:
                del self._held[tag]
        return True

    def _do_end(self, client: redis.Redis, tag: str, held: _Held) -> None:
        self._broker_clock.ready(client)
        if held.end is End.PUT_OFF:
            held.message["properties"].pop(HOLDER, None)
            until = self._broker_clock.now() + max(PUT_OFF_S - self._lease_s, 0.0)
            self._write(client, tag, held, since=until)
            return
        if held.end is End.GIVE_BACK:
            # First, and by itself: a queue that takes nothing must not lose it. It may come twice.
            client.lpush(held.queue, json.dumps(_again(held.message, died=held.died)))
        self._forget(client, tag)

    def _forget(self, client: redis.Redis, tag: str) -> None:
        with client.pipeline(transaction=True) as pipe:
            pipe.zrem(INDEX, tag)
            pipe.hdel(UNACKED, tag)
            pipe.execute()

    def _restore_lapsed(self, client: redis.Redis) -> None:
        """Give back what workers that vanished held, oldest first; one worker at a time does."""
        here = self._clock.monotonic()
        if self._heard_since is None or here - self._renewed_at > 2 / 3 * self._lease_s:
            self._heard_since = here
        self._renewed_at = here
        if here - self._heard_since < self._lease_s:
            return  # the broker may have heard nobody: the others are to renew theirs first
        now = self._broker_clock.now()
        if not client.set("clipfleet:restoring", self.id, nx=True, px=_ms(self._lease_s / 3)):
            return
        until = self._clock.monotonic() + self._lease_s / 3
        while self._clock.monotonic() < until:
            lapsed: Any = client.zrange(
                INDEX, "-inf", now - self._lease_s, byscore=True, offset=0, num=_RESTORED_AT_ONCE
            )
            for tag in lapsed:
                self._restore(client, tag)
            if len(lapsed) < _RESTORED_AT_ONCE:
                return

    def _restore(self, client: redis.Redis, tag: str) -> None:
        entry: Any = client.hget(UNACKED, tag)
        again = queue = None
        if entry is not None:
            try:
                message, _, queue = json.loads(entry)
                if queue not in QUEUES:
                    raise ValueError(f"no queue is named {queue!r}"[:200])
                holder = message["properties"].get(HOLDER)
                died = isinstance(holder, str) and self._vanished(client, holder)
                again = json.dumps(_again(message, died=died))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                self._refuse("unacked", f"a held message cannot be read: {error}")
        if again is not None:
            client.rpush(str(queue), again)
        self._forget(client, tag)

    def _vanished(self, client: redis.Redis, holder: str) -> bool:
        """Whether a worker is gone that nobody told to stop."""
        return not client.exists(_alive_key(holder), _farewell_key(holder))

    def _tried(self, do: Callable[[redis.Redis], object]) -> bool:
        """Whether the broker took it."""
        try:
            connection.twice(self._client, do)
        except _FAILURES as error:
            log.debug("the broker does not take it now: %s", error)
            if "WRONGTYPE" in str(error):
                with contextlib.suppress(*_FAILURES):
                    remove_wrong_types(self._client, all_keys=False)
            return False
        return True

    def _snapshot(self) -> list[tuple[str, _Held]]:
        with self._lock:
            return list(self._held.items())


def _again(message: dict[str, Any], *, died: bool) -> dict[str, Any]:
    """The message as it is delivered again."""
    headers = {**message["headers"], "redelivered": True}
    if died:
        headers[DEATHS] = deaths(headers) + 1
    kept = {name: value for name, value in message["properties"].items() if name != HOLDER}
    info = {**kept["delivery_info"], "redelivered": True}
    return {**message, "headers": headers, "properties": {**kept, "delivery_info": info}}


def deaths(headers: Any) -> int:
    """How many workers died with the message in their hands, as its headers say."""
    count = headers.get(DEATHS)
    return count if type(count) is int and 0 <= count < 2**31 else 0


def _waits(message: dict[str, Any]) -> bool:
    """Whether a worker that takes it waits before it works on it: for a moment, or for its turn."""
    headers = message["headers"]
    return headers.get("eta") is not None or deaths(headers) > 0


def _asked_to_wait_s(message: dict[str, Any]) -> float:
    return LONGEST_WAIT_S if message.get("headers", {}).get("eta") else 0.0


def _alive_key(holder: str) -> str:
    return f"clipfleet:alive:{holder}"


def _farewell_key(holder: str) -> str:
    return f"clipfleet:farewell:{holder}"


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))
