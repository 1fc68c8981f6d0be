"""The load that every side is given: windows of 16 frames, and captions of set lengths.

Weights are random, so that captions end by their length alone. Any 16 windows in a row have the
same lengths in another order, 191 tokens on average: so every side writes as much for a window.
What is measured is a full engine: ours are given more windows before and after the `count` that
are timed. Windows that began together also end together; so rounds of what is in flight are timed,
three of them: of 24 s in the middle of one, 4 and 7 windows a second were read where 5 was true.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from clipfleet.models import Model

FRAMES = 16
SOURCE_SIZE = (720, 1280)  # height, width
PROMPT = "Elaborate on the visual and narrative elements of the video in detail."
TOKENS_STEP = 16
BLOCK = 16


@dataclass(frozen=True)
class Load:
    """That many windows."""

    count: int

    def lengths(self) -> list[int]:
        """The tokens of each window's caption: log-normal, in steps, so that few runs cover all."""
        shares = [NormalDist(5.12, 0.45).inv_cdf((i + 0.5) / BLOCK) for i in range(BLOCK)]
        steps = np.ceil(np.clip(np.exp(shares), 40, 512) / TOKENS_STEP).astype(int)
        random = np.random.default_rng(1)
        blocks = [random.permutation(steps) for _ in range(-(-self.count // BLOCK))]
        return [int(step) * TOKENS_STEP for step in np.concatenate(blocks)[: self.count]]

    def frames(self, *, size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
        """Each window's frames, time × height × width × 3, no two alike."""
        noise = np.random.default_rng(0).integers(0, 255, (FRAMES, *size, 3), np.uint8)
        for number in range(self.count):
            yield np.roll(noise, number, axis=2)


def frame_size(model: Model) -> tuple[int, int]:
    """(height, width) that prepare gives a window of the source's size for `model`."""
    assert model.grid is not None
    high, wide = SOURCE_SIZE
    width, height = model.grid.fit(width=wide, height=high, num_frames=FRAMES)
    return height, width


def parser(description: str | None) -> argparse.ArgumentParser:
    """Options common to all of our sides."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="qwen")
    parser.add_argument("--count", type=int, default=128, help="windows that are timed")
    parser.add_argument("--in-flight", type=int, default=128, help="what is worked on at once")
    parser.add_argument("--gpus", default="0")
    parser.add_argument("--fp8", action="store_true")
    parser.add_argument("--arguments", type=json.loads, default={}, help="vLLM's own, as JSON")
    return parser
