"""Where a window's time on the GPU goes: its steps one by one, and the GPU's own limits.

Everything in one process, so that the model can be reached: the vision encoder alone, a prompt's
tokens alone (no frames, as many tokens), steps of writing alone; and matrix products, which nothing
can beat.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.gpu.load import parser

PROMPT_TOKENS = 5840
PATCHES = 23_040
GRID = (8, 40, 72)  # pairs of frames × patches high × patches wide: 16 frames of 1008 × 560


def main() -> None:
    """Run it. Prints one line of JSON."""
    given = parser(__doc__).parse_args()
    from clipfleet_workers.inference.vllm_engine.engine import GPU_ARGUMENTS, prepare_process

    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    prepare_process(
        Path(tempfile.mkdtemp(prefix="clipfleet-engine-")),
        Path.home() / ".cache" / "clipfleet" / "vllm",
    )
    from vllm import LLM

    llm = LLM(
        model=str(given.folder),
        load_format="dummy",
        max_model_len=32_768,
        limit_mm_per_prompt={"image": 0, "video": 1},
        gpu_memory_utilization=0.85,
        enable_prefix_caching=False,
        **({"quantization": "fp8"} if given.fp8 else {}),
        **(GPU_ARGUMENTS | given.arguments),
    )
    found = llm.apply_model(look)[0] | matrix_rates() | write_alone(llm)
    print("RESULT", json.dumps(found), flush=True)
    os._exit(0)


def look(model: Any) -> dict[str, Any]:
    """The vision encoder: one window's patches from bytes, then its layers, by kind of kernel."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    clip = torch.randint(0, 255, (PATCHES, 1176), dtype=torch.uint8, device="cuda")
    found: dict[str, Any] = {}
    with torch.no_grad():
        found["patches_ms"] = timed(lambda: model._patches(clip, list(GRID), torch.bfloat16))
        patches = model._patches(clip, list(GRID), torch.bfloat16)
        found["vision_ms"] = timed(lambda: model.visual(patches, [list(GRID)]))
        with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as seen:
            model.visual(patches, [list(GRID)])
            torch.cuda.synchronize()
    kernels = sorted(seen.key_averages(), key=lambda each: -each.self_device_time_total)[:20]
    found["vision_kernels_ms"] = [
        (each.key[:90], round(each.self_device_time_total / 1000, 2), each.count)
        for each in kernels
        if each.self_device_time_total and not each.key.startswith(("aten::", "vllm::"))
    ]
    return found


def matrix_rates() -> dict[str, float]:
    """TFLOP/s of one large product, in bfloat16 and in fp8."""
    import torch

    side = 8192
    flops = 2 * side**3 / 1e9
    a = torch.randn(side, side, device="cuda", dtype=torch.bfloat16)
    found = {"tflops_bf16": flops / timed(lambda: a @ a)}
    short = a.to(torch.float8_e4m3fn)
    one = torch.ones((), device="cuda")
    found["tflops_fp8"] = flops / timed(
        lambda: torch._scaled_mm(
            short, short.t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16
        )
    )
    return found


def write_alone(llm: Any) -> dict[str, float]:
    """A prompt's tokens without frames, and a decode step with 16 to 64 in flight."""
    found = {"prefill_ms": run(llm, 16, 1) / 16 * 1000}
    for count in (16, 64):
        read, both = run(llm, count, 1), run(llm, count, 65)
        found[f"step_of_{count}_ms"] = (both - read) / 64 * 1000
    return found


def run(llm: Any, count: int, tokens: int) -> float:
    """Seconds to answer that many prompts with that many tokens each."""
    import numpy as np
    from vllm import SamplingParams

    drawn = np.random.default_rng(time.monotonic_ns()).integers(300, 900, (count, PROMPT_TOKENS))
    asked = [{"prompt_token_ids": [int(token) for token in row]} for row in drawn]
    ways = SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True, detokenize=False)
    began = time.monotonic()
    llm.generate(asked, ways, use_tqdm=False)
    return time.monotonic() - began


def timed(step: Callable[[], Any], *, times: int = 10) -> float:
    """Milliseconds that `step` takes on the GPU, warmed up."""
    import torch

    for _ in range(3):
        step()
    torch.cuda.synchronize()
    began = time.monotonic()
    for _ in range(times):
        step()
    torch.cuda.synchronize()
    return (time.monotonic() - began) / times * 1000


if __name__ == "__main__":
    main()
