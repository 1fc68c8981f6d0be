"""Our engine on its own: frames in memory, threads in place of a worker."""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.gpu.load import FRAMES, PROMPT, Load
from benchmarks.gpu.meter import BusyMeter
from clipfleet import models
from workers.engines.base import Prompt, Video
from workers.engines.vllm import VllmEngine

WARM_UP = 8


def main() -> None:
    """Run it. Prints one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="qwen")
    parser.add_argument("--count", type=int, default=192)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--fp8", action="store_true")
    parser.add_argument("--arguments", type=json.loads, default={})
    given = parser.parse_args()
    load = Load(count=given.count, in_flight=given.in_flight)
    model = models.find(given.model)
    started = time.monotonic()
    engine = VllmEngine(
        model,
        given.folder,
        cache_dir=Path.home() / ".cache" / "clipfleet",
        batch_size=given.in_flight,
        fp8=given.fp8,
        arguments={"load_format": "dummy", **given.arguments},
    )
    start_s = time.monotonic() - started
    windows, lengths = list(load.frames()), load.lengths()

    def caption(number: int) -> int:
        video = Video(
            frames=windows[number % load.count],
            indices=[16 * i for i in range(FRAMES)],
            num_frames=16 * FRAMES,
            fps=32.0,
            name=f"window-{number}",
        )
        tokens = lengths[number % load.count]
        name = f"request-{number}"
        prompt = Prompt(request_id=name, user=PROMPT, video=video, max_output_tokens=tokens)
        return engine.generate(prompt, timeout_s=300).output_tokens

    with ThreadPoolExecutor(load.in_flight) as pool:
        list(pool.map(caption, range(load.count, load.count + WARM_UP)))
        with BusyMeter([given.gpu]) as meter:
            cpu, began = time.process_time(), time.monotonic()
            tokens = 0
            for number, written in enumerate(pool.map(caption, range(load.count)), 1):
                tokens += written
                if number % 16 == 0:
                    took = time.monotonic() - began
                    print(f"{number} windows in {took:.1f} s", file=sys.stderr, flush=True)
            seconds = time.monotonic() - began
            cpu = time.process_time() - cpu
    found = {
        "windows_per_s": load.count / seconds,
        "busy": meter.busy,
        "front_cpu_ms_per_window": cpu / load.count * 1000,
        "output_tokens": tokens,
        "asked_tokens": sum(lengths),
        "start_s": start_s,
    }
    print("RESULT", json.dumps(found), flush=True)
    engine.close()
    os._exit(0)


if __name__ == "__main__":
    main()
