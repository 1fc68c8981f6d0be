"""A slow, plain decoder to compare with: every frame decoded, colours by the standards in float64.

Shares nothing with workers/: no frame is skipped, no swscale, one thread. What a file says of its
colours, fields and pixels is not read here but told by the case, so that a wrong reading shows.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type
from numpy.typing import NDArray

from tests.support.corpus.planes import WEIGHTS, Image, Planes, read_planes, to_rgb


@dataclass(frozen=True, kw_only=True)
class Look:
    """How planes become what people see."""

    matrix: str = "bt601"
    full_range: bool = False
    interlaced: bool = False
    aspect: float = 1.0  # width / height of a pixel, once upright


@dataclass(frozen=True)
class Frame:
    """One decoded frame. `time_s` is its own timestamp, None where it has none."""

    time_s: float | None
    planes: Planes
    pixel_format: str
    display: tuple[int, ...] | None  # the display matrix, nine numbers
    broken: bool  # the decoder itself says so

    def image(self, look: Look) -> Image:
        """The frame upright, its pixels square: RGB, height × width × 3."""
        planes = [plane[0::2] for plane in self.planes] if look.interlaced else self.planes
        image = to_rgb(planes, self.pixel_format, matrix=look.matrix, full_range=look.full_range)
        if look.interlaced:
            image = stretched(image, image.shape[1], self.planes[0].shape[0])
        if self.display is not None:
            image = upright(image, self.display)
        height, width = image.shape[:2]
        return stretched(image, round(width * look.aspect), height)


def decode(data: bytes) -> Iterator[Frame]:
    """Every frame that a full decode gives, in order; packets that fail are passed over."""
    with av.open(io.BytesIO(data), "r") as container:
        stream = next(
            s
            for s in container.streams.video
            if not s.disposition & av.stream.Disposition.attached_pic
        )
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        packets = container.demux(stream)
        display: tuple[int, ...] | None = None
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                packet = None
            frames: list[av.VideoFrame] = []
            try:
                frames = stream.decode(packet)
            except av.EOFError:
                return
            except av.FFmpegError:
                pass
            for frame in frames:
                # A message in the stream comes once, and holds until the next.
                display = _display(frame) or display
                yield Frame(
                    None if frame.pts is None else float(frame.pts * (frame.time_base or 0)),
                    read_planes(frame),
                    frame.format.name,
                    display,
                    frame.is_corrupt,
                )
            if packet is None:
                return


def _display(frame: av.VideoFrame) -> tuple[int, ...] | None:
    side_data: Any = frame.side_data  # typed as another kind of mapping
    try:
        entry = side_data[Type.DISPLAYMATRIX]
    except KeyError:
        return None
    return tuple(int(n) for n in np.frombuffer(memoryview(entry), np.int32))


def upright(image: Image, display: tuple[int, ...]) -> Image:
    """The picture moved as a display matrix says: x' = a x + c y, y' = b x + d y, y downwards."""
    a, b, _, c, d = display[:5]
    if abs(a) >= abs(b):
        down, right = d, a
    else:
        image = image.transpose(1, 0, 2)
        down, right = b, c
    image = image[::-1] if down < 0 else image
    return np.ascontiguousarray(image[:, ::-1] if right < 0 else image)


def stretched(image: Image, width: int, height: int) -> Image:
    """The picture at another size, each pixel a tent-weighted mean of those that it covers."""
    if image.shape[:2] == (height, width):
        return image
    down = _along_rows(image.astype(np.float64), height)
    both = _along_rows(down.transpose(1, 0, 2), width).transpose(1, 0, 2)
    rounded: Image = np.clip(np.rint(both), 0, 255).astype(np.uint8)
    return rounded


def _along_rows(image: NDArray[np.float64], after: int) -> NDArray[np.float64]:
    """The picture with another number of rows; beyond its edge the last row goes on."""
    before = image.shape[0]
    centres = (np.arange(after) + 0.5) * before / after - 0.5
    reach = max(before / after, 1.0)
    out, total = np.zeros((after, *image.shape[1:])), np.zeros(after)
    for tap in range(math.ceil(2 * reach) + 1):
        place = np.ceil(centres - reach) + tap
        weight = np.maximum(0, 1 - np.abs(centres - place) / reach)
        out += weight[:, None, None] * image[np.clip(place, 0, before - 1).astype(int)]
        total += weight
    return out / total[:, None, None]


def luma(image: Image, matrix: str) -> NDArray[np.float64]:
    """Brightness, 0 to 255: what chroma's coarser grid leaves alone."""
    red, blue = WEIGHTS[matrix]
    brightness: NDArray[np.float64] = image @ np.array([red, 1 - red - blue, blue])
    return brightness


def block_difference(
    one: NDArray[np.float64], other: NDArray[np.float64], *, block: int = 16
) -> float:
    """The largest mean absolute difference of any block: a smeared block stands out."""
    height, width = one.shape
    apart = np.abs(one - other)
    rows = np.add.reduceat(apart, np.arange(0, height, block), axis=0)
    sums = np.add.reduceat(rows, np.arange(0, width, block), axis=1)
    high = np.diff(np.append(np.arange(0, height, block), height))
    wide = np.diff(np.append(np.arange(0, width, block), width))
    return float((sums / (high[:, None] * wide)).max())
