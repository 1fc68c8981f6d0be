"""What the queue costs: CPU and broker commands per clip, ours compared with plain Celery.

Clips of two windows through prepare, caption and preview of each window, and assemble. Steps are
empty on both sides. Ours have all that is around them: leases, checks of messages, poison, orders,
events, a feeder that holds 64 clips in flight and looks each clip's record up before and after.
Theirs are sent all at once and counted. Both in turns, each on a broker of its own.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import redis

from benchmarks.queue.bare import DONE
from benchmarks.queue.bare import make_app as make_bare_app
from benchmarks.report import Row, publish
from clipfleet import keys
from clipfleet.broker.client import Broker
from clipfleet.options import Options
from clipfleet.queues import make_app
from clipfleet.records import ManifestLine
from clipfleet.store import Store, open_store
from clipfleet_producer.feeding.feeder import Feeder
from clipfleet_producer.feeding.limit import InFlightLimit
from clipfleet_producer.feeding.observer import FeedObserver
from clipfleet_producer.runs.model import Run
from clipfleet_producer.runs.writing import write_run
from tests.support.broker import BrokerServer

QUEUES = ("prepare", "caption", "preview", "assemble")
LEASE_S = 30.0
WARM_UP = 50


@dataclass(frozen=True)
class Cost:
    """What a number of clips took in total: CPU seconds by part, commands, seconds."""

    cpu_s: dict[str, float]
    commands: int
    seconds: float


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queue", description=__doc__)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="200 clips, one round")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    clips, rounds = (200, 1) if given.quick else (given.clips, given.rounds)
    costs: dict[str, list[Cost]] = {"ours": [], "bare": []}
    for number in range(rounds):
        for side, measure in (("ours", measure_ours), ("bare", measure_bare)):
            print(f"round {number + 1} of {rounds}: {side}", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory(prefix="clipfleet-bench-") as name:
                costs[side].append(measure(Path(name), clips))
    rows = [
        Row("cpu_ratio_vs_bare_celery", ratio(costs, cpu), "times, medians"),
        Row("commands_ratio_vs_bare_celery", ratio(costs, lambda c: c.commands), "times, medians"),
        Row("commands_per_clip", middle(costs["ours"], lambda c: c.commands) / clips, "commands"),
    ]
    for side, found in costs.items():
        rows.append(Row(f"cpu/{side}", middle(found, cpu) / clips * 1000, "ms a clip"))
        rows.append(Row(f"commands/{side}", middle(found, lambda c: c.commands) / clips, "a clip"))
        rows.append(
            Row(f"clips_per_s/{side}", clips / middle(found, lambda c: c.seconds), "clips/s")
        )
        for part in found[0].cpu_s:
            spent = median(cost.cpu_s[part] for cost in found)
            rows.append(Row(f"cpu/{side}/{part}", spent / clips * 1000, "ms a clip"))
    publish("what the queue costs", rows, json_file=given.json)


def cpu(cost: Cost) -> float:
    """All of it."""
    return sum(cost.cpu_s.values())


Of = Callable[[Cost], float]


def middle(costs: list[Cost], of: Of) -> float:
    """The median over rounds."""
    return median(of(cost) for cost in costs)


def ratio(costs: dict[str, list[Cost]], of: Of) -> float:
    """Ours by theirs."""
    return middle(costs["ours"], of) / middle(costs["bare"], of)


class Meter:
    """CPU and commands since it was made."""

    def __init__(self, server: BrokerServer, workers: dict[str, "subprocess.Popen[bytes]"]) -> None:
        self._client = redis.Redis.from_url(server.url)
        self._processes = {name: psutil.Process(each.pid) for name, each in workers.items()}
        self._processes["broker"] = psutil.Process(server.pid)
        self._before = self._spent()
        self._commands = self._count()
        self._began = time.monotonic()

    def _spent(self) -> dict[str, float]:
        spent = {"producer": time.process_time()}
        for name, process in self._processes.items():
            family = [process, *process.children(recursive=True)]
            times = [each.cpu_times() for each in family]
            spent[name] = sum(each.user + each.system for each in times)
        return spent

    def _count(self) -> int:
        info: dict[str, Any] = self._client.info("stats")
        return int(info["total_commands_processed"])

    def read(self) -> Cost:
        """What it took, without the meter's own commands."""
        commands = self._count() - self._commands - 1
        seconds, after = time.monotonic() - self._began, self._spent()
        spent = {name: after[name] - before for name, before in self._before.items()}
        return Cost(spent, commands, seconds)


@contextlib.contextmanager
def fleet(
    commands: dict[str, list[str]], folder: Path, env: dict[str, str]
) -> Iterator[dict[str, "subprocess.Popen[bytes]"]]:
    """A worker for each queue."""
    with (folder / "workers.log").open("a") as log:
        workers = {
            queue: subprocess.Popen(
                command, env={**os.environ, **env}, stdout=log, stderr=log, process_group=0
            )
            for queue, command in commands.items()
        }
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.terminate()
        for worker in workers.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(20)
            worker.kill()


class Quiet(FeedObserver):
    """Says what feeders warn of, and nothing else."""

    def say(self, line: str) -> None:
        print(line, file=sys.stderr)


def measure_ours(folder: Path, clips: int) -> Cost:
    """Clips by our workers, fed by our feeder."""
    store = open_store(str(folder / "out"))
    store.prepare()
    with BrokerServer(folder) as server:
        env = {"CLIPFLEET_BROKER": server.url, "CLIPFLEET_STORE": str(folder / "out")}
        module = "benchmarks.queue.worker"
        commands = {queue: [sys.executable, "-m", module, queue] for queue in QUEUES}
        with fleet(commands, folder, env) as workers:
            feed_all(server, store, "warm-up", WARM_UP)
            meter = Meter(server, workers)
            feed_all(server, store, "run", clips)
            return meter.read()


def feed_all(server: BrokerServer, store: Store, run_id: str, clips: int) -> None:
    """Feed a run of that many clips until all have their records."""
    sources = (f"s3://bucket/{run_id}/{number}.mp4" for number in range(clips))
    lines = (ManifestLine(clip_uuid=keys.clip_uuid(each), source=each) for each in sources)
    head = write_run(store, run_id, Options(), lines).head
    feeder = Feeder(
        make_app(server.url, lease_s=LEASE_S),
        Broker(server.url),
        Run(head=head, store=store),
        Quiet(),
        lease_s=LEASE_S,
        in_flight_limit=InFlightLimit(64),
    )
    while not feeder.step(wait_s=0.25):
        pass
    feeder.close()


def measure_bare(folder: Path, clips: int) -> Cost:
    """Clips by Celery's workers, sent all at once."""
    with BrokerServer(folder) as server:
        module = "benchmarks.queue.bare"
        commands = {queue: [sys.executable, "-m", module, server.url, queue] for queue in QUEUES}
        with fleet(commands, folder, {}) as workers:
            send_all(server, "warm-up", WARM_UP)
            meter = Meter(server, workers)
            send_all(server, "run", clips)
            return meter.read()


def send_all(server: BrokerServer, run_id: str, clips: int) -> None:
    """Send that many clips, and wait until all are counted."""
    client = redis.Redis.from_url(server.url)
    client.set(DONE, 0)
    app, options_hash = make_bare_app(server.url), Options().hash
    for number in range(clips):
        source = f"s3://bucket/{run_id}/{number}.mp4"
        job = {
            "run_id": run_id,
            "clip_uuid": keys.clip_uuid(source),
            "options_hash": options_hash,
            "source": source,
        }
        app.send_task("prepare", args=[job], queue="prepare", ignore_result=True)
    while int(client.incrby(DONE, 0)) < clips:
        time.sleep(0.25)


if __name__ == "__main__":
    main()
