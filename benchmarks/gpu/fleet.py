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

from benchmarks.gpu.load import FRAMES, PROMPT, Load, frame_size, parser
from benchmarks.gpu.meter import BusyMeter
from clipfleet import keys
from clipfleet.broker.client import Broker
from clipfleet.messages import WindowJob
from clipfleet.models import find
from clipfleet.options import CaptionOptions, Options
from clipfleet.queues import CAPTION, make_app
from clipfleet.store import Store, open_store
from clipfleet_workers.inference.loaded_model import in_flight
from clipfleet_workers.media.packs import Pack
from tests.support.broker import BrokerServer
from tests.support.records import put_plan

START_S = 400.0


def main() -> None:
    """Run it. Prints one line of JSON."""
    given = parser(__doc__).parse_args()
    gpus = [int(gpu) for gpu in given.gpus.split(",")]
    count, ramp = given.count * len(gpus), in_flight(given.in_flight) * len(gpus)
    with tempfile.TemporaryDirectory(prefix="clipfleet-gpu-") as name:
        folder = Path(name)
        store = open_store(str(folder / "out"))
        store.prepare()
        with BrokerServer(folder) as broker, _workers(given, folder, broker.url) as workers:
            jobs = _write(store, Load(count=count + 2 * ramp), given)
            _wait_for_workers(broker.url, len(gpus), workers)
            _send(make_app(broker.url, lease_s=30), jobs)
            before = _wait_for_parts(folder, ramp)
            with BusyMeter(gpus) as meter:
                began = time.monotonic()
                done = _wait_for_parts(folder, ramp + count) - before
                seconds = time.monotonic() - began
        written = [
            json.loads(path.read_text()) for path in (folder / "out").rglob("*.caption.json")
        ]
    failed = [part["error"]["message"] for part in written if part["error"]]
    tokens = [part["completion"]["output_tokens"] for part in written if not part["error"]]
    found = {
        "windows_per_s": done / seconds,
        "busy": meter.busy,
        "failed": failed[:3],
        "output_tokens": sum(tokens) / max(1, len(tokens)),
    }
    print("RESULT", json.dumps(found), flush=True)


@contextlib.contextmanager
def _workers(
    given: argparse.Namespace, folder: Path, url: str
) -> "Iterator[subprocess.Popen[bytes]]":
    arguments = {"load_format": "dummy", **given.arguments}
    environment = {
        **os.environ,
        "CLIPFLEET_BROKER": url,
        "CLIPFLEET_STORE": str(folder / "out"),
        "CLIPFLEET_ENGINE_ARGUMENTS": json.dumps(arguments),
        "CLIPFLEET_DRAIN_S": "2",
    }
    command = [sys.executable, "-m", "clipfleet_workers", "caption", "--gpus", given.gpus]
    command += ["--captioning-algorithm", given.model, "--captioning-model-dir", str(given.folder)]
    command += ["--captioning-batch-size", str(given.in_flight)]
    command += ["--captioning-fp8"] if given.fp8 else []
    workers = subprocess.Popen(command, env=environment)
    try:
        yield workers
    finally:
        workers.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            workers.wait(60)
        workers.kill()


def _write(store: Store, load: Load, given: argparse.Namespace) -> list[WindowJob]:
    """Each window's pack, and a run for each length of caption."""
    jobs = []
    windows = load.frames(size=frame_size(find(given.model)))
    for number, (frames, tokens) in enumerate(zip(windows, load.lengths(), strict=True)):
        caption = CaptionOptions(
            model_variant=given.model, fp8=given.fp8, prompt_text=PROMPT, max_output_tokens=tokens
        )
        options = Options(caption=caption)
        run = f"run-{tokens}"
        store.put(keys.run_options(run), options.to_json().encode())
        job = WindowJob(
            run_id=run,
            clip_uuid=keys.clip_uuid(f"clip/{number}"),
            options_hash=options.hash,
            start_frame=0,
            end_frame=16 * FRAMES - 1,
        )
        indices = [16 * i for i in range(FRAMES)]
        times_s = [index / 32 for index in indices]
        pack = Pack(frames=frames, indices=indices, times_s=times_s, source_fps=32.0 + number / 1e6)
        key = job.scratch.frames(job.start_frame, job.end_frame)
        store.put(key, pack.to_parts("raw"))
        put_plan(store, job)
        jobs.append(job)
    return jobs


def _send(app: "object", jobs: list[WindowJob]) -> None:
    for job in jobs:
        app.send_task(  # type: ignore[attr-defined]
            CAPTION, args=[job.model_dump()], queue=CAPTION, ignore_result=True
        )


def _wait_for_workers(url: str, count: int, workers: "subprocess.Popen[bytes]") -> None:
    broker, deadline = Broker(url), time.monotonic() + START_S
    while len(broker.workers()) < count:
        if workers.poll() is not None:
            raise RuntimeError(f"the workers ended with exit code {workers.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {count} workers within {START_S:g} s")
        time.sleep(0.5)


def _wait_for_parts(folder: Path, count: int) -> int:
    """How many windows are captioned, once at least that many are."""
    while (done := sum(1 for _ in (folder / "out").rglob("*.caption.json"))) < count:
        time.sleep(0.1)
    return done


if __name__ == "__main__":
    main()
