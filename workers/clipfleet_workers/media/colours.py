"""Colour matrices (ITU-T H.273, table 4), and which one converts a clip's planes to RGB."""

from collections.abc import Sequence
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from clipfleet.errors import ClipUnreadable

Image = NDArray[np.uint8]

RGB, YCGCO = 0, 8
_BT709, _FCC, _BT601, _SMPTE240M, _BT2020 = 1, 4, 5, 7, 9
_NAMES = {RGB: "rgb", _BT709: "bt709", _FCC: "fcc", _BT601: "bt601", 6: "bt601"}
_NAMES |= {_SMPTE240M: "smpte240m", YCGCO: "ycgco", _BT2020: "bt2020"}
_LINEAR = set(_NAMES) - {RGB, YCGCO}  # what swscale knows
# Some containers wrongly state the identity matrix for planes that are not RGB.
_UNSAID = {0, 2, 3}

# Derived from the primaries: those whose numbers are a named matrix's.
_DERIVED = 12
_BY_PRIMARIES = {1: _BT709, 4: _FCC, 6: _SMPTE240M, 7: _SMPTE240M, 9: _BT2020}

# What takes more than a matrix to convert to RGB.
_NOT_LINEAR = {
    10: "BT.2020 of constant luminance",
    11: "Y'D'zD'x (SMPTE ST 2085)",
    12: "derived from primaries that are not named",
    13: "of constant luminance, derived from their primaries",
    14: "ICtCp",
    15: "IPT-C2 (SMPTE ST 2128)",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}


class Matrix(NamedTuple):
    """A matrix by H.273's number; `guessed` from the size if the stream does not state one.

    `told`: swscale must be told, since the frames state another number or none.
    """

    number: int
    guessed: bool = False
    told: bool = False

    @property
    def name(self) -> str:
        """Its usual name."""
        return _NAMES[self.number]


def matrix_of(frame: av.VideoFrame) -> Matrix:
    """The matrix of a frame's clip. Raises `ClipUnreadable` if no matrix converts it to RGB.

    If a stream does not state one, the size decides, as in mpv: BT.709 from 1280 pixels of width or
    above 576 lines, BT.601 below.
    """
    if frame.format.is_rgb or frame.format.name == "pal8":
        return Matrix(RGB)
    number = int(frame.colorspace)
    grey = frame.format.name.startswith(("gray", "ya", "mono"))
    if number in _UNSAID or (grey and number not in _LINEAR):
        large = frame.width >= 1280 or frame.height > 576
        return Matrix(_BT709 if large else _BT601, guessed=True, told=True)
    if number == _DERIVED and int(frame.color_primaries) in _BY_PRIMARIES:
        return Matrix(_BY_PRIMARIES[int(frame.color_primaries)], told=True)
    if number not in _NAMES:
        named = _NOT_LINEAR.get(number, f"by matrix {number} of H.273")
        raise ClipUnreadable(f"its colours are {named}, which cannot be converted to RGB here")
    return Matrix(number)


def rgb_of_ycgco(planes: Sequence[Image], out: Image) -> None:
    """Write full-range Y, Cg and Co, 8 bits, as RGB to `out`, height × width × 3 (H.273, 8.3)."""
    y, cg, co = (plane.astype(np.int16) for plane in planes)
    cg, co = cg - 128, co - 128
    for channel, values in enumerate((y - cg + co, y + cg, y - cg - co)):
        out[..., channel] = np.clip(values, 0, 255)
