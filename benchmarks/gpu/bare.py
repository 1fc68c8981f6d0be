"""Our engine on its own: frames in memory, threads in place of a worker.

A model that sees no frames is given captions to enhance.
"""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from benchmarks.gpu.load import FRAMES, PROMPT, Load, frame_size, parser
from benchmarks.gpu.meter import BusyMeter
from clipfleet.models import Model, find
from clipfleet_workers.inference.engine import Answer, EngineConfig, Prompt, Video
from clipfleet_workers.inference.loaded_model import in_flight
from clipfleet_workers.inference.vllm_engine.engine import VllmEngine

CAPTION_WORDS = 150


def main() -> None:
    """Run it. Prints one line of JSON."""
    given = parser(__doc__).parse_args()
    model = find(given.model)
    started = time.monotonic()
    engine = VllmEngine(
        EngineConfig(
            model=model,
            model_dir=str(given.folder),
            cache_dir=Path.home() / ".cache" / "clipfleet",
            batch_size=given.in_flight,
            windows=in_flight(given.in_flight),
            fp8=given.fp8,
            arguments={"load_format": "dummy", **given.arguments},
        )
    )
    start_s = time.monotonic() - started
    print(f"ready after {start_s:.0f} s", file=sys.stderr, flush=True)
    print("RESULT", json.dumps(measure(given, engine, model) | {"start_s": start_s}), flush=True)
    engine.close()
    os._exit(0)


def measure(given: argparse.Namespace, engine: VllmEngine, model: Model) -> dict[str, object]:
    """Windows through the engine, as many at a time as a worker gives it."""
    ramp = in_flight(given.in_flight)
    load = Load(count=given.count + 2 * ramp)
    lengths = load.lengths()
    windows = list(load.frames(size=frame_size(model))) if model.grid else []

    def prompt(number: int) -> Prompt:
        tokens = lengths[number]
        name = f"request-{number}"
        if not windows:
            words = f"{PROMPT} {number} " + "car road woman door camera " * (CAPTION_WORDS // 5)
            return Prompt(request_id=name, user=words, max_output_tokens=tokens)
        video = Video(
            frames=windows[number],
            indices=[16 * i for i in range(FRAMES)],
            num_frames=16 * FRAMES,
            fps=32.0,
            name=f"window-{number}",
        )
        return Prompt(request_id=name, user=PROMPT, video=video, max_output_tokens=tokens)

    def answer(number: int) -> Answer:
        return engine.generate(prompt(number), timeout_s=300)

    pool = ThreadPoolExecutor(ramp)
    finished = as_completed([pool.submit(answer, number) for number in range(load.count)])
    for _ in range(ramp):
        next(finished).result()
    with BusyMeter([int(given.gpus)]) as meter:
        cpu, began = time.process_time(), time.monotonic()
        answers = []
        for number in range(1, given.count + 1):
            answers.append(next(finished).result())
            if number % 16 == 0:
                took = time.monotonic() - began
                print(f"{number} windows in {took:.1f} s", file=sys.stderr, flush=True)
        seconds = time.monotonic() - began
        cpu = time.process_time() - cpu
    return {
        "windows_per_s": given.count / seconds,
        "busy": meter.busy,
        "front_cpu_ms_per_window": cpu / given.count * 1000,
        "prompt_tokens": answers[0].prompt_tokens,
        "output_tokens": sum(each.output_tokens for each in answers) / given.count,
    }


if __name__ == "__main__":
    main()
