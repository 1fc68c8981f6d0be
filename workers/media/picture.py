"""From decoded frames to what people see: upright, square pixels, full-range RGB, one size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import Type
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

from clipfleet.errors import ClipUnreadable
from workers.media.demux import why

Image = NDArray[np.uint8]

# ITU-T H.273, table 4, by FFmpeg's names where they are shorter.
_MATRICES = {0: "rgb", 1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m"}
_MATRICES |= {8: "ycgco", 9: "bt2020", 10: "bt2020"}
_UNSPECIFIED = 2
_BT709, _BT601 = 1, 5

# H.273, table 3.
_TRANSFERS = {1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear"}
_TRANSFERS |= {11: "iec61966-2-4", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12"}
_TRANSFERS |= {16: "smpte2084", 17: "smpte428", 18: "arib-std-b67"}
_HDR = ("smpte2084", "arib-std-b67")

# Wider or narrower pixels than these are mistakes in headers.
_MOST_ASPECT = 16.0


@dataclass(frozen=True, kw_only=True)
class Turn:
    """How frames lie: to be transposed if `sideways`, then flipped along rows and columns."""

    sideways: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Turn:
        """What the frame's display matrix asks for, to the nearest quarter turn.

        The matrix is the one of ISO/IEC 14496-12, 6.2.2: x' = a x + c y, y' = b x + d y.
        """
        side_data: Any = frame.side_data  # typed as another kind of mapping
        try:
            matrix = side_data[Type.DISPLAYMATRIX]
        except KeyError:
            return cls()
        a, b, _, c, d = (int(n) for n in np.frombuffer(memoryview(matrix), np.int32)[:5])
        if abs(a) >= abs(b):
            return cls(flip_rows=d < 0, flip_columns=a < 0)
        return cls(sideways=True, flip_rows=b < 0, flip_columns=c < 0)

    @property
    def mirrored(self) -> bool:
        """Whether this flips left to right before it turns."""
        return (self.flip_rows == self.flip_columns) == self.sideways

    @property
    def degrees(self) -> int:
        """The clockwise turn, after flipping left to right where `mirrored`."""
        if self.sideways:
            return 90 if self.flip_columns else 270
        return 180 if self.flip_rows else 0

    def upright(self, plane: Image) -> Image:
        """A view of the plane, moved."""
        moved = plane.T if self.sideways else plane
        return moved[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What a clip's frames look like, by its first one. Sizes in pixels, upright.

    `width` and `height` as stored; `pixel_aspect_ratio` is a pixel's width over its height.
    `matrix` is H.273's number; `matrix_guessed` where the stream does not say.
    """

    width: int
    height: int
    pixel_aspect_ratio: float
    turn: Turn
    pixel_format: str
    interlaced: bool
    matrix: int
    matrix_guessed: bool
    full_range: bool
    transfer: str

    @classmethod
    def of(cls, frame: av.VideoFrame, *, pixel_aspect_ratio: float) -> Picture:
        """The look of the frame's clip; `pixel_aspect_ratio` as stored, 0 where not known.

        Where a stream does not say its matrix, size decides, as in mpv: BT.709 from 1280 pixels
        of width or above 576 lines, BT.601 below.
        """
        turn = Turn.of(frame)
        width, height = frame.width, frame.height
        aspect = pixel_aspect_ratio
        if not 1 / _MOST_ASPECT <= aspect <= _MOST_ASPECT:
            aspect = 1.0
        rgb = frame.format.is_rgb or frame.format.name == "pal8"
        guessed = not rgb and int(frame.colorspace) not in _MATRICES
        by_size = _BT709 if width >= 1280 or height > 576 else _BT601
        matrix = 0 if rgb else by_size if guessed else int(frame.colorspace)
        return cls(
            width=height if turn.sideways else width,
            height=width if turn.sideways else height,
            pixel_aspect_ratio=1 / aspect if turn.sideways else aspect,
            turn=turn,
            pixel_format=frame.format.name,
            interlaced=frame.interlaced_frame,
            matrix=matrix,
            matrix_guessed=guessed,
            full_range=rgb
            or frame.format.name.startswith("yuvj")
            or int(frame.color_range) == int(ColorRange.JPEG),
            transfer=_TRANSFERS.get(int(frame.color_trc), "unspecified"),
        )

    @property
    def matrix_name(self) -> str:
        """The matrix, by its usual name."""
        return _MATRICES[self.matrix]

    @property
    def display_width(self) -> int:
        """The width that makes pixels square, the height kept."""
        return max(1, round(self.width * self.pixel_aspect_ratio))

    @property
    def warnings(self) -> list[str]:
        """What people should know of how it is shown."""
        if self.transfer not in _HDR:
            return []
        return [f"it is HDR ({self.transfer}), shown without tone mapping: colours look pale"]


class Scaler:
    """Makes pictures of one size from a clip's frames, of whatever size these are.

    Bicubic, as the reference system has it for the model. With `averaging`, where frames shrink
    each pixel is the mean of those it covers: previews are then 2 to 8% smaller, no less similar
    to their source, and take half the time to scale.
    """

    def __init__(
        self, picture: Picture, *, width: int, height: int, averaging: bool = False
    ) -> None:
        self._picture, self._averaging = picture, averaging
        sideways = picture.turn.sideways
        self._width, self._height = (height, width) if sideways else (width, height)
        self._reformatter = VideoReformatter()
        self._fields = _TopField()

    def into(self, frame: av.VideoFrame, out: Image) -> None:
        """Write `frame` to `out`, uint8 RGB, height × width × 3. Raises `ClipUnreadable`."""
        picture = self._picture
        try:
            if frame.interlaced_frame:
                frame = self._fields.of(frame)
            if picture.matrix_guessed:
                frame.colorspace = picture.matrix
            shrinks = frame.width >= self._width and frame.height >= self._height
            kernel = Interpolation.AREA if self._averaging and shrinks else Interpolation.BICUBIC
            # Planes of full resolution keep chroma exact where packed RGB rounds it to pairs of
            # pixels: off by 0.5 of 255 in place of 3.5, and 1.5 ms in place of 3.8 at 1008×560.
            # ACCURATE_RND is for frames that keep their size: else libswscale takes a quicker way,
            # which leaves the last 8 columns of a width such as 360 unwritten (FFmpeg 8.1).
            scaled = self._reformatter.reformat(
                frame,
                width=self._width,
                height=self._height,
                format="gbrp",
                dst_color_range=ColorRange.JPEG,
                interpolation=kernel | Interpolation.ACCURATE_RND,
                threads=1,
            )
        except (av.FFmpegError, ValueError) as error:
            raise ClipUnreadable(
                f"its frames ({frame.format.name}) cannot be turned into RGB ({why(error)})"
            ) from None
        for channel, plane in zip((1, 2, 0), scaled.planes, strict=True):
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            out[..., channel] = picture.turn.upright(rows[: self._height, : self._width])
        if picture.pixel_format.startswith(("gray", "ya")) and not picture.full_range:
            out[...] = _FROM_LIMITED[out]  # libswscale takes all grey to be of full range


_FROM_LIMITED = np.clip(np.rint((np.arange(256) - 16.0) * 255 / 219), 0, 255).astype(np.uint8)


class _TopField:
    """Every other line of interlaced frames, the first one's, without a copy."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._made_for: tuple[int, int, str] | None = None

    def of(self, frame: av.VideoFrame) -> av.VideoFrame:
        kind = (frame.width, frame.height, frame.format.name)
        if self._graph is None or self._made_for != kind:
            self._graph, self._made_for = Graph(), kind
            source = self._graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=frame.time_base,
            )
            field = self._graph.add("field", "type=top")
            sink = self._graph.add("buffersink")
            source.link_to(field)
            field.link_to(sink)
            self._graph.configure()
        self._graph.push(frame)
        pulled = self._graph.pull()
        assert isinstance(pulled, av.VideoFrame)
        return pulled
