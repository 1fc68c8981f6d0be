"""From decoded frames to what people see: upright, square pixels, full-range RGB, one size."""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

from clipfleet.errors import ClipUnreadable
from clipfleet_workers.media import allocation
from clipfleet_workers.media.colours import YCGCO, Image, Matrix, matrix_of, rgb_of_ycgco
from clipfleet_workers.media.cropping import Cropper, Margins, fitting
from clipfleet_workers.media.dolby_vision import DolbyVision
from clipfleet_workers.media.filtering import Filtered
from clipfleet_workers.media.opening import why
from clipfleet_workers.media.pyav import translate_errors
from clipfleet_workers.media.side_data import display_matrix, dolby_vision

# H.273, table 3.
_TRANSFERS = {1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear"}
_TRANSFERS |= {11: "iec61966-2-4", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12"}
_TRANSFERS |= {16: "smpte2084", 17: "smpte428", 18: "arib-std-b67"}
_HDR = ("smpte2084", "arib-std-b67")

# Wider or narrower pixels than these are errors in headers.
_MOST_ASPECT = 16.0


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A rotation: transpose if `sideways`, then flip along rows and columns."""

    sideways: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Turn | None:
        """The rotation of the frame's own display matrix; None without one."""
        return cls.by(display_matrix(frame))

    @classmethod
    def by(cls, matrix: NDArray[np.int32] | None) -> Turn | None:
        """The rotation of a display matrix, to the nearest quarter turn; None without one.

        By ISO/IEC 14496-12, 6.2.2: x' = a x + c y, y' = b x + d y.
        """
        if matrix is None:
            return None
        a, b, _, c, d = (int(n) for n in matrix[:5])
        if abs(a) >= abs(b):
            return cls(flip_rows=d < 0, flip_columns=a < 0)
        return cls(sideways=True, flip_rows=b < 0, flip_columns=c < 0)

    @property
    def mirrored(self) -> bool:
        """Whether this flips left to right before it rotates."""
        return (self.flip_rows == self.flip_columns) == self.sideways

    @property
    def degrees(self) -> int:
        """The clockwise rotation, after flipping left to right if `mirrored`."""
        if self.sideways:
            return 90 if self.flip_columns else 270
        return 180 if self.flip_rows else 0

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of a picture once rotated, or of a rotated one before."""
        return (height, width) if self.sideways else (width, height)

    def upright(self, plane: Image) -> Image:
        """A rotated view of the plane."""
        moved = plane.T if self.sideways else plane
        return moved[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What a clip's frames look like, by its first one. Sizes in pixels, upright.

    `width` and `height` are as stored, without `margins`; `pixel_aspect_ratio` is a pixel's width
    over its height. `warnings` say what may look wrong.
    """

    width: int
    height: int
    margins: Margins | None
    pixel_aspect_ratio: float
    turn: Turn
    pixel_format: str
    interlaced: bool
    matrix: Matrix
    full_range: bool
    transfer: str
    warnings: list[str]

    @classmethod
    def of(
        cls,
        frame: av.VideoFrame,
        *,
        pixel_aspect_ratio: float,
        margins: Margins | None = None,
        turn: Turn | None = None,
    ) -> Picture:
        """The look of the frame's clip; `pixel_aspect_ratio` as stored, 0 if unknown.

        `margins` are those that its container states; `turn`, of an earlier frame, applies if this
        one states no rotation. Raises `ClipUnreadable` if its colours cannot be shown.
        """
        with translate_errors():
            turn = Turn.of(frame) or turn or Turn()
            matrix = matrix_of(frame)
            rgb = frame.format.is_rgb or frame.format.name == "pal8"
        margins, warnings = fitting(margins, frame.width, frame.height)
        width, height = turn.size(*_cut_size(frame, margins))
        aspect = pixel_aspect_ratio
        if not 1 / _MOST_ASPECT <= aspect <= _MOST_ASPECT:
            aspect = 1.0
        if found := DolbyVision.of_frame(dolby_vision(frame)):
            warnings += found.warnings
        transfer = _TRANSFERS.get(int(frame.color_trc), "unspecified")
        if transfer in _HDR:
            warnings.append(
                f"it is HDR ({transfer}), shown without tone mapping: colours look pale"
            )
        return cls(
            width=width,
            height=height,
            margins=margins,
            pixel_aspect_ratio=1 / aspect if turn.sideways else aspect,
            turn=turn,
            pixel_format=frame.format.name,
            interlaced=frame.interlaced_frame,
            matrix=matrix,
            full_range=rgb
            or frame.format.name.startswith("yuvj")
            or int(frame.color_range) == int(ColorRange.JPEG),
            transfer=transfer,
            warnings=warnings,
        )

    @property
    def display_width(self) -> int:
        """The width that makes pixels square at the same height."""
        return max(1, round(self.width * self.pixel_aspect_ratio))

    def size_of(self, frame: av.VideoFrame) -> tuple[int, int]:
        """(width, height) of any of its frames, cropped and upright."""
        return (Turn.of(frame) or self.turn).size(*_cut_size(frame, self.margins))


def _cut_size(frame: av.VideoFrame, margins: Margins | None) -> tuple[int, int]:
    whole = (frame.width, frame.height)
    return (margins.left_of(*whole) if margins else None) or whole


class Scaler:
    """Scales a clip's frames, of any size, to pictures of one size.

    Bicubic, as the reference system does for the model. With `averaging`, when frames shrink, each
    pixel is the mean of those it covers: previews are then 2 to 8% smaller, no less similar to
    their source, and take half the time to scale.
    """

    def __init__(
        self, picture: Picture, *, width: int, height: int, averaging: bool = False
    ) -> None:
        self._picture, self._averaging = picture, averaging
        self._size = (width, height)
        self._reformatter = VideoReformatter()
        self._top_field = Filtered("field", "type=top")
        self._cropper = Cropper(picture.margins) if picture.margins else None

    def into(self, frame: av.VideoFrame, out: Image) -> None:
        """Write `frame` to `out`, uint8 RGB, height × width × 3. Raises `ClipUnreadable`."""
        picture = self._picture
        ycgco = picture.matrix.number == YCGCO
        try:
            with translate_errors():
                turn = Turn.of(frame) or picture.turn
                whole_height = frame.height
                if picture.matrix.told:
                    frame.colorspace = picture.matrix.number
                elif ycgco:
                    frame.colorspace = _ANY_OTHER  # swscale knows all but this one
                if frame.interlaced_frame:
                    frame = self._top_field.of(frame)
                if self._cropper is not None:
                    frame = self._cropper.of(frame, height=whole_height)
                planes = self._scaled(frame, turn.size(*self._size), "yuv444p" if ycgco else "gbrp")
        except av.FFmpegError as error:
            if isinstance(error, MemoryError) or allocation.failed():
                raise MemoryError from None
            raise ClipUnreadable(
                f"its frames ({frame.format.name}) cannot be converted to RGB ({why(error)})"
            ) from None
        upright = [turn.upright(plane) for plane in planes]
        if ycgco:
            rgb_of_ycgco(upright, out)
            return
        for channel, plane in zip((1, 2, 0), upright, strict=True):
            out[..., channel] = plane
        if picture.pixel_format.startswith(("gray", "ya")) and not picture.full_range:
            out[...] = _FROM_LIMITED[out]  # libswscale treats all grey as full range

    def _scaled(self, frame: av.VideoFrame, size: tuple[int, int], layout: str) -> list[Image]:
        """The frame's three planes of full range at this (width, height)."""
        width, height = size
        shrinks = frame.width >= width and frame.height >= height
        kernel = Interpolation.AREA if self._averaging and shrinks else Interpolation.BICUBIC
        # Planes of full resolution keep chroma exact, while packed RGB rounds it to pairs of
        # pixels: off by 0.5 of 255 in place of 3.5, and 1.5 ms in place of 3.8 at 1008×560.
        # ACCURATE_RND is for frames that keep their size: else libswscale uses a faster path,
        # which leaves the last 8 columns of a width such as 360 unwritten (FFmpeg 8.1).
        scaled = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format=layout,
            dst_color_range=ColorRange.JPEG,
            interpolation=kernel | Interpolation.ACCURATE_RND,
            threads=1,
        )
        rows = (
            np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            for plane in scaled.planes
        )
        return [each[:height, :width] for each in rows]


_ANY_OTHER = 5
_FROM_LIMITED = np.clip(np.rint((np.arange(256) - 16.0) * 255 / 219), 0, 255).astype(np.uint8)
