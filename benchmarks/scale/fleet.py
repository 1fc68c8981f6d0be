"""A whole fleet with simulated engines on this machine, and what it stores and spends meanwhile."""

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

from tests.support.broker import BrokerServer

EVERY_S = 0.5
# What else the broker's memory may be used for.
_PARTS = (
    *("connected_clients", "mem_clients_normal", "mem_aof_buffer", "used_memory_dataset"),
    *("aof_rewrite_in_progress", "aof_current_size", "uptime_in_seconds"),
)


@dataclass
class Peak:
    """The peaks."""

    broker_bytes: int = 0
    scratch_bytes: int = 0
    scratch_objects: int = 0
    messages: int = 0
    broker_parts: dict[str, int] = field(default_factory=dict)  # of `broker_bytes`, and when
    largest_client: str = ""  # as the broker's CLIENT LIST has it, then


class Sampler:
    """Samples the broker's memory and scratch twice a second. A context manager."""

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
                largest = max(self._client.client_list(), key=lambda each: int(each["tot-mem"]))
                peak.largest_client = str(largest)
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


def cpu_s(pid: int) -> float:
    """CPU seconds that a process and its children have spent so far."""
    process = psutil.Process(pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


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
            kind = name.rstrip("0123456789")
            spent[kind] = spent.get(kind, 0.0) + cpu_s(worker.pid)
        return spent

    def signal(self, kind: str, number: int) -> None:
        """Send a signal to all of a kind."""
        for name, worker in self.workers.items():
            if name.rstrip("0123456789") == kind:
                worker.send_signal(number)

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
    cpu_workers: int = 1,
    env: dict[str, str] | None = None,
) -> Iterator[Fleet]:
    """That many workers of each CPU queue, and that many simulated GPUs, all up and listening."""
    settings = {
        "CLIPFLEET_BROKER": server.url,
        "CLIPFLEET_STORE": store,
        "CLIPFLEET_DRAIN_S": "0",
        "PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")]),
        **(env or {}),
    }
    made = Fleet(settings, folder / "workers.log")
    try:
        for number in range(cpu_workers):
            for queue in ("prepare", "preview", "assemble"):
                made.start(f"{queue}{number}", "clipfleet_workers", queue, "--concurrency", "1")
        for number in range(gpus):
            made.start(f"caption{number}", "benchmarks.scale.worker", str(rate), str(slots))
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
