"""How similar previews are to their clip: structural similarity (SSIM) to the source's frames.

Both sides are judged alike, as shown: luma of the RGB that a viewer sees, at the preview's size,
against source frames scaled down by area. Which frame of a slot a preview shows is its own affair,
so each preview frame counts with the source frame that it matches best, out of its slot and half a
slot to either side.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Luma = NDArray[np.float32]

_WINDOW = 7  # pixels, the side of the square over which similarity is taken
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # the constants of the method's authors
_WEIGHTS = np.array((0.299, 0.587, 0.114), np.float32)


class _Picture:
    """Luma, 0 to 255, with the mean and variance of each of its squares."""

    def __init__(self, rgb: NDArray[np.uint8]) -> None:
        self.luma: Luma = np.asarray(rgb @ _WEIGHTS, np.float32)
        self.mean = _means(self.luma)
        self.variance = _means(self.luma * self.luma) - self.mean**2


@dataclass(frozen=True)
class _Shown:
    """A frame of a preview, and the source frames that it may be, by number."""

    first: int
    last: int
    picture: _Picture


def preview_ssim(clip: Path, folder: Path, *, fps: float) -> float:
    """The mean SSIM of all frames of a clip's previews, `START_END.webp` files in `folder`."""
    shown = [frame for file in sorted(folder.glob("*.webp")) for frame in _frames(file, fps)]
    if not shown:
        raise ValueError(f"there are no previews in {folder}")
    height, width = shown[0].picture.luma.shape
    best = [0.0] * len(shown)
    for number, source in enumerate(_source(clip, width, height)):
        for i, frame in enumerate(shown):
            if frame.first <= number <= frame.last:
                best[i] = max(best[i], _ssim(frame.picture, source))
    return float(np.mean(best))


def _ssim(one: _Picture, other: _Picture) -> float:
    covariance = _means(one.luma * other.luma) - one.mean * other.mean
    above = (2 * one.mean * other.mean + _C1) * (2 * covariance + _C2)
    means, variances = one.mean**2 + other.mean**2, one.variance + other.variance
    return float(np.mean(above / ((means + _C1) * (variances + _C2))))


def _means(values: Luma) -> NDArray[np.float64]:
    """The mean of every square, by differences of running sums."""
    sums = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    sums[1:, 1:] = values.cumsum(0, np.float64).cumsum(1)
    n = _WINDOW
    squares = sums[n:, n:] - sums[:-n, n:] - sums[n:, :-n] + sums[:-n, :-n]
    return np.asarray(squares / n**2)


def _frames(file: Path, fps: float) -> Iterator[_Shown]:
    """A preview's frames. Times are the animation's own; a window starts at its first frame."""
    start, end = (int(number) for number in file.stem.split("_"))
    shown_s = 0.0
    with Image.open(file) as image:
        for i in range(getattr(image, "n_frames", 1)):
            image.seek(i)
            picture = _Picture(np.asarray(image.convert("RGB")))
            # Pillow knows the duration only once the frame is loaded.
            length_s = image.info["duration"] / 1000
            first = start + round((shown_s - length_s / 2) * fps)
            last = start + round((shown_s + 1.5 * length_s) * fps)
            yield _Shown(max(start, first), min(end, last), picture)
            shown_s += length_s


def _source(clip: Path, width: int, height: int) -> Iterator[_Picture]:
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            small = frame.reformat(width, height, format="rgb24", interpolation="AREA")
            yield _Picture(np.asarray(small.to_ndarray(), np.uint8))
