"""Speed on a GPU: our worker compared with the reference system's loop, all in one run.

Qwen2.5-VL-7B's shape with random weights, 16 frames of a 720p window, captions of set lengths;
then the other models' shapes through our engine. Each run is a process of its own, one after
another on the first GPU; with two GPUs given, two workers at last. What a run finds is kept, and
not measured again by the next call with the same --keep.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu.rows import rows
from benchmarks.report import publish
from tests.support.shapes import write_shape

PRECISIONS: dict[str, tuple[str, ...]] = {"fp8": ("--fp8",), "bf16": ()}
# In the precision of their weights.
OTHERS = ("qwen3", "nemotron-bf16", "nemotron-fp8", "qwen_lm", "qwen3_lm")
NEMOTRON_SHAPE = {"nemotron-bf16": "nemotron"}


@dataclass(frozen=True)
class Run:
    """One process: a module of this package, a model's shape, and arguments."""

    name: str
    module: str
    arguments: tuple[str, ...]
    shape: str = "qwen"


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--gpus", default="0", help="one or two, by number [default: 0]")
    parser.add_argument("--quick", action="store_true", help="fewer windows")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--only", nargs="*", help="names of runs; all by default")
    parser.add_argument("--arguments", default="{}", help="vLLM's own, over our engine's")
    parser.add_argument(
        "--in-flight",
        type=int,
        default=128,
        help="windows that our engine works on at once [default: 128]",
    )
    parser.add_argument("--keep", type=Path, help="a folder for what each run finds")
    parser.add_argument("--limit-s", type=int, default=420, help="for each run [default: 420]")
    parser.add_argument("--tiny", action="store_true", help="tiny shapes: a try of the workings")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clipfleet-gpu-") as name:
        keep = given.keep or Path(name)
        keep.mkdir(parents=True, exist_ok=True)
        failed = []
        for run in plan(given):
            kept = keep / f"{run.name}.json"
            if kept.exists() or (given.only and run.name not in given.only):
                continue
            folder = Path(name) / run.shape
            if not folder.exists():
                write_shape(folder, run.shape, tiny=given.tiny)
            found = carry_out(run, folder, given)
            if found is None:
                failed.append(run.name)
            else:
                kept.write_text(json.dumps(found) + "\n")
        found = {path.stem: json.loads(path.read_text()) for path in sorted(keep.glob("*.json"))}
    title = "our worker against the reference loop"
    publish(title, rows(found), json_file=given.json, settings=settings(given))
    if failed:
        sys.exit(f"without a figure: {', '.join(failed)}")


def plan(given: argparse.Namespace) -> Iterator[Run]:
    """What is run, in this order."""
    gpus = given.gpus.split(",")
    first = ("--gpus", gpus[0])
    slow, rounds = ("16", 1) if given.quick else ("96", 3)
    fast = str(rounds * given.in_flight)
    ours = ("--in-flight", str(given.in_flight), "--arguments", given.arguments)
    for precision, flags in PRECISIONS.items():
        told = ("--count", fast, *ours, *flags, *first)
        yield Run(f"bare-{precision}", "bare", told)
        yield Run(f"worker-{precision}", "fleet", told)
        if precision == "fp8":
            for way in ("shipped", "resized"):
                yield Run(f"reference-{way}", "reference", (way, slow, gpus[0]))
    if len(gpus) > 1:
        told = ("--count", fast, *ours, "--fp8", "--gpus", ",".join(gpus[:2]))
        yield Run("two-workers-fp8", "fleet", told)
    for precision, flags in PRECISIONS.items():
        yield Run(f"anatomy-{precision}", "anatomy", (*ours, *flags, *first))
    for model in OTHERS:
        told = ("--model", model, "--count", "64", "--in-flight", "64", *first)
        yield Run(f"model-{model}", "bare", told, shape=NEMOTRON_SHAPE.get(model, model))


def carry_out(run: Run, folder: Path, given: argparse.Namespace) -> dict[str, Any] | None:
    """What the run found; None where it failed, with its last lines printed."""
    visible = given.gpus if run.name.startswith("two") else given.gpus.split(",")[0]
    module = f"benchmarks.gpu.{run.module}"
    command = [sys.executable, "-m", module, str(folder), *run.arguments]
    began = time.monotonic()
    print(f"{run.name} …", file=sys.stderr, flush=True)
    process = subprocess.Popen(
        command,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": visible},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=given.limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said = process.communicate()[0] + "\nout of time"
    finally:
        if process.poll() is None:  # Ctrl-C
            os.killpg(process.pid, signal.SIGKILL)
    for line in said.splitlines():
        if line.startswith("RESULT "):
            print(f"  {time.monotonic() - began:.0f} s: {line[7:]}", file=sys.stderr, flush=True)
            result: dict[str, Any] = json.loads(line[7:])
            return result
    print("\n".join(said.splitlines()[-20:]), file=sys.stderr, flush=True)
    return None


def settings(given: argparse.Namespace) -> dict[str, str]:
    """What the figures depend on besides the machine."""
    import torch
    import vllm

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    versions = {"vllm": vllm.__version__, "torch": torch.__version__}
    ours = {"in_flight": str(given.in_flight), "vllm_arguments": given.arguments}
    return {"gpu": gpu, **ours, **versions}


if __name__ == "__main__":
    main()
