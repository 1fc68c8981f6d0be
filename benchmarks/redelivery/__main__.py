"""How long until a killed worker's task is begun by another, in leases.

Two workers of each kind on a real broker; the one that has begun the task is killed with SIGKILL,
its pool with it, at a random moment of its lease. First, a task that outlasts its lease at a worker
that lives: how often is it begun? Beside both, Celery as it comes, with the lease as its
`visibility_timeout`.
"""

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.redelivery.worker import READY
from benchmarks.report import Row, publish
from clipfleet import keys
from clipfleet.messages import AssembleJob, ClipJob, Message, WindowJob
from clipfleet.queues import ASSEMBLE, PREPARE, QUEUES, make_app
from tests.support.broker import BrokerServer

LEASE_S = 3.0
GIVEN_UP_LEASES = 20
LONG_LEASES = 4


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.redelivery", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 trials in place of 20")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    trials = 3 if given.quick else 20
    rows = []
    for name, count, stock in (("", trials, False), ("stock/", 3, True)):
        taken, begun = measure(count, random.Random(given.seed), stock=stock)
        for queue, times in begun.items():
            unit = f"times, a task of {LONG_LEASES} leases at a worker that lives"
            rows.append(Row(f"{name}begun/{queue}", times, unit))
        for queue, leases in taken.items():
            began = [each for each in leases if each is not None]
            if began:
                rows += [
                    Row(f"{name}redelivery_leases_median/{queue}", statistics.median(began), ""),
                    Row(f"{name}redelivery_leases_max/{queue}", max(began), "leases"),
                ]
            never = len(leases) - len(began)
            unit = f"of {len(leases)} trials, not within {GIVEN_UP_LEASES} leases"
            rows.append(Row(f"{name}not_redelivered/{queue}", never, unit))
    publish(f"a killed worker's task, lease {LEASE_S:g} s", rows, json_file=given.json)


def measure(
    trials: int, chance: random.Random, *, stock: bool
) -> tuple[dict[str, list[float | None]], dict[str, int]]:
    """For each queue and trial the leases that passed, None where it was given up; and how often a
    long task was begun that nobody disturbed."""
    taken: dict[str, list[float | None]] = {queue: [] for queue in QUEUES}
    with tempfile.TemporaryDirectory(prefix="clipfleet-bench-") as name:
        folder = Path(name)
        with BrokerServer(folder) as broker:
            fleet = {queue: Pair(folder, queue, broker.url, stock=stock) for queue in QUEUES}
            app = make_app(broker.url, lease_s=LEASE_S)
            try:
                send(app, "long")
                wait_until_up(fleet.values())
                wait_until(fleet.values(), "long", 1, within_s=60)
                time.sleep(LONG_LEASES * LEASE_S)
                begun = {queue: len(pair.began("long")) for queue, pair in fleet.items()}
                (folder / "long.go").touch()
                time.sleep(1.0)
                for trial in range(trials):
                    wait_until_up(fleet.values())
                    run = f"trial-{trial}"
                    send(app, run)
                    for queue, leases in one_trial(fleet, run, chance).items():
                        taken[queue].append(leases)
                    (folder / f"{run}.go").touch()
                    print(f"\r{trial + 1} of {trials} trials", end="", file=sys.stderr)
                    time.sleep(1.0)
            finally:
                for pair in fleet.values():
                    pair.stop()
    print(file=sys.stderr)
    return taken, begun


def send(app: Any, run: str) -> None:
    """A task for each queue."""
    for queue in QUEUES:
        job = [job_for(queue, run).model_dump()]
        app.send_task(queue, args=job, queue=queue, ignore_result=True)


class Pair:
    """Two workers of one queue."""

    def __init__(self, folder: Path, queue: str, url: str, *, stock: bool) -> None:
        self._began = folder / f"{queue}.began"
        self._began.touch()
        settings = {
            "CLIPFLEET_BROKER": url,
            "CLIPFLEET_STORE": str(folder / "out"),
            "CLIPFLEET_LEASE_S": str(LEASE_S),
            "CLIPFLEET_DRAIN_S": "0",
            **({"STOCK": "1"} if stock else {}),
        }
        self._env = {**os.environ, **settings}
        module = "benchmarks.redelivery.worker"
        self._command = [sys.executable, "-m", module, str(folder), queue]
        self._log = (folder / f"{queue}.log").open("a")
        self._workers = [self._start(), self._start()]

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self._command, env=self._env, stderr=self._log, stdout=self._log, process_group=0
        )

    def began(self, run: str) -> list[tuple[int, float]]:
        """(process, time) of each begin of the run's task, in order."""
        lines = (line.split() for line in self._began.read_text().splitlines())
        return [(int(pid), float(at)) for name, pid, at in lines if name == run]

    def is_up(self) -> bool:
        """Whether both workers take messages: a late start is no fault of the lease."""
        return {worker.pid for worker in self._workers} <= {pid for pid, _ in self.began(READY)}

    def kill(self, pid: int) -> None:
        """Kill the worker whose process it is, or whose pool's; start another in its place."""
        group = os.getpgid(pid)
        os.killpg(group, signal.SIGKILL)
        for place, worker in enumerate(self._workers):
            if worker.pid == group:
                worker.wait()
                self._workers[place] = self._start()

    def stop(self) -> None:
        """End both."""
        for worker in self._workers:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
        self._log.close()


def one_trial(fleet: dict[str, Pair], run: str, chance: random.Random) -> dict[str, float | None]:
    """Kill whoever has begun each queue's task; the leases until another has."""
    wait_until(fleet.values(), run, 1, within_s=60)
    kills = []
    for queue in fleet:
        kills.append((time.time() + chance.uniform(0, LEASE_S), queue))
    killed = {}
    for at, queue in sorted(kills):
        time.sleep(max(0.0, at - time.time()))
        fleet[queue].kill(fleet[queue].began(run)[0][0])
        killed[queue] = time.time()
    wait_until(fleet.values(), run, 2, within_s=GIVEN_UP_LEASES * LEASE_S)
    found: dict[str, float | None] = {}
    for queue, pair in fleet.items():
        began = pair.began(run)
        found[queue] = (began[1][1] - killed[queue]) / LEASE_S if len(began) > 1 else None
    return found


def wait_until(pairs: Iterable[Pair], run: str, times: int, *, within_s: float) -> None:
    """Wait until every pair has begun the task so often, or the time is up."""
    deadline = time.monotonic() + within_s
    pairs = list(pairs)
    while time.monotonic() < deadline:
        if all(len(pair.began(run)) >= times for pair in pairs):
            return
        time.sleep(0.05)


def wait_until_up(pairs: Iterable[Pair]) -> None:
    """Wait until both workers of every pair are up."""
    deadline = time.monotonic() + 60
    while not all(pair.is_up() for pair in pairs):
        if time.monotonic() > deadline:
            raise RuntimeError("a worker did not come up within a minute")
        time.sleep(0.05)


def job_for(queue: str, run: str) -> Message:
    """A job for the queue."""
    claim: dict[str, Any] = {
        "run_id": run,
        "clip_uuid": keys.clip_uuid(run),
        "options_hash": "0" * 16,
    }
    if queue == PREPARE:
        return ClipJob(**claim, source="file:///clip.mp4")
    if queue == ASSEMBLE:
        return AssembleJob(**claim)
    return WindowJob(**claim, start_frame=0, end_frame=9)


if __name__ == "__main__":
    main()
