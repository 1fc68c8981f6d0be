"""`mini` on our vLLM engine, and every token that it writes: what parity is measured with."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from clipfleet import models, prompts
from clipfleet_workers.inference.engine import EngineConfig, Prompt, Video
from clipfleet_workers.inference.vllm_engine.engine import VllmEngine

LONGEST = 80  # tokens


def our_tokens(engine: VllmEngine, windows: Sequence[Video]) -> list[list[int]]:
    """The tokens that our vLLM engine writes for each window, sixteen in flight."""
    written: dict[str, list[int]] = {}
    real_generate = engine._llm.generate

    async def generate(request: Any, sampling: Any, request_id: str) -> Any:
        async for output in real_generate(request, sampling, request_id):
            written[request_id] = list(output.outputs[0].token_ids)
            yield output

    def ask(number: int) -> None:
        prompt = Prompt(
            request_id=f"parity-{number}",
            user=prompts.CAPTION["default"],
            video=windows[number],
            max_output_tokens=LONGEST,
        )
        engine.generate(prompt, timeout_s=300)

    engine._llm.generate = generate
    try:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(ask, range(len(windows))))
    finally:
        engine._llm.generate = real_generate
    return [written[f"parity-{number}"] for number in range(len(windows))]


@contextlib.contextmanager
def mini_engine(dtype: str, cache: Path) -> Iterator[VllmEngine]:
    """`mini` in `dtype`, sixteen in flight."""
    before = dict(os.environ)
    model = dataclasses.replace(models.find("mini"), dtype=dtype)
    engine = VllmEngine(EngineConfig(model=model, cache_dir=cache, batch_size=16))
    try:
        yield engine
    finally:
        engine.close()
        os.environ.clear()
        os.environ.update(before)
