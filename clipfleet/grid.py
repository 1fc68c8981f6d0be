"""The sizes in pixels of frames for models, in whole patches within budgets, and of previews."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A model family's frame sizes. Budgets count pixels.

    Sides are multiples of `factor`. A frame has at least `min_pixels` and at most `max_pixels`,
    and all frames of a window together at most `max_total_pixels`.
    """

    factor: int
    min_pixels: int
    max_pixels: int
    max_total_pixels: int

    def fit(self, *, width: int, height: int, num_frames: int) -> tuple[int, int]:
        """(width, height) closest to the clip's aspect ratio within the budgets.

        This is the rule that Qwen2-VL's processor calls smart_resize; the budget of a frame never
        falls below 1.05 times the minimum, however many frames there are.
        """
        most = min(self.max_pixels, self.max_total_pixels / num_frames)
        most = max(most, int(self.min_pixels * 1.05))
        wide = max(self.factor, round(width / self.factor) * self.factor)
        high = max(self.factor, round(height / self.factor) * self.factor)
        if wide * high > most:
            shrink = math.sqrt(width * height / most)
            wide = max(self.factor, self._down(width / shrink))
            high = max(self.factor, self._down(height / shrink))
            # A side clamped to one patch leaves the other too long: shorten it to the budget.
            wide = min(wide, max(self.factor, self._down(most / high)))
            high = min(high, max(self.factor, self._down(most / wide)))
        elif wide * high < self.min_pixels:
            grow = math.sqrt(self.min_pixels / (width * height))
            wide = self._up(width * grow)
            high = self._up(height * grow)
            if wide * high > most:
                wide = max(self.factor, min(wide, self._down(most / high)))
                high = max(self.factor, min(high, self._down(most / wide)))
        return wide, high

    def _down(self, pixels: float) -> int:
        return math.floor(pixels / self.factor) * self.factor

    def _up(self, pixels: float) -> int:
        return math.ceil(pixels / self.factor) * self.factor


QWEN2_5_VL = Grid(
    factor=28,
    min_pixels=128 * 28 * 28,
    max_pixels=768 * 28 * 28,
    max_total_pixels=24576 * 28 * 28,
)
QWEN3_VL = Grid(
    factor=32,
    min_pixels=128 * 32 * 32,
    max_pixels=768 * 32 * 32,
    max_total_pixels=24576 * 32 * 32,
)
TILE_512 = Grid(
    factor=512, min_pixels=512 * 512, max_pixels=512 * 512, max_total_pixels=768 * 512 * 512
)


# The longest side, in pixels, that libwebp can write.
_WEBP_SIDE = 16_383


def preview_size(*, width: int, height: int, target_height: int) -> tuple[int, int]:
    """(width, height) of a preview: same aspect ratio, even sides, never upscaled.

    Even sides cost nothing and gain 1 to 2 dB, since WebP stores colour at half resolution.
    """
    target_height = max(1, min(target_height, height * _WEBP_SIDE // width))
    high = min(height, target_height)
    wide = min(round(width * high / height / 2), width // 2, _WEBP_SIDE // 2) * 2
    return max(2, wide) if width > 1 else 1, max(2, high // 2 * 2) if high > 1 else 1
