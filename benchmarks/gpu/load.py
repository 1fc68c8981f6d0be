"""The load that every side is given: windows of 16 frames, and captions of drawn lengths.

Weights are random, so that captions end by their length alone: the same draw for every side, 189
tokens on average, in steps of 16 so that few runs hold all lengths.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FRAMES = 16
SOURCE_SIZE = (720, 1280)  # height, width
GRID_SIZE = (560, 1008)
PROMPT = "Elaborate on the visual and narrative elements of the video in detail."
TOKENS_STEP = 16


@dataclass(frozen=True)
class Load:
    """So many windows, `in_flight` of them at a time."""

    count: int
    in_flight: int

    def lengths(self) -> list[int]:
        """The tokens of each window's caption."""
        drawn = np.random.default_rng(1).lognormal(5.2, 0.45, self.count)
        steps = np.clip(drawn, 40, 512) / TOKENS_STEP
        return [int(length) for length in np.ceil(steps) * TOKENS_STEP]

    def frames(self, *, size: tuple[int, int] = GRID_SIZE) -> Iterator[NDArray[np.uint8]]:
        """Each window's frames, time × height × width × 3, no two alike."""
        noise = np.random.default_rng(0).integers(0, 255, (FRAMES, *size, 3), np.uint8)
        for number in range(self.count):
            yield np.roll(noise, number, axis=2)
