"""Workers whose clocks are an hour off neither take from others nor lose what they held."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

from clipfleet_workers.delivery import leases, transport
from tests.support.broker import BrokerServer
from tests.support.cli import Cli
from tests.support.small_fleet import LEASE_S, SmallFleet
from tests.support.waiting import wait_for

HOUR_S = 3600

# A prepare worker whose clock is wrong. It says of each clip that it began, and goes on when told.
WORKER = """
import sys, time
from pathlib import Path
real_time = time.time
time.time = lambda: real_time() + {off_s}
from clipfleet_workers.media import decode
real_index = decode.index
def index(file, guard):
    file.seek(0)
    with Path({began!r}).open("a") as log:
        log.write(file.read().decode() + "\\n")
    while not Path({go!r}).exists():
        time.sleep(0.05)
    return real_index(file, guard)
decode.index = index
sys.argv = ["clipfleet-worker", "prepare"]
from clipfleet_workers.cli import main
main()
"""


class Workshop:
    """Prepare workers beside a small fleet's, and what they all said they began."""

    def __init__(self, cli: Cli, fleet: SmallFleet, folder: Path) -> None:
        self._cli, self._fleet = cli, fleet
        self._began, self._go = folder / "began", folder / "go"
        self._temp = folder / "temp"  # what is killed leaves files behind
        self._temp.mkdir()
        self._workers: list[subprocess.Popen[bytes]] = []

    def program(self, *, off_s: int | str) -> str:
        """A worker that is so many seconds ahead of the true time."""
        return WORKER.format(off_s=off_s, began=str(self._began), go=str(self._go))

    def start(self, *, off_s: int | str) -> None:
        env = {**self._cli.env, **self._fleet.settings, "CLIPFLEET_CONCURRENCY": "1"}
        env["TMPDIR"] = str(self._temp)
        command = [sys.executable, "-P", "-c", self.program(off_s=off_s)]
        with self._fleet.log.open("a") as log:
            worker = subprocess.Popen(
                command, env=env, cwd=self._cli.work, stderr=log, process_group=0
            )
        self._workers.append(worker)

    def wait_until_ready(self, workers: int) -> None:
        wait_for("worker", lambda: self._fleet.log.read_text().count(" ready.") >= workers, 60)

    def began(self) -> list[str]:
        return sorted(self._began.read_text().split()) if self._began.exists() else []

    def go_on(self) -> None:
        self._go.touch()

    def kill(self) -> None:
        """End the workers that were started here at once, with all their processes."""
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()


@pytest.fixture
def workshop(cli: Cli, small_fleet: SmallFleet, tmp_path: Path) -> Iterator[Workshop]:
    shop = Workshop(cli, small_fleet, tmp_path)
    try:
        yield shop
    finally:
        shop.go_on()  # the fleet's own worker may be waiting
        shop.kill()


def clips(folder: Path, names: str) -> list[Path]:
    paths = [folder / f"{name}.mp4" for name in names]
    for path in paths:
        path.write_text(path.stem)
    return paths


def test_a_clip_is_prepared_once_though_workers_clocks_are_hours_apart(
    small_fleet: SmallFleet, workshop: Workshop, tmp_path: Path
) -> None:
    small_fleet.start(prepare=workshop.program(off_s=0))
    workshop.start(off_s=-HOUR_S)
    workshop.start(off_s=f"{HOUR_S} * (int(real_time()) % 3 - 1)")  # jumps each second
    workshop.wait_until_ready(4)
    small_fleet.submit(*clips(tmp_path, "abc"))
    wait_for("beginning", lambda: workshop.began() == ["a", "b", "c"], 30)

    workshop.start(off_s=HOUR_S)  # has nothing to do, and looks for what dead workers held
    workshop.wait_until_ready(5)
    time.sleep(1.3 * LEASE_S)

    assert workshop.began() == ["a", "b", "c"]


def test_what_dead_workers_held_comes_back_soon_whatever_their_clocks_said(
    small_fleet: SmallFleet, workshop: Workshop, tmp_path: Path
) -> None:
    workshop.start(off_s=HOUR_S)
    workshop.start(off_s=-HOUR_S)
    workshop.wait_until_ready(2)
    small_fleet.submit(*clips(tmp_path, "ab"))
    wait_for("beginning", lambda: workshop.began() == ["a", "b"], 30)
    small_fleet.start()
    workshop.wait_until_ready(4)
    assert not small_fleet.records()

    workshop.kill()

    wait_for("record", lambda: len(small_fleet.records()) == 2, 30)  # by their clocks, an hour


def test_a_lease_of_before_the_brokers_clock_went_back_begins_now(tmp_path: Path) -> None:
    with BrokerServer(tmp_path) as broker:
        client = redis.Redis.from_url(broker.url)
        now = float(client.time()[0])
        client.zadd("unacked_index", {"held": now + HOUR_S, "of a while ago": now - 20})
        worker = leases.Leases(broker.url, name="w", queues=("prepare",), lease_s=60)
        worker.start()
        wait_for("renewing", lambda: client.exists("clipfleet:worker:w"), 10)
        scores = [client.zscore("unacked_index", tag) for tag in ("held", "of a while ago")]
        worker.close()
        client.close()

    assert scores == [pytest.approx(now, abs=10), now - 20]


@pytest.mark.parametrize(("asked_s", "waits_s"), [(HOUR_S, 60), (5, 5), (-HOUR_S, -HOUR_S)])
def test_a_task_of_a_worker_that_is_ahead_waits_no_longer_than_any(
    asked_s: float, waits_s: float
) -> None:
    begin = datetime.now(UTC)
    headers = {"eta": (begin + timedelta(seconds=asked_s)).isoformat()}

    transport.wait_no_longer(headers)

    waits = datetime.fromisoformat(headers["eta"]) - begin
    assert waits.total_seconds() == pytest.approx(waits_s, abs=5)
