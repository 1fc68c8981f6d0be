"""What grows with a run, what with a fleet: real workers, real broker, engines of a set rate.

sizes: broker memory and scratch at their peak, for runs of 1,000, 10,000 and 100,000 tiny clips.
    The engine comes up when no more is let in, as a GPU's is the last to.
gpus: windows a second against the number of simulated GPUs, and who spends the CPU: each kind of
    worker, the feeder, the broker, and the machine in all.
store: what a clip of usual size costs: requests and bytes to S3, commands, CPU by worker.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import redis

from benchmarks.report import Row, publish
from benchmarks.scale.fleet import Fleet, Sampler, cpu_s, fleet
from benchmarks.scale.store import store_rows
from tests.support import clips
from tests.support.broker import BrokerServer

SIZES = (1000, 10_000, 100_000)
GPUS = (1, 2, 4, 8, 16, 32)
IN_FLIGHT = 200
PARTS = ("sizes", "gpus", "store")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--part", choices=PARTS, action="append", help="[default: all]")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--gpus", type=int, nargs="*", default=GPUS)
    parser.add_argument("--rate", type=float, default=1.0, help="of a simulated GPU, windows/s")
    parser.add_argument("--slots", type=int, default=16, help="windows in an engine at once")
    parser.add_argument("--cpu-workers", type=int, default=1, help="of each CPU queue")
    parser.add_argument("--seconds", type=float, default=40.0, help="of each number of GPUs")
    parser.add_argument("--quick", action="store_true", help="small sizes, few GPUs")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    if given.quick:
        given.sizes, given.gpus, given.seconds = (100, 300), (1, 2), 10.0
    rows: list[Row] = []
    for part in given.part or PARTS:
        if part == "sizes":
            rows += size_rows(given.sizes, given.cpu_workers)
        elif part == "gpus":
            for gpus in given.gpus:
                load = Load(gpus, given.rate, given.slots, given.cpu_workers)
                rows += gpu_rows(load, given.seconds)
        else:
            rows += store_rows()
    settings = {
        "in_flight_in_sizes": str(IN_FLIGHT),
        "rate_of_a_gpu": str(given.rate),
        "slots_of_a_gpu": str(given.slots),
        "workers_of_each_cpu_queue": str(given.cpu_workers),
    }
    publish("what grows with a run and a fleet", rows, json_file=given.json, settings=settings)


def write_clips(folder: Path, count: int) -> Path:
    """That many clips of 16 small frames: one file under many names."""
    folder.mkdir()
    first = folder / "first.mp4"
    first.write_bytes(clips.encode(16, size=(64, 64), options={"preset": "ultrafast"}))
    for number in range(1, count):
        if number % 50_000 == 0:  # a file has so many names at most
            first = folder / f"{number}.mp4"
            first.write_bytes((folder / "first.mp4").read_bytes())
        else:
            os.link(first, folder / f"{number}.mp4")
    return folder


def submit(folder: Path, out: Path, url: str, *flags: str) -> "subprocess.Popen[bytes]":
    """`clipfleet submit --wait`, as a user runs it."""
    command = [sys.executable, "-m", "clipfleet_producer", "submit", str(folder), "--wait"]
    command += flags
    env = {**os.environ, "CLIPFLEET_BROKER": url, "CLIPFLEET_STORE": str(out)}
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)


def size_rows(sizes: "tuple[int, ...] | list[int]", cpu_workers: int) -> list[Row]:
    """Peaks by the number of clips."""
    rows = []
    load = Load(gpus=cpu_workers, rate=1000, slots=16, cpu_workers=cpu_workers)
    flags = ("--no-generate-previews", "--in-flight", str(IN_FLIGHT))
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="clipfleet-bench-") as name:
            folder, out = Path(name), Path(name) / "out"
            source = write_clips(folder / "clips", size)
            with (
                BrokerServer(folder) as server,
                fleet(server, str(out), folder, **asdict(load)) as workers,
                Sampler(server, out) as sampler,
            ):
                workers.signal("caption", signal.SIGSTOP)
                producer = submit(source, out, server.url, *flags)
                wait_until_full(sampler, producer)
                workers.signal("caption", signal.SIGCONT)
                began = time.monotonic()
                code = producer.wait()
                seconds = time.monotonic() - began
                left = int(redis.Redis.from_url(server.url).info("memory")["used_memory"])
            peak = sampler.peak
            records = sum(1 for _ in (out / "metas" / "v0").iterdir())
            print(f"{size} clips in {seconds:.0f} s, exit {code}: {peak}", file=sys.stderr)
            if code or records != size:
                raise RuntimeError(f"exit code {code}, {records} records of {size}")
            rows += [
                Row(f"broker_mb/{size}", peak.broker_bytes / 1e6, "MB at its peak"),
                Row(f"broker_mb_after/{size}", left / 1e6, "MB"),
                Row(f"scratch_mb/{size}", peak.scratch_bytes / 1e6, "MB at its peak"),
                Row(f"scratch_objects/{size}", peak.scratch_objects, "at their peak"),
                Row(f"messages_waiting/{size}", peak.messages, "at their peak"),
                Row(f"clips_per_s/{size}", size / seconds, "clips/s"),
            ]
    return rows


def wait_until_full(sampler: Sampler, producer: "subprocess.Popen[bytes]") -> None:
    """Waits until scratch has not grown for five seconds, or the feeder is gone."""
    seen = 0
    while producer.poll() is None and (not seen or sampler.peak.scratch_objects > seen):
        seen = sampler.peak.scratch_objects
        time.sleep(5)


@dataclass(frozen=True)
class Load:
    """A fleet: GPUs of that many windows/s each, with that many in an engine at once."""

    gpus: int
    rate: float
    slots: int
    cpu_workers: int


def gpu_rows(load: Load, seconds: float) -> list[Row]:
    """Windows a second with that many GPUs, and the cores that each kind of process uses."""
    offered = load.gpus * load.rate
    full_s = load.slots / load.rate + 45  # the feeder has let enough in, and the engines are full
    with tempfile.TemporaryDirectory(prefix="clipfleet-bench-") as name:
        folder, out = Path(name), Path(name) / "out"
        source = write_clips(folder / "clips", int(offered * (seconds + full_s + 30)) + 500)
        with (
            BrokerServer(folder) as server,
            fleet(server, str(out), folder, **asdict(load)) as workers,
        ):
            in_flight = max(64, int(2.5 * load.slots * load.gpus))
            producer = submit(source, out, server.url, "--in-flight", str(in_flight))
            families = {"feeder": producer.pid, "broker": server.pid}
            time.sleep(full_s)
            before = _Reading.take(out, workers, families, server)
            time.sleep(seconds)
            after = _Reading.take(out, workers, families, server)
            producer.kill()
            producer.wait()
    done, took = after.records - before.records, after.at - before.at
    print(f"{load.gpus} GPUs: {done / took:.2f} windows/s", file=sys.stderr)
    gpus = load.gpus
    rows = [
        Row(f"windows_per_s/{gpus}", done / took, "windows/s"),
        Row(f"efficiency/{gpus}", done / took / offered, "of the engines' rate"),
        Row(f"commands_per_s/{gpus}", (after.commands - before.commands) / took, "commands/s"),
        Row(f"commands_per_clip/{gpus}", (after.commands - before.commands) / max(1, done), "each"),
        Row(f"broker_mb/{gpus}", after.broker_bytes / 1e6, "MB"),
        Row(f"connections/{gpus}", after.connections, "to the broker"),
    ]
    for kind, spent in after.cpu_s.items():
        rows.append(Row(f"cores/{kind}/{gpus}", (spent - before.cpu_s[kind]) / took, "cores"))
    return rows


@dataclass(frozen=True)
class _Reading:
    """What is done and spent so far."""

    records: int
    commands: int
    broker_bytes: int
    connections: int
    cpu_s: dict[str, float]
    at: float

    @classmethod
    def take(
        cls, out: Path, workers: Fleet, others: dict[str, int], server: BrokerServer
    ) -> "_Reading":
        said = redis.Redis.from_url(server.url).info()
        machine = psutil.cpu_times()
        spent = {
            **workers.cpu_s(),
            **{name: cpu_s(pid) for name, pid in others.items()},
            "machine": sum(machine) - machine.idle - machine.iowait,
        }
        return cls(
            records=_records(out),
            commands=int(said["total_commands_processed"]),
            broker_bytes=int(said["used_memory"]),
            connections=int(said["connected_clients"]),
            cpu_s=spent,
            at=time.monotonic(),
        )


def _records(out: Path) -> int:
    folder = out / "metas" / "v0"
    return sum(1 for _ in folder.iterdir()) if folder.exists() else 0


if __name__ == "__main__":
    main()
