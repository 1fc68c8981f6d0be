"""Speed on a GPU: our worker itself against the reference system's loop, all in one run.

Qwen2.5-VL-7B's shape with random weights, 16 frames of a 720p window, captions of drawn lengths.
Each side runs in a process of its own, one after another on the first GPU; with two GPUs given, two
workers at last. What is found is written after each, so that nothing is lost when one fails.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu.shapes import write_shape
from benchmarks.report import Row, publish, write

# What our worker is given beyond its defaults, here as in the docs.
ARGUMENTS = json.dumps({"max_num_batched_tokens": 16_384})


@dataclass(frozen=True)
class Run:
    """One side: a module of this package, what it is given, and the seconds that it may take."""

    name: str
    module: str
    arguments: tuple[str, ...]
    limit_s: int = 420


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--gpus", default="0", help="one or two, by number [default: 0]")
    parser.add_argument("--quick", action="store_true", help="a third of the windows")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--only", nargs="*", help="names of runs; all by default")
    given = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="clipfleet-shape-") as name:
        folder = Path(name)
        write_shape(folder, "qwen")
        for run in plan(folder, given.gpus.split(","), quick=given.quick):
            if given.only and run.name not in given.only:
                continue
            result = carry_out(run, given.gpus)
            if result is not None:
                found[run.name] = result
            if given.json:
                write(rows(found), given.json, settings=settings())
    title = "our worker against the reference loop"
    publish(title, rows(found), json_file=given.json, settings=settings())


def plan(folder: Path, gpus: list[str], *, quick: bool) -> Iterator[Run]:
    """What is run, in this order: of each precision the bare engine and the worker, then more."""
    where, first = str(folder), gpus[0]
    slow, fast = ("32", "64") if quick else ("64", "192")
    for way in ("shipped", "resized"):
        yield Run(f"reference-{way}", "reference", (where, way, slow, first))
    for precision, flags in (("bf16", ()), ("fp8", ("--fp8",))):
        ours = (where, "--count", fast, "--arguments", ARGUMENTS, *flags)
        yield Run(f"bare-{precision}", "bare", (*ours, "--gpu", first))
        yield Run(f"worker-{precision}", "fleet", (*ours, "--gpus", first))
    for precision, flags in (("bf16", ()), ("fp8", ("--fp8",))):
        yield Run(f"anatomy-{precision}", "anatomy", (where, "--arguments", ARGUMENTS, *flags))
    if len(gpus) > 1:
        ours = (where, "--count", fast, "--arguments", ARGUMENTS, "--fp8")
        yield Run("two-workers-fp8", "fleet", (*ours, "--gpus", ",".join(gpus[:2])))


def carry_out(run: Run, gpus: str) -> dict[str, Any] | None:
    """What the run found; None, with its last words shown, where it failed."""
    visible = gpus if run.name.startswith("two") else gpus.split(",")[0]
    command = [sys.executable, "-m", f"benchmarks.gpu.{run.module}", *run.arguments]
    began = time.monotonic()
    print(f"{run.name} …", file=sys.stderr, flush=True)
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": visible},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=run.limit_s,
            check=False,
        )
        said = done.stdout
    except subprocess.TimeoutExpired as error:
        said = (error.stdout or b"").decode(errors="replace") + "\nout of time"
    for line in said.splitlines():
        if line.startswith("RESULT "):
            print(f"  {time.monotonic() - began:.0f} s: {line[7:]}", file=sys.stderr, flush=True)
            result: dict[str, Any] = json.loads(line[7:])
            return result
    print("\n".join(said.splitlines()[-20:]), file=sys.stderr, flush=True)
    return None


def rows(found: dict[str, dict[str, Any]]) -> list[Row]:
    """The figures, and their ratios."""
    rates = {n: f["windows_per_s"] for n, f in found.items() if "windows_per_s" in f}
    rows = [Row(f"windows_per_s/{name}", rate, "windows/s") for name, rate in rates.items()]
    for name, each in found.items():
        for number, busy in enumerate(each.get("busy", [])):
            rows.append(Row(f"gpu_busy/{name}/{number}", busy, "of the time"))
    ratios = [
        (f"ratio_vs_reference/{p}", f"worker-{p}", "reference-shipped") for p in ("bf16", "fp8")
    ]
    ratios += [
        (f"ratio_vs_resized/{p}", f"worker-{p}", "reference-resized") for p in ("bf16", "fp8")
    ]
    ratios += [(f"worker_vs_bare/{p}", f"worker-{p}", f"bare-{p}") for p in ("bf16", "fp8")]
    ratios += [("two_workers_vs_one/fp8", "two-workers-fp8", "worker-fp8")]
    for name, ours, theirs in ratios:
        if ours in rates and theirs in rates:
            rows.append(Row(name, rates[ours] / rates[theirs], f"times {theirs}"))
    for precision in ("bf16", "fp8"):
        each = found.get(f"anatomy-{precision}", {})
        for name, value in each.items():
            if isinstance(value, float):
                rows.append(Row(f"anatomy/{precision}/{name}", value, name.rpartition("_")[2]))
    return rows


def settings() -> dict[str, str]:
    """What the figures depend on beside the machine."""
    import torch
    import vllm

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {"gpu": gpu, "vllm": vllm.__version__, "torch": torch.__version__}


if __name__ == "__main__":
    main()
