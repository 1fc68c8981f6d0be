"""Leases on messages: a live worker keeps those that it took, a dead one's come back.

Kombu's Redis transport keeps what a worker took and has not acknowledged in a hash, and gives it
back once `visibility_timeout` has passed, whether its worker lives or not, and only while its own
loop turns. So leases are ours. A thread of its own renews them, by a connection of its own, until
the very end of the worker: also while it drains, and while Celery connects anew. Whatever the
broker refuses just now (an acknowledgement, a message to be given back) is done as soon as it does
not. A worker keeps its lease on a message until it acknowledges it, gives it back or puts it off.

Leases are by the broker's clock. Where that jumps, work may be done twice, and nothing is lost.
"""

import contextlib
import functools
import json
import logging
import threading
import uuid
from collections.abc import Callable
from typing import Any

import redis

from clipfleet.broker import connection
from clipfleet.broker.beats import WorkerBeat, beat_key
from clipfleet.broker.client import remove_wrong_types
from clipfleet.clock import SYSTEM, Clock
from clipfleet.queues import ANSWER_S
from clipfleet_workers.delivery.broker_clock import BrokerClock
from clipfleet_workers.delivery.restoring import Restorer, alive_key, farewell_key, ms
from clipfleet_workers.delivery.unacked import (
    HOLDER,
    INDEX,
    End,
    Lease,
    delivered_again,
    forget,
    waits,
    write,
)

log = logging.getLogger("clipfleet")

FAREWELL_S = 24 * 3600
_SOON_S = 0.5
# A message that is put off waits so long, at least: to look again at once would be to spin.
PUT_OFF_S = 30.0

_FAILURES = (redis.RedisError, OSError)


class Leases:
    """One worker's. `start` begins to renew them, `close` ends it and gives back the rest."""

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
        """`refuse` is told of unacknowledged messages that are none (queue, reason)."""
        self.id = f"{name}.{uuid.uuid4().hex[:12]}"
        self._name, self._queues, self._lease_s = name, queues, lease_s
        self._longest_task_s, self._busy = longest_task_s, busy
        self._clock, self._broker_clock = clock, BrokerClock(clock)
        # Of which every byte can be read and written back: a tag may be anybody's.
        self._client = connection.connect(url, encoding="latin-1")
        self._leases: dict[str, Lease] = {}
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._leaving = self._took_leave = False
        self._thread: threading.Thread | None = None
        self._restorer = Restorer(
            self.id,
            lease_s=lease_s,
            refuse=refuse,
            clock=clock,
            broker_clock=self._broker_clock,
        )
        self._well = True
        self._said_in_progress = 0
        self._said_busy: float | None = None  # as others read it in its heartbeat

    # Called by the transport and the pools.

    def take(
        self,
        tag: str,
        message: dict[str, Any],
        queue: str,
        release: Callable[[], object] = lambda: None,
    ) -> None:
        """A message came. It is worked on even where the broker cannot note it just now.

        `release` frees its place at the worker, where it is given back before its work began. A
        worker that vanishes before that does not count against it; as a rule work begins at once,
        and that is noted with the message.
        """
        if not waits(message):
            message["properties"][HOLDER] = self.id
        lease = Lease(message=message, queue=queue, since=self._clock.monotonic(), release=release)
        with self._lock:
            self._leases[tag] = lease
        lease.written = self._tried(functools.partial(self._write, tag=tag, lease=lease))

    def started(self, tag: str) -> None:
        """A thread or a process has accepted it."""
        with self._lock:
            if tag in self._leases:
                lease = self._leases[tag]
                lease.started, lease.since = True, self._clock.monotonic()

    def at_work(self, tag: str) -> None:
        """Its work began, after it waited for its time or its turn."""
        self.started(tag)
        with self._lock:
            lease = self._leases.get(tag)
            if lease is None or HOLDER in lease.message["properties"]:
                return
            lease.message["properties"][HOLDER] = self.id
        lease.written = self._tried(functools.partial(self._write, tag=tag, lease=lease))

    def died(self, tag: str) -> None:
        """Its process or engine died of it, which counts against it once it is given back."""
        with self._lock:
            if tag in self._leases:
                self._leases[tag].died = True

    def put_off(self, tag: str) -> None:
        """Once it is given back, no worker is to have it for a while."""
        with self._lock:
            if tag in self._leases:
                self._leases[tag].end = End.PUT_OFF

    def end(self, tag: str, how: End) -> None:
        """The worker is done with it. Where the broker refuses that now, it is done later."""
        with self._lock:
            lease = self._leases.get(tag)
            if lease is None:
                return
            lease.end = lease.end or how
        self._end(tag, lease)

    def leave(self, tag: str, message: dict[str, Any], queue: str) -> None:
        """Put off a message that just came and that this worker cannot read."""
        lease = Lease(message=message, queue=queue, since=self._clock.monotonic())
        lease.started, lease.end = True, End.PUT_OFF
        with self._lock:
            self._leases[tag] = lease
        self._end(tag, lease)

    def reconnected(self) -> None:
        """Celery has connected anew and forgot what it had not begun: give that back."""
        self._tried(functools.partial(remove_wrong_types, all_keys=False))
        self._give_back(lambda lease: not lease.started)

    # The worker's life.

    def start(self) -> None:
        """Begin to renew; where the broker is away, keep trying."""
        self._tried(self._broker_clock.set)
        self._thread = threading.Thread(target=self._keep, name="leases", daemon=True)
        self._thread.start()

    def farewell(self) -> None:
        """The worker was told to stop: what it may leave behind counts against no message.

        What still comes and is not begun is given back at once.
        """
        self._leaving = True
        self._tried(self._say_farewell)

    def _say_farewell(self, client: redis.Redis) -> None:
        client.set(farewell_key(self.id), 1, ex=FAREWELL_S)
        self._took_leave = True

    def close(self) -> None:
        """Give back what is left, and stop."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(2 * ANSWER_S)
        self._give_back(lambda lease: True)
        self._tried(lambda client: client.delete(beat_key(self._name), alive_key(self.id)))
        self._client.close()

    @property
    def unacked(self) -> int:
        """How many messages the worker has not acknowledged."""
        return len(self._leases)

    @property
    def in_progress(self) -> int:
        """How many of them it is not done with: the others are left to be written."""
        return sum(lease.end is None for _, lease in self._snapshot())

    def stuck(self) -> int:
        """How many of them make no progress."""
        now, leases = self._clock.monotonic(), self._snapshot()
        slow = [
            lease
            for _, lease in leases
            if lease.started and now - lease.since > self._longest_task_s
        ]
        return len(slow) + len(self._idle(leases))

    # Renewing.

    def _keep(self) -> None:
        next_at = 0.0
        while not self._closing.is_set():
            if self._clock.monotonic() >= next_at or self._is_behind():
                well = self._beat()
                next_at = self._clock.monotonic() + (self._lease_s / 3 if well else _SOON_S)
            elif self.in_progress != self._said_in_progress:
                self._tried(self._say_beat)
            left_s = next_at - self._clock.monotonic()
            self._closing.wait(max(0.0, min(left_s, _SOON_S)))

    def _is_behind(self) -> bool:
        return any(
            lease.end is not None or not lease.written or self._is_for_others(lease)
            for _, lease in self._snapshot()
        )

    def _is_for_others(self, lease: Lease) -> bool:
        """Whether it came as the worker was stopping, and is not begun here any more."""
        waited_s = self._clock.monotonic() - lease.since
        return self._leaving and not lease.started and waited_s >= _SOON_S

    def _beat(self) -> bool:
        try:
            connection.twice(self._client, self._renew)
            self._catch_up()
            self._restorer.restore_lapsed(self._client)
        except _FAILURES as error:
            if self._well:  # once is enough
                log.warning("cannot renew leases: %s", error, extra={"action": "lease_missed"})
            self._well = False
            if "WRONGTYPE" in str(error):
                self._tried(remove_wrong_types)
            return False
        except Exception:  # a fault of ours must not end all of the worker's leases
            log.exception("leases are renewed all the same", extra={"action": "lease_fault"})
            return False
        if not self._well:
            log.info("leases are renewed again", extra={"action": "lease_renewed"})
        self._well = True
        return True

    def _renew(self, client: redis.Redis) -> None:
        self._broker_clock.set(client)
        now, leases = self._broker_clock.now(), self._snapshot()
        # Leases further ahead than any message is put off are of before the broker's clock went
        # back: they begin now.
        future = client.zrange(INDEX, f"({now + PUT_OFF_S + self._lease_s}", "+inf", byscore=True)
        tags = [tag for tag, _ in leases]
        self._said_busy = self._busy()
        with client.pipeline(transaction=False) as pipe:
            if tags or future:
                scores: dict[Any, Any] = dict.fromkeys([*tags, *future], now)
                pipe.zadd(INDEX, scores, xx=True)
            pipe.set(alive_key(self.id), 1, px=ms(self._lease_s))
            self._say_beat(pipe)
            pipe.execute()
        if self._leaving and not self._took_leave:
            self._say_farewell(client)

    def _say_beat(self, client: redis.Redis) -> None:
        """Say how many messages it holds, and how busy it was up to the last renewal."""
        in_progress = self.in_progress
        beat = WorkerBeat(
            name=self._name,
            queues=self._queues,
            unacked=in_progress,
            busy=self._said_busy,
            stuck=self.stuck(),
        )
        client.set(beat_key(self._name), beat.to_json(), px=ms(2 * self._lease_s))
        self._said_in_progress = in_progress

    def _catch_up(self) -> None:
        """Do what the broker refused before, and give back what makes no progress."""
        for tag, lease in self._snapshot():
            if lease.end is None and self._is_for_others(lease):
                lease.end = End.GIVE_BACK
                lease.release()
            if lease.end is not None:
                if not self._end(tag, lease):
                    return
            elif not lease.written:
                lease.written = self._tried(functools.partial(self._write, tag=tag, lease=lease))
                if not lease.written:
                    return
        for tag, lease in self._idle(self._snapshot()):
            log.error("a message that nobody works on is given back", extra={"action": "stuck"})
            lease.release()
            self.end(tag, End.GIVE_BACK)

    def _idle(self, leases: list[tuple[str, Lease]]) -> list[tuple[str, Lease]]:
        """Messages that wait for a thread or a process though all are free."""
        now = self._clock.monotonic()
        if any(each.started and each.end is None for _, each in leases):
            return []
        patience_s = 2 * self._lease_s
        return [
            (tag, each)
            for tag, each in leases
            if each.end is None and now - each.since > patience_s + each.asked_to_wait_s()
        ]

    def _give_back(self, which: Callable[[Lease], bool]) -> None:
        chosen = [
            (tag, lease) for tag, lease in self._snapshot() if lease.end is not None or which(lease)
        ]
        for _, lease in chosen:
            lease.end = lease.end or End.GIVE_BACK
        for tag, lease in chosen:
            if not self._end(tag, lease):
                return  # each of the rest would take its time to say the same; it is done later

    # What is written in the broker.

    def _write(
        self, client: redis.Redis, tag: str, lease: Lease, since: float | None = None
    ) -> None:
        self._broker_clock.ready(client)
        since = since or self._broker_clock.now()
        write(client, tag, lease.message, lease.queue, since=since)

    def _end(self, tag: str, lease: Lease) -> bool:
        with self._lock:
            if lease.ending:  # by another thread, which will see to it
                return True
            lease.ending = True
        try:
            if not self._tried(functools.partial(self._do_end, tag=tag, lease=lease)):
                return False
        finally:
            lease.ending = False
        with self._lock:
            if self._leases.get(tag) is lease:
                del self._leases[tag]
        return True

    def _do_end(self, client: redis.Redis, tag: str, lease: Lease) -> None:
        self._broker_clock.ready(client)
        if lease.end is End.PUT_OFF:
            lease.message["properties"].pop(HOLDER, None)
            until = self._broker_clock.now() + max(PUT_OFF_S - self._lease_s, 0.0)
            self._write(client, tag, lease, since=until)
            return
        if lease.end is End.GIVE_BACK:
            # First, and by itself: a queue that takes nothing must not lose it. It may come twice.
            client.lpush(lease.queue, json.dumps(delivered_again(lease.message, died=lease.died)))
        forget(client, tag)

    def _tried(self, do: Callable[[redis.Redis], object]) -> bool:
        """Whether the broker accepted it."""
        try:
            connection.twice(self._client, do)
        except _FAILURES as error:
            log.debug("the broker does not take it now: %s", error)
            if "WRONGTYPE" in str(error):
                with contextlib.suppress(*_FAILURES):
                    remove_wrong_types(self._client, all_keys=False)
            return False
        return True

    def _snapshot(self) -> list[tuple[str, Lease]]:
        with self._lock:
            return list(self._leases.items())
