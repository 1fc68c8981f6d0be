"""What a clip's stream really holds, and its frames by number.

A clip is demuxed once to count and time its frames, then decoded once. Only where the decoder
then gives other frames than the packets promised (damage, mostly) is it decoded again, by what
it gave the first time.
"""

import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from clipfleet.errors import ClipUnreadable
from workers.media.windows import is_uneven

# Clips are untrusted: containers that carry media themselves, never playlists or references.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,mxf,"
    "h264,hevc,m4v,ivf,obu,nut,gif,rawvideo,mjpeg"
)
_OPEN_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": ""}


@dataclass(frozen=True, kw_only=True)
class ClipIndex:
    """The frames that a clip shows, in order. Sizes in pixels, after rotation; times in seconds.

    `pts` are the frames' timestamps in the stream's time base, empty where it has none.
    `times_s` counts from the first frame. `end_time_s` is when the last frame ends.
    """

    width: int
    height: int
    rate: float
    num_frames: int
    pts: tuple[int, ...]
    times_s: tuple[float, ...]
    end_time_s: float
    codec: str
    pixel_format: str
    rotation_degrees: int
    uneven: bool
    warnings: tuple[str, ...] = ()


def index(data: bytes) -> ClipIndex:
    """Count and time the clip's frames by demuxing, without decoding more than the first.

    Raises `ClipUnreadable` where there is nothing to decode.
    """
    warnings = []
    with _open(data) as container:
        stream = _video_stream(container)
        try:
            first = next(container.decode(stream), None)
        except av.FFmpegError as error:
            raise ClipUnreadable(f"its first frame cannot be decoded ({_why(error)})") from None
        if first is None:
            raise ClipUnreadable("it holds no frame that can be decoded")
        rotation = round(first.rotation) % 360
        size = (first.width, first.height)
        pixel_format = first.format.name
    with _open(data) as container:
        stream = _video_stream(container)
        pts: list[int | None] = []
        damaged = 0
        try:
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard:
                    pts.append(packet.pts)
                    damaged += packet.is_corrupt
        except av.FFmpegError as error:
            warnings.append(f"reading stopped after {len(pts)} packets ({_why(error)})")
        if damaged:
            warnings.append(f"{damaged} of {len(pts)} packets are damaged or cut short")
        timed = [p for p in pts if p is not None]
        known = tuple(sorted(set(timed))) if len(timed) == len(pts) else ()
        return _timed_index(
            ClipIndex(
                width=size[1] if rotation in (90, 270) else size[0],
                height=size[0] if rotation in (90, 270) else size[1],
                rate=float(stream.average_rate or stream.base_rate or 25),
                num_frames=len(known) or len(pts),
                pts=known,
                times_s=(),
                end_time_s=0.0,
                codec=stream.codec_context.name,
                pixel_format=pixel_format,
                rotation_degrees=rotation,
                uneven=False,
                warnings=tuple(warnings),
            ),
            stream.time_base or Fraction(1, 1000),
        )


def _timed_index(index: ClipIndex, time_base: Fraction) -> ClipIndex:
    """`index` with times from its timestamps, and the rate that they show."""
    n = index.num_frames
    if not index.pts or n < 2:
        times = tuple(i / index.rate for i in range(n))
        return replace(index, times_s=times, end_time_s=n / index.rate)
    times = tuple(float((p - index.pts[0]) * time_base) for p in index.pts)
    measured = (n - 1) / times[-1]
    # Containers round times (Matroska to 1 ms): within 1% the declared rate is the exact one.
    rate = index.rate if abs(measured / index.rate - 1) < 0.01 else measured
    return replace(
        index,
        times_s=times,
        rate=rate,
        end_time_s=times[-1] + 1 / rate,
        uneven=is_uneven(times),
    )


class FramesDiffer(Exception):
    """The decoder gave other frames than the packets promised; `index` is what it gives."""

    def __init__(self, index: ClipIndex) -> None:
        super().__init__()
        self.index = index


def frames(data: bytes, index: ClipIndex) -> Iterator[tuple[int, av.VideoFrame]]:
    """Every frame of the clip with its number, in order.

    Raises `FramesDiffer` at the first sign that `index` is wrong, `ClipUnreadable` if nothing
    can be decoded.
    """
    numbers = {pts: n for n, pts in enumerate(index.pts)}
    expected = 0
    with _open(data) as container:
        stream = _video_stream(container)
        for frame in _decoded(container, stream):
            number = numbers.get(frame.pts or 0, -1) if numbers else expected
            if number != expected or number >= index.num_frames:
                raise FramesDiffer(_index_by_decoding(data, index))
            yield number, frame
            expected += 1
    if expected != index.num_frames:
        raise FramesDiffer(_index_by_decoding(data, index))


def _index_by_decoding(data: bytes, index: ClipIndex) -> ClipIndex:
    with _open(data) as container:
        stream = _video_stream(container)
        pts: list[int | None] = [frame.pts for frame in _decoded(container, stream)]
        time_base = stream.time_base or Fraction(1, 1000)
    if not pts:
        raise ClipUnreadable("it holds no frame that can be decoded")
    timed = [p for p in pts if p is not None]
    rising = len(timed) == len(pts) and all(a < b for a, b in itertools.pairwise(timed))
    warning = f"{index.num_frames} frames were promised, {len(pts)} could be decoded"
    warnings = index.warnings if len(pts) == index.num_frames else (*index.warnings, warning)
    known = tuple(timed) if rising else ()
    return _timed_index(
        replace(index, pts=known, num_frames=len(pts), warnings=warnings), time_base
    )


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Frames as the decoder gives them; packets it cannot decode are passed over."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            packet = None
        try:
            yield from stream.decode(packet)
        except av.EOFError:
            return
        except av.FFmpegError:
            pass
        if packet is None:
            return


def _open(data: bytes) -> InputContainer:
    try:
        return av.open(io.BytesIO(data), "r", options=dict(_OPEN_OPTIONS))
    except av.FFmpegError as error:
        raise ClipUnreadable(f"it is not a video file that can be read ({_why(error)})") from None


def _video_stream(container: InputContainer) -> VideoStream:
    """The first video stream that is not cover art, set to decode in one thread."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            stream.thread_type = "NONE"
            return stream
    held = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
    raise ClipUnreadable(f"it has no video stream (it holds: {held})")


def _why(error: av.FFmpegError) -> str:
    return (error.strerror or type(error).__name__).splitlines()[0]


class Scaler:
    """Scales frames to one size as RGB, upright."""

    def __init__(self, *, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._reformatter = VideoReformatter()

    def into(self, frame: av.VideoFrame, out: NDArray[np.uint8]) -> None:
        """Write `frame` to `out`, uint8 RGB, height × width × 3."""
        quarter_turns = round(frame.rotation / 90) % 4
        sideways = quarter_turns % 2 == 1
        scaled = self._reformatter.reformat(
            frame,
            width=self.height if sideways else self.width,
            height=self.width if sideways else self.height,
            format="rgb24",
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.BICUBIC,
            threads=1,
        )
        plane = scaled.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        rgb = rows[: scaled.height, : scaled.width * 3].reshape(scaled.height, scaled.width, 3)
        out[...] = np.rot90(rgb, quarter_turns) if quarter_turns else rgb
