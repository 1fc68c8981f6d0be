"""Our worker itself: a real Celery worker on a real broker, frame packs from a store.

What is measured is `clipfleet-worker caption`, one for each GPU, as a fleet runs it.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gpu.load import FRAMES, PROMPT, Load
from benchmarks.gpu.meter import BusyMeter
from clipfleet import keys
from clipfleet.broker import Broker
from clipfleet.messages import WindowJob
from clipfleet.options import CaptionOptions, Options
from clipfleet.queues import CAPTION, make_app
from clipfleet.store import Store, open_store
from tests.broker import BrokerServer
from workers.media.packs import Pack

WARM_UP = 8
START_S = 400.0


def main() -> None:
    """Run it. Prints one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="qwen")
    parser.add_argument("--count", type=int, default=192)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--gpus", default="0")
    parser.add_argument("--fp8", action="store_true")
    parser.add_argument("--arguments", type=json.loads, default={})
    given = parser.parse_args()
    gpus = [int(gpu) for gpu in given.gpus.split(",")]
    load = Load(count=given.count * len(gpus), in_flight=given.in_flight)
    with tempfile.TemporaryDirectory(prefix="clipfleet-gpu-") as name:
        folder = Path(name)
        store = open_store(str(folder / "out"))
        store.prepare()
        with BrokerServer(folder) as broker, _workers(given, folder, broker.url):
            url = broker.url
            app = make_app(url, lease_s=30)
            jobs = [
                *_write(store, Load(count=WARM_UP * len(gpus), in_flight=1), "warm", given),
                *_write(store, load, "run", given),
            ]
            _wait_for_workers(url, len(gpus))
            warm = WARM_UP * len(gpus)
            _send(app, jobs[:warm])
            _wait_for_parts(folder, warm)
            with BusyMeter(gpus) as meter:
                began = time.monotonic()
                _send(app, jobs[warm:])
                _wait_for_parts(folder, len(jobs))
                seconds = time.monotonic() - began
        written = [
            json.loads(path.read_text()) for path in (folder / "out").rglob("*.caption.json")
        ]
    failed = [part["error"]["message"] for part in written if part["error"]]
    found = {
        "windows_per_s": load.count / seconds,
        "busy": meter.busy,
        "failed": failed[:3],
        "output_tokens": sum(p["completion"]["output_tokens"] for p in written if not p["error"]),
    }
    print("RESULT", json.dumps(found), flush=True)


@contextlib.contextmanager
def _workers(given: argparse.Namespace, folder: Path, url: str) -> Iterator[None]:
    arguments = {"load_format": "dummy", **given.arguments}
    environment = {
        **os.environ,
        "CLIPFLEET_BROKER": url,
        "CLIPFLEET_STORE": str(folder / "out"),
        "CLIPFLEET_ENGINE_ARGUMENTS": json.dumps(arguments),
        "CLIPFLEET_DRAIN_S": "2",
    }
    command = [sys.executable, "-P", "-m", "workers", "caption", "--gpus", given.gpus]
    command += ["--captioning-algorithm", given.model, "--captioning-model-dir", str(given.folder)]
    command += ["--captioning-batch-size", str(given.in_flight)]
    command += ["--captioning-fp8"] if given.fp8 else []
    workers = subprocess.Popen(command, env=environment)
    try:
        yield
    finally:
        workers.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            workers.wait(60)
        workers.kill()


def _write(store: Store, load: Load, name: str, given: argparse.Namespace) -> list[WindowJob]:
    """Each window's pack, and a run for each length of caption."""
    jobs = []
    for number, (frames, tokens) in enumerate(zip(load.frames(), load.lengths(), strict=True)):
        caption = CaptionOptions(
            model_variant=given.model, fp8=given.fp8, prompt_text=PROMPT, max_output_tokens=tokens
        )
        options = Options(caption=caption)
        run = f"{name}-{tokens}"
        store.put(keys.run_options(run), options.model_dump_json().encode())
        job = WindowJob(
            run_id=run,
            clip_uuid=keys.clip_uuid(f"{name}/{number}"),
            options_hash=options.hash,
            start_frame=0,
            end_frame=16 * FRAMES - 1,
        )
        indices = [16 * i for i in range(FRAMES)]
        times_s = [index / 32 for index in indices]
        pack = Pack(frames=frames, indices=indices, times_s=times_s, source_fps=32.0 + number / 1e6)
        key = keys.frames(job.clip_uuid, job.options_hash, job.start_frame, job.end_frame)
        store.put(key, pack.to_parts("raw"))
        jobs.append(job)
    return jobs


def _send(app: "object", jobs: list[WindowJob]) -> None:
    for job in jobs:
        app.send_task(  # type: ignore[attr-defined]
            CAPTION, args=[job.model_dump()], queue=CAPTION, ignore_result=True
        )


def _wait_for_workers(url: str, count: int) -> None:
    broker, deadline = Broker(url), time.monotonic() + START_S
    while len(broker.workers()) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {count} workers within {START_S:g} s")
        time.sleep(0.5)


def _wait_for_parts(folder: Path, count: int) -> None:
    while sum(1 for _ in (folder / "out").rglob("*.caption.json")) < count:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
