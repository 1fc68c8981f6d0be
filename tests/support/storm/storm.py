"""A storm: everything that a fleet depends on dies, stalls, forgets or lies, by a seeded timetable.

`Storm(…).blow()` runs a fleet's job through it and returns once every clip has its record.
"""

import contextlib
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import redis

from clipfleet.errors import FINAL
from tests.support.broker import BrokerServer
from tests.support.s3_server import S3Server
from tests.support.store_proxy import StoreProxy
from tests.support.storm.fleet import KINDS, Fleet

HOUR_S = 3600.0


@dataclass(frozen=True)
class Extent:
    """How long the storm blows, in seconds, and how often it does what."""

    seconds: float
    kills_of_each_kind: int = 1
    stops_of_each_kind: int = 1
    broker_kills: int = 1
    broker_emptied: int = 1
    store_kills: int = 1
    store_slow: int = 1
    producer_kills: int = 1
    disk_full: int = 1
    clocks_moved: int = 1
    failing_writes: float = 0.1  # of all writes, all the time

    @classmethod
    def none(cls) -> "Extent":
        """No storm at all."""
        return cls(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0)


FULL = Extent(
    seconds=180,
    kills_of_each_kind=4,
    stops_of_each_kind=2,
    broker_kills=3,
    store_kills=2,
    store_slow=2,
    producer_kills=2,
    disk_full=2,
    clocks_moved=2,
)


@dataclass(order=True)
class Blow:
    """Something that is done at its time."""

    at_s: float
    what: str = field(compare=False)
    do: Callable[[], object] = field(compare=False)


class Storm:
    """What is hit, and what was done to it so far, by kind: `done`."""

    def __init__(
        self,
        fleet: Fleet,
        broker: BrokerServer,
        server: S3Server,
        proxy: StoreProxy,
        *,
        disk: Path | None,
        lease_s: float,
        extent: Extent,
        seed: int,
    ) -> None:
        """`disk` is a small file system that prepare workers keep temporary files on."""
        self._fleet, self._broker, self._server, self._proxy = fleet, broker, server, proxy
        self._disk, self._lease_s, self._extent = disk, lease_s, extent
        self._chance = random.Random(seed)
        self.done = Counter[str]()

    def blow(self, *, give_up_s: float) -> float:
        """Run the fleet through it; returns the seconds until every clip had its record.

        Raises `TimeoutError` where that takes longer than `give_up_s`.
        """
        table = sorted(self._timetable())
        began = time.monotonic()
        self._proxy.weather.failing_writes = self._extent.failing_writes
        try:
            self._fleet.start_all()
            while True:
                now = time.monotonic() - began
                while table and table[0].at_s <= now:
                    blow = table.pop(0)
                    blow.do()
                    self.done[blow.what] += bool(blow.what)
                    self._say(now, blow.what)
                if self._run_is_done() and not any(blow.what for blow in table):
                    return time.monotonic() - began
                if now > give_up_s:
                    raise TimeoutError(f"not done after {give_up_s:g} s: {self._fleet.log}")
                time.sleep(0.1)
        finally:
            self._proxy.weather.failing_writes = 0.0
            for blow in table:  # what was to be put right still is
                if not blow.what:
                    blow.do()

    def _run_is_done(self) -> bool:
        """Whether the producer says so. Starts again whatever has ended, as a service would."""
        for kind in KINDS:
            if self._fleet.ended(kind) is not None:
                self._fleet.start(kind)
        code = self._fleet.ended("producer")
        if code in FINAL:
            raise RuntimeError(f"the producer ended with {code}: {self._fleet.log}")
        if code not in (None, 0):
            self._fleet.start_producer()
        return code == 0

    def _timetable(self) -> Iterator[Blow]:
        extent, chance = self._extent, self._chance
        for kind in KINDS:
            yield from self._times(f"kill {kind}", extent.kills_of_each_kind, self._kill(kind))
            for _ in range(extent.stops_of_each_kind):
                yield from self._stop(kind, chance.uniform(1.2, 2.5) * self._lease_s)
        for _ in range(extent.broker_kills):
            yield from self._span("kill the broker", 4, self._broker.kill, self._broker.start)
        yield from self._times("empty the broker", extent.broker_emptied, self._empty_broker)
        for _ in range(extent.store_kills):
            server = self._server
            yield from self._span("kill the store", 4, server.kill, server.restart)
        for _ in range(extent.store_slow):
            slow, quick = self._delay(0.3), self._delay(0.0)
            yield from self._span("slow the store", 8, slow, quick)
        kill_producer = self._kill("producer")
        yield from self._times("kill the producer", extent.producer_kills, kill_producer)
        for _ in range(extent.disk_full if self._disk else 0):
            yield from self._span("fill the disk", 6, self._fill_disk, self._clear_disk)
        for _ in range(extent.clocks_moved):
            kind, by_s = chance.choice(KINDS), chance.choice((HOUR_S, -HOUR_S))
            yield from self._times("move a clock", 1, self._move_clock(kind, by_s))

    def _moment(self) -> float:
        return self._chance.uniform(0.05, 1.0) * self._extent.seconds

    def _times(self, what: str, count: int, do: Callable[[], object]) -> Iterator[Blow]:
        for _ in range(count):
            yield Blow(self._moment(), what, do)

    def _span(
        self, what: str, up_to_s: float, do: Callable[[], object], undo: Callable[[], object]
    ) -> Iterator[Blow]:
        """`do`, and some seconds later `undo`."""
        at = self._moment()
        yield Blow(at, what, do)
        yield Blow(at + self._chance.uniform(0.2, 1.0) * up_to_s, "", undo)

    def _kill(self, name: str) -> Callable[[], object]:
        return lambda: self._fleet.kill(name, self._chance)

    def _stop(self, kind: str, seconds: float) -> Iterator[Blow]:
        at = self._moment()
        stopped: list[int] = []

        def stop() -> None:
            stopped.append(self._fleet.processes[kind].pid)
            self._fleet.signal(kind, signal.SIGSTOP)

        def go_on() -> None:
            for group in stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGCONT)

        yield Blow(at, f"stop {kind}", stop)
        yield Blow(at + seconds, "", go_on)

    def _empty_broker(self) -> None:
        with contextlib.suppress(redis.ConnectionError):  # killed just now
            redis.Redis.from_url(self._broker.url).flushall()

    def _delay(self, seconds: float) -> Callable[[], object]:
        return lambda: setattr(self._proxy.weather, "delay_s", seconds)

    def _fill_disk(self) -> None:
        assert self._disk is not None
        with contextlib.suppress(OSError), (self._disk / "full").open("wb") as file:
            while True:
                file.write(bytes(1 << 20))
                file.flush()

    def _clear_disk(self) -> None:
        assert self._disk is not None
        (self._disk / "full").unlink(missing_ok=True)

    def _move_clock(self, kind: str, by_s: float) -> Callable[[], object]:
        def move() -> None:
            self._fleet.signal(kind, signal.SIGKILL)
            self._fleet.processes[kind].wait()
            self._fleet.start(kind, clock_s=by_s)

        return move

    def _say(self, now: float, what: str) -> None:
        if what:
            print(f"\r{now:4.0f} s  {what:<24}", end="", file=sys.stderr, flush=True)
