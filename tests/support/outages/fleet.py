"""A whole fleet on a broker behind a link, that goes on from run to run, and is never helped."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import av
import numpy as np
import redis

from clipfleet.options import Options
from clipfleet.queues import ASSEMBLE, CAPTION, PREPARE, PREVIEW
from clipfleet.runs import RunHead
from clipfleet.store import Store, open_store
from clipfleet_producer.api import Fleet as FleetApi
from clipfleet_producer.api import FleetRun
from clipfleet_producer.runs.store import RunStore
from tests.support.broker import BrokerServer
from tests.support.bucket import serving
from tests.support.outages.history import History, left_in_broker, wrong_in_store
from tests.support.outages.link import Link
from tests.support.tree import python_path
from tests.support.waiting import wait_for

LEASE_S = 3.0
OPTIONS = Options.model_validate(
    {"caption": {"model_variant": "mini"}, "preview": {"compression_level": 1}}
)
_ARGUMENTS = {PREPARE: ["--concurrency", "2"], CAPTION: ["--concurrency", "8"]}
ROOT = Path(__file__).parents[3]


def write_clips(folder: Path, count: int, *, seed: int) -> list[Path]:
    """So many small clips, no two alike."""
    folder.mkdir(parents=True)
    chance = np.random.default_rng(seed)
    paths = []
    for number in range(count):
        path = folder / f"{folder.name}-{number:03d}.mp4"
        texture = chance.integers(0, 255, (64, 64, 3), np.uint8)
        with av.open(str(path), "w") as out:
            stream = out.add_stream("mpeg4", rate=10)
            stream.width = stream.height = 64
            stream.pix_fmt = "yuv420p"
            for frame in range(12):
                image = av.VideoFrame.from_ndarray(np.roll(texture, frame, 0), format="rgb24")
                out.mux(stream.encode(image))
            out.mux(stream.encode())
        paths.append(path)
    return paths


class OutageFleet:
    """Use as a context manager: one worker of each kind, and whoever submits."""

    def __init__(self, folder: Path, *, window_s: float = 1.0) -> None:
        self.folder = folder
        self.history_folder = folder / "history"
        self.history_folder.mkdir(parents=True)
        (folder / "broker").mkdir()
        self.history = History(self.history_folder)
        self.broker = BrokerServer(folder / "broker")
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._window_s = window_s
        self._stack = ExitStack()
        self._log = (folder / "workers.log").open("a")

    def __enter__(self) -> Self:
        self.broker.start()
        self.link = Link(self.broker.port)
        self.link.__enter__()
        self.bucket = self._stack.enter_context(serving())
        self.url = f"redis://:{self.broker.password}@127.0.0.1:{self.link.port}/0"
        for queue in (PREPARE, PREVIEW, ASSEMBLE, CAPTION):
            self.start(queue)
        wait_for("workers", lambda: len(self.beats()) == len(self.workers), 60)
        self.api = FleetApi(
            broker=self.url, store=str(self.out), lease_s=LEASE_S, **self.bucket.settings
        )
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers.values():
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait(10)
        self.link.__exit__()
        self._stack.close()
        self.broker.kill()
        self._log.close()

    @property
    def out(self) -> Path:
        """The store's folder."""
        return self.folder / "out"

    @property
    def store(self) -> Store:
        """The store."""
        return open_store(str(self.out))

    def client(self) -> redis.Redis:
        """The broker itself, past the link."""
        return redis.Redis.from_url(self.broker.url, decode_responses=True)

    def beats(self) -> list[str]:
        """The workers that say that they live."""
        return list(self.client().scan_iter("clipfleet:worker:*"))

    def start(
        self, queue: str, *, name: str = "", tree: Path = ROOT, **env: str
    ) -> "subprocess.Popen[bytes]":
        """Start a worker, of the code below `tree`."""
        settings = {
            "CLIPFLEET_BROKER": self.url,
            "CLIPFLEET_STORE": str(self.out),
            "CLIPFLEET_LEASE_S": str(LEASE_S),
            "CLIPFLEET_LOG_FORMAT": "text",
            "HISTORY": str(self.history_folder),
            "WINDOW_S": str(self._window_s),
            "PYTHONPATH": python_path(tree),
            "TMPDIR": str(self.folder),
            **{f"CLIPFLEET_{n.upper()}": value for n, value in self.bucket.settings.items()},
        }
        command = [sys.executable, "-P", "-m", "tests.support.outages.worker", queue]
        worker = subprocess.Popen(
            [*command, *_ARGUMENTS.get(queue, ["--concurrency", "1"])],
            env={**os.environ, **settings, **env},
            cwd=tree,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            process_group=0,
        )
        self.workers[name or queue] = worker
        return worker

    def stop(self, name: str, *, within_s: float = 60) -> int:
        """Have a worker end politely; its exit code."""
        worker = self.workers.pop(name)
        worker.terminate()
        return worker.wait(within_s)

    def submit(self, clips: Sequence[Path], run_id: str, *, by_s3: bool = False) -> "Running":
        """Submit the clips, out of a bucket where that is wanted, and follow them from a thread."""
        sources = [path.as_uri() for path in clips]
        if by_s3:
            sources = [f"s3://raw/{run_id}/{path.name}" for path in clips]
            found = {f"{run_id}/{path.name}": path.read_bytes() for path in clips}
            self.bucket.objects.update(found)
        return Running(self.api.submit(sources, OPTIONS, run_id=run_id), sources)

    def records(self) -> int:
        """How many clips have records, of all runs."""
        folder = self.out / "metas/v0"
        return len(list(folder.iterdir())) if folder.is_dir() else 0

    def wrong(self, head: RunHead, sources: Sequence[str], *, since: float) -> list[str]:
        """What must not be, of a run and of the fleet, once the run is over."""
        found = [
            f"the {name} worker ended with {worker.poll()}"
            for name, worker in self.workers.items()
            if worker.poll() is not None
        ]
        found += wrong_in_store(self.store, head, sources)
        found += self.history.wrong(since=since)
        deadline = time.monotonic() + 3 * LEASE_S
        while (left := left_in_broker(self.client())) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found + left


class Running:
    """A run that is followed."""

    def __init__(self, run: FleetRun, sources: Sequence[str]) -> None:
        self.head, self.sources = run.head, sources
        self._run = run
        self.failed: BaseException | None = None
        self._thread = threading.Thread(target=self._feed, daemon=True)
        self._thread.start()

    def _feed(self) -> None:
        try:
            self._run.feed(in_flight=16)
        except BaseException as error:
            self.failed = error

    def over(self, store: Store) -> bool:
        """Whether it has finished."""
        return RunStore(store=store, head=self.head).summary() is not None

    def wait(self, store: Store, within_s: float) -> float | None:
        """The seconds until it finished; None where it did not in time."""
        began = time.monotonic()
        while not self.over(store):
            if time.monotonic() - began > within_s:
                return None
            time.sleep(0.1)
        self._thread.join(10)
        return time.monotonic() - began
