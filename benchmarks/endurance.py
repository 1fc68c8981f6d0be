"""Thousands of windows through one caption worker: does its memory grow, and is anything lost?

A real worker with `mini` on this machine, on a real broker and a folder store. In the end its
engine's process is killed: the worker ends, is started again, and every window must be there
in the end. Memory is that of the worker and its engine together, without shared pages twice
(proportional set size), from when the first 500 windows are done.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from benchmarks.report import Row, publish
from clipfleet import keys
from clipfleet.messages import WindowJob
from clipfleet.options import CaptionOptions, Options
from clipfleet.queues import CAPTION, make_app
from clipfleet.store import Store, open_store
from clipfleet_producer.embedded.children import Child
from clipfleet_workers.media.packs import Pack
from tests.support.broker import BrokerServer
from tests.support.records import put_plan

OPTIONS = Options(caption=CaptionOptions(model_variant="mini", max_output_tokens=24))
SETTLED = 500
IN_FLIGHT = 16
FRAMES, HEIGHT, WIDTH = 4, 56, 112
EVERY_S = 3.0
AFTER = 400  # windows after the engine was killed


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1,000 windows")
    parser.add_argument("--windows", type=int, default=5000, help="[default: 5000]")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    count = 1000 if given.quick else given.windows
    with tempfile.TemporaryDirectory(prefix="clipfleet-bench-") as name:
        folder = Path(name)
        with BrokerServer(folder) as broker:
            rows = measure(folder, broker.url, count)
    publish(f"{count} windows through one caption worker", rows, json_file=given.json)


def measure(folder: Path, url: str, count: int) -> list[Row]:
    """Measure over `count` windows; then kill the engine, and check that the rest is done."""
    store = open_store(str(folder / "out"))
    store.prepare()
    store.put(keys.run_options("r"), OPTIONS.to_json().encode())
    app = make_app(url, lease_s=30)
    for job in write_windows(store, count + AFTER):
        app.send_task(CAPTION, args=[job.model_dump()], queue=CAPTION, ignore_result=True)
    with worker(folder, url) as child:
        done, began, seen = 0, 0.0, dict[int, float]()
        while done < count:
            time.sleep(EVERY_S)
            assert child.exit_code() is None, child.last_error_line()
            done = count_parts(folder)
            if done >= SETTLED:
                began = began or time.monotonic()
                seen[done] = memory_mb(child)
            megabytes = f", {seen[done]:,.0f} MB" if done in seen else ""
            print(f"\r{done} windows{megabytes}", end="", file=sys.stderr)
        rate = (done - min(seen)) / (time.monotonic() - began)
        kill_engine(child)
        killed_at = count_parts(folder)
        code = wait_for_end(child)
        child.start()
        while (done := count_parts(folder)) < count + AFTER:
            time.sleep(EVERY_S)
            assert child.exit_code() is None, child.last_error_line()
            print(f"\r{done} windows", end="", file=sys.stderr)
    print(file=sys.stderr)
    parts = [json.loads(path.read_text()) for path in (folder / "out").rglob("*.caption.json")]
    first, last = seen[min(seen)], seen[max(seen)]
    return [
        Row("windows", count, "through one engine"),
        Row("windows_per_s", rate, ""),
        Row("memory_at_500", first, "MB"),
        Row("memory_at_end", last, "MB"),
        Row("memory_most", max(seen.values()), "MB"),
        Row("memory_growth", last / first - 1, "of the memory at 500 windows"),
        Row("engine_killed_at", killed_at, f"windows done; the worker's exit code was {code}"),
        Row("lost", count + AFTER - len(parts), f"of {count + AFTER} windows"),
        Row("errors", sum(part["status"] != "ok" for part in parts), ""),
    ]


def write_windows(store: Store, count: int) -> Iterator[WindowJob]:
    """That many small windows, no two alike."""
    random = np.random.default_rng(0)
    for number in range(count):
        job = WindowJob(
            run_id="r",
            clip_uuid=keys.clip_uuid(f"clip/{number}"),
            options_hash=OPTIONS.hash,
            start_frame=0,
            end_frame=63,
        )
        frames = random.integers(0, 255, (FRAMES, HEIGHT, WIDTH, 3), np.uint8)
        indices = [0, 21, 42, 63]
        times_s = [index / 30 for index in indices]
        pack = Pack(frames=frames, indices=indices, times_s=times_s, source_fps=30.0)
        store.put(job.scratch.frames(0, 63), pack.to_bytes())
        put_plan(store, job)
        yield job


@contextlib.contextmanager
def worker(folder: Path, url: str) -> Iterator[Child]:
    """`clipfleet-worker caption` with `mini`."""
    env = {
        **os.environ,
        "CLIPFLEET_BROKER": url,
        "CLIPFLEET_STORE": str(folder / "out"),
        "CLIPFLEET_CACHE_DIR": str(folder / "cache"),
        "TMPDIR": str(folder),
    }
    command = [
        sys.executable,
        "-m",
        "clipfleet_workers",
        "caption",
        "--captioning-algorithm",
        "mini",
    ]
    child = Child(
        "caption", [*command, "--captioning-batch-size", str(IN_FLIGHT)], env, folder / "log"
    )
    child.start()
    try:
        yield child
    finally:
        child.kill()


def count_parts(folder: Path) -> int:
    """How many windows are captioned."""
    clips = (folder / "out" / keys.SCRATCH).iterdir()
    return sum(1 for clip in clips if any(clip.glob("*/*.caption.json")))


def family(child: Child) -> list[psutil.Process]:
    """The worker and its engine's processes."""
    assert child.process is not None
    root = psutil.Process(child.process.pid)
    return [root, *root.children(recursive=True)]


def memory_mb(child: Child) -> float:
    """Their memory together."""
    total = 0
    for process in family(child):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total / 1e6


def kill_engine(child: Child) -> None:
    """Kill the process that holds the model."""
    for process in family(child):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "EngineCore" in " ".join(process.cmdline()):
                process.kill()


def wait_for_end(child: Child) -> int:
    """The worker's exit code, once it has exited by itself."""
    assert child.process is not None
    return subprocess.Popen.wait(child.process, 120)


if __name__ == "__main__":
    main()
