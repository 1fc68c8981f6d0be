"""Model folders without weights, at the published shapes: what `load_format="dummy"` needs.

`write_shape` writes what a model's repository holds, except the weights: configuration,
tokenizer, chat template, processor settings. An engine fills the model with random weights, which
measure speed and memory, never quality. The tokenizer is trained on the spot on a few sentences,
so its ids are small; the vocabulary in the configuration is the true one.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.support.shapes.nemotron import write_nemotron
from tests.support.shapes.qwen import (
    write_qwen2_5_14b,
    write_qwen2_5_vl_7b,
    write_qwen3_14b,
    write_qwen3_vl_8b,
)

SHAPES: dict[str, Callable[[Path, bool], None]] = {
    "qwen": write_qwen2_5_vl_7b,
    "qwen3": write_qwen3_vl_8b,
    "nemotron": write_nemotron,
    "nemotron-fp8": partial(write_nemotron, quantization="FP8"),
    "nemotron-nvfp4": partial(write_nemotron, quantization="NVFP4"),
    "qwen_lm": write_qwen2_5_14b,
    "qwen3_lm": write_qwen3_14b,
}


def write_shape(folder: Path, name: str, *, tiny: bool = False) -> None:
    """Write the model folder of `name`, one of `SHAPES`, into `folder`, which may exist.

    `tiny` keeps the architecture and shrinks it to a few small layers, for a CPU. Raises
    `KeyError` for an unknown name.
    """
    write = SHAPES[name]
    folder.mkdir(parents=True, exist_ok=True)
    write(folder, tiny)
