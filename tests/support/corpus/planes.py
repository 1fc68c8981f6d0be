"""RGB to and from a video's planes, in float64, from the standards' own numbers.

Independent of swscale and of workers/: weights and levels as ITU-T H.273 gives them. Chroma is
halved by taking the mean, and doubled by repeating, so that a flat patch keeps its colour up to
the edge of the last whole chroma sample.
"""

import re
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Planes = list[NDArray[Any]]

# The weights of red and blue in luma: H.273 table 4.
WEIGHTS = {
    "bt709": (0.2126, 0.0722),
    "bt601": (0.299, 0.114),
    "bt2020": (0.2627, 0.0593),
    "smpte240m": (0.212, 0.087),
}

# The number that a stream's tag has for each matrix: H.273 table 4.
TAGS = {"rgb": 0, "bt709": 1, "unspecified": 2, "bt601": 5, "smpte240m": 7, "bt2020": 9}


@dataclass(frozen=True)
class Layout:
    """How a pixel format lays out its planes: `across` and `down` are luma samples a chroma one."""

    kind: str  # yuv, gray, gbr, or packed
    bits: int
    across: int = 1
    down: int = 1
    order: str = ""  # of packed formats: a letter a byte

    @classmethod
    def of(cls, pixel_format: str) -> "Layout":
        """The layout of the format that FFmpeg calls so."""
        if found := re.fullmatch(r"yuv[aj]?(\d{3})p(\d*)(le)?", pixel_format):
            across, down = {"444": (1, 1), "422": (2, 1), "420": (2, 2), "440": (1, 2)}[found[1]]
            return cls("yuv", int(found[2] or 8), across, down)
        if found := re.fullmatch(r"gray(\d*)(le)?", pixel_format):
            return cls("gray", int(found[1] or 8))
        if found := re.fullmatch(r"gbra?p(\d*)(le)?", pixel_format):
            return cls("gbr", int(found[1] or 8))
        if pixel_format in {"rgb24", "bgr24", "rgba", "bgra", "rgb0", "bgr0"}:
            return cls("packed", 8, order=pixel_format[: 3 if "24" in pixel_format else 4])
        raise ValueError(f"no layout for {pixel_format}")


def to_planes(
    image: Image, pixel_format: str, *, matrix: str = "bt601", full_range: bool = False
) -> Planes:
    """The planes of an RGB image, rounded to the format's levels, without alpha."""
    layout = Layout.of(pixel_format)
    top = (1 << layout.bits) - 1
    rgb = image / 255
    if layout.kind == "packed":
        channels = {"r": 0, "g": 1, "b": 2}
        opaque = np.full(image.shape[:2], 255, np.uint8)
        return [
            np.stack(
                [image[..., channels[c]] if c in channels else opaque for c in layout.order], axis=2
            )
        ]
    if layout.kind == "gbr":
        return [_quantised(rgb[..., i] * top, layout.bits) for i in (1, 2, 0)]
    red, blue = WEIGHTS[matrix]
    luma = red * rgb[..., 0] + (1 - red - blue) * rgb[..., 1] + blue * rgb[..., 2]
    scale = 1 << (layout.bits - 8)
    planes = [luma * top if full_range else (219 * luma + 16) * scale]
    if layout.kind == "yuv":
        for channel, weight in ((2, blue), (0, red)):
            chroma = _mean(
                (rgb[..., channel] - luma) / (2 * (1 - weight)), layout.across, layout.down
            )
            middle = 1 << (layout.bits - 1)
            planes.append(chroma * (top if full_range else 224 * scale) + middle)
    return [_quantised(plane, layout.bits) for plane in planes]


def to_rgb(
    planes: Planes, pixel_format: str, *, matrix: str = "bt601", full_range: bool = False
) -> Image:
    """The RGB image of planes, rounded to 8 bits."""
    layout = Layout.of(pixel_format)
    height, width = planes[0].shape[:2]
    image = np.empty((height, width, 3), np.uint8)
    # Strips of rows: an 8K picture in float64 would take gigabytes.
    for at in range(0, height, 64):
        rows = slice(at, min(at + 64, height))
        image[rows] = _strip_to_rgb(planes, layout, rows, width, matrix, full_range)
    return image


def _strip_to_rgb(
    planes: Planes, layout: Layout, rows: slice, width: int, matrix: str, full_range: bool
) -> Image:
    top = (1 << layout.bits) - 1
    if layout.kind == "packed":
        image: Image = planes[0][rows][..., [layout.order.index(c) for c in "rgb"]]
        return image
    if layout.kind == "gbr":
        channels = [planes[i][rows] / top for i in (2, 0, 1)]
    else:
        scale = 1 << (layout.bits - 8)
        luma = planes[0][rows].astype(np.float64)
        luma = luma / top if full_range else (luma / scale - 16) / 219
        if layout.kind == "gray":
            channels = [luma] * 3
        else:
            middle = 1 << (layout.bits - 1)
            span = top if full_range else 224 * scale
            chroma_rows = np.arange(rows.start, rows.stop) // layout.down
            columns = np.arange(width) // layout.across
            cb, cr = (
                (plane[chroma_rows][:, columns] - float(middle)) / span for plane in planes[1:3]
            )
            red, blue = WEIGHTS[matrix]
            r = luma + 2 * (1 - red) * cr
            b = luma + 2 * (1 - blue) * cb
            channels = [r, (luma - red * r - blue * b) / (1 - red - blue), b]
    return np.clip(np.rint(np.stack(channels, axis=2) * 255), 0, 255).astype(np.uint8)


def _mean(plane: NDArray[np.float64], across: int, down: int) -> NDArray[np.float64]:
    """Each block of `across` × `down` as its mean; the last row and column stand in where cut."""
    height, width = plane.shape
    padded = np.pad(plane, ((0, -height % down), (0, -width % across)), mode="edge")
    parts = [padded[i::down, j::across] for i in range(down) for j in range(across)]
    total: NDArray[np.float64] = np.sum(parts, axis=0)
    return total / len(parts)


def _quantised(plane: NDArray[np.float64], bits: int) -> NDArray[Any]:
    levels = np.clip(np.rint(plane), 0, (1 << bits) - 1)
    return levels.astype(np.uint8 if bits == 8 else "<u2")


def read_planes(frame: av.VideoFrame) -> Planes:
    """A frame's planes as arrays of its own size (copies), alpha left out."""
    layout = Layout.of(frame.format.name)
    number = {"yuv": 3, "gray": 1, "gbr": 3, "packed": 1}[layout.kind]
    return [_samples(frame, i, layout).copy() for i in range(number)]


def write_planes(planes: Planes, pixel_format: str) -> av.VideoFrame:
    """A frame of these planes, opaque where the format has alpha."""
    layout = Layout.of(pixel_format)
    height, width = planes[0].shape[:2]
    frame = av.VideoFrame(width, height, pixel_format)
    for i in range(len(frame.planes)):
        plane = planes[i] if i < len(planes) else (1 << layout.bits) - 1
        _samples(frame, i, layout)[:] = plane
    return frame


def _samples(frame: av.VideoFrame, i: int, layout: Layout) -> NDArray[Any]:
    plane = frame.planes[i]
    rows: NDArray[Any] = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    height, width = rows.shape[0], frame.width
    if layout.kind == "packed":
        depth = len(layout.order)
        return rows[: frame.height, : width * depth].reshape(frame.height, width, depth)
    chroma = layout.kind == "yuv" and i in (1, 2)
    across, down = (layout.across, layout.down) if chroma else (1, 1)
    width, height = -(-frame.width // across), -(-frame.height // down)
    if layout.bits > 8:
        return rows.view("<u2")[:height, :width]
    return rows[:height, :width]
