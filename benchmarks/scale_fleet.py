"""A whole fleet with simulated engines on this machine, and what it holds and spends meanwhile."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis

from tests.broker import BrokerServer

EVERY_S = 0.5
# What the broker's memory may have gone to beside our keys.
_PARTS = (
    *("connected_clients", "mem_clients_normal", "mem_aof_buffer", "used_memory_dataset"),
    *("aof_rewrite_in_progress", "aof_current_size", "uptime_in_seconds"),
)


@dataclass
class Peak:
    """The most there was at once."""

    broker_bytes: int = 0
    scratch_bytes: int = 0
    scratch_objects: int = 0
    messages: int = 0
    broker_parts: dict[str, int] = field(default_factory=dict)  # of `broker_bytes`, and when


class Sampler:
    """Looks at the broker's memory and at scratch, twice a second. A context manager."""

    def __init__(self, server: BrokerServer, out: Path) -> None:
        self.peak = Peak()
        self._client = redis.Redis.from_url(server.url)
        self._scratch = out / "scratch"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        peak = self.peak
        while not self._over.wait(EVERY_S):
            said = self._client.info()
            if int(said["used_memory"]) > peak.broker_bytes:
                peak.broker_bytes = int(said["used_memory"])
                peak.broker_parts = {name: int(said[name]) for name in _PARTS if name in said}
            num_bytes, objects = _size(self._scratch)
            peak.scratch_bytes = max(peak.scratch_bytes, num_bytes)
            peak.scratch_objects = max(peak.scratch_objects, objects)
            waiting = sum(int(self._client.llen(q)) for q in ("prepare", "caption", "assemble"))
            peak.messages = max(peak.messages, waiting)


def _size(folder: Path) -> tuple[int, int]:
    num_bytes = objects = 0
    for root, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(FileNotFoundError):
                num_bytes += (Path(root) / name).stat().st_size
                objects += 1
    return num_bytes, objects


@dataclass
class Fleet:
    """Workers by kind, one process group each."""

    env: dict[str, str]
    log: Path
    workers: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, name: str, *command: str) -> None:
        """Start a worker: a module and its arguments."""
        with self.log.open("a") as log:
            self.workers[name] = subprocess.Popen(
                [sys.executable, "-P", "-m", *command],
                env={**os.environ, **self.env},
                stdout=log,
                stderr=log,
                process_group=0,
            )

    def cpu_s(self) -> dict[str, float]:
        """What each kind has spent so far; a kind is a name up to its number."""
        spent: dict[str, float] = {}
        for name, worker in self.workers.items():
            process = psutil.Process(worker.pid)
            family = [process, *process.children(recursive=True)]
            times = [each.cpu_times() for each in family]
            kind = name.rstrip("0123456789")
            spent[kind] = spent.get(kind, 0.0) + sum(t.user + t.system for t in times)
        return spent

    def stop(self) -> None:
        """End them all."""
        for worker in self.workers.values():
            worker.terminate()
        for worker in self.workers.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(20)
            worker.kill()
            worker.wait()


@contextlib.contextmanager
def fleet(
    server: BrokerServer,
    store: str,
    folder: Path,
    *,
    gpus: int,
    rate: float,
    slots: int,
    env: dict[str, str] | None = None,
) -> Iterator[Fleet]:
    """One prepare and one assemble process, and so many simulated GPUs, all up and listening."""
    settings = {
        "CLIPFLEET_BROKER": server.url,
        "CLIPFLEET_STORE": store,
        "CLIPFLEET_DRAIN_S": "0",
        "PYTHONPATH": str(Path.cwd()),
        **(env or {}),
    }
    made = Fleet(settings, folder / "workers.log")
    try:
        made.start("prepare", "workers", "prepare", "--concurrency", "1")
        made.start("preview", "workers", "preview", "--concurrency", "1")
        made.start("assemble", "workers", "assemble", "--concurrency", "1")
        for number in range(gpus):
            made.start(f"caption{number}", "benchmarks.scale_worker", str(rate), str(slots))
        _wait_for_all(server, len(made.workers))
        yield made
    finally:
        made.stop()


def _wait_for_all(server: BrokerServer, count: int, *, within_s: float = 180) -> None:
    client = redis.Redis.from_url(server.url)
    deadline = time.monotonic() + within_s
    while sum(1 for _ in client.scan_iter("clipfleet:worker:*")) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not all of {count} workers came up")
        time.sleep(0.5)
