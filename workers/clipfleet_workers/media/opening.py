"""Opening a clip's file, which is untrusted, and reading its packets."""

import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import av
from av.codec.context import Flags
from av.container import InputContainer
from av.stream import Discard
from av.video.stream import VideoStream

from clipfleet.errors import ClipUnreadable
from clipfleet_workers.media import not_video
from clipfleet_workers.media.limits import Guard
from clipfleet_workers.media.pyav import translate_errors

# Only containers that carry media themselves, never playlists or references.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,mxf,"
    "h264,hevc,m4v,ivf,obu,nut,gif,rawvideo,mjpeg,dv,yuv4mpegpipe"
)
_OPEN_OPTIONS = {
    "format_whitelist": _CONTAINERS,
    "protocol_whitelist": "",
    # Where a transport stream loses sync, FFmpeg looks this far for it, then says to try again:
    # recorders leave more than its 64 KiB of zeros or of older data.
    "resync_size": str(2**30),
}
# Else opening decodes a key frame: 31 ms at 1080p.
_WITHOUT_LOOKING = {"skip_frame": "all"}
_BUFFER_BYTES = 1 << 20
_MOST_OF_A_JPEG = 1 << 23


@contextmanager
def opened(
    file: BinaryIO, guard: Guard, *, stream: int, look: bool = False
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The clip's container, from its start, and its stream of that index, ready to be decoded.

    The pixels' format and shape are not known before a frame is decoded. Unless it may `look` at
    the first frame, FFmpeg reads on for them, and if parameters change, starts the decoder with
    the last ones. Raises `ClipUnreadable` or `ClipTooLarge`.
    """
    with opened_file(file, guard, look=look) as container:
        taken = container.streams[stream] if stream < len(container.streams) else None
        if not isinstance(taken, VideoStream):
            raise ClipUnreadable("it has other streams than a moment ago")
        make_ready(taken, guard)
        yield container, taken


@contextmanager
def opened_file(file: BinaryIO, guard: Guard, *, look: bool = False) -> Iterator[InputContainer]:
    """The clip's container, from its start. Raises `ClipUnreadable` or `ClipTooLarge`."""
    format_ = _untold_format(file)
    options = _OPEN_OPTIONS | _most_pixels(guard) | ({} if look else _WITHOUT_LOOKING)
    try:
        with translate_errors():
            container = av.open(
                _Places(file, guard),
                "r",
                format=format_,
                options=options,
                buffer_size=_BUFFER_BYTES,
                metadata_errors="replace",  # titles may be in any encoding, and are not read
            )
    except av.FFmpegError as error:
        guard.memory(error)
        found = not_video.what(file)
        reason = f"it is {found}" if found else why(error)
        raise ClipUnreadable(f"it is not a video file that can be read ({reason})") from None
    with container:
        guard.memory()
        guard.streams(len(container.streams))
        yield container


def _untold_format(file: BinaryIO) -> str | None:
    """The demuxer for what FFmpeg would guess wrong; the file is at its start afterwards.

    It takes JPEGs in a row for still pictures, and does not recognise web cameras' streams of them.
    """
    file.seek(0)
    head = file.read(512)
    jpegs = head.startswith(b"\xff\xd8\xff") and b"\xff\xd9\xff\xd8" in file.read(_MOST_OF_A_JPEG)
    sent = head.lstrip().startswith(b"--") and b"content-type: image/jpeg" in head.lower()
    file.seek(0)
    return "mjpeg" if jpegs or sent else None


def make_ready(stream: VideoStream, guard: Guard) -> None:
    """Make it decode in one thread, within limits, with no other stream of its file read.

    If a file is cut short, a sound track's next packet may be beyond its end, and would end reading
    although the video goes on.
    """
    for other in stream.container.streams:
        if other is not stream:
            other.discard = Discard.all
    stream.thread_type = "NONE"
    stream.codec_context.thread_count = 1
    stream.codec_context.flags |= Flags.unaligned  # else it aligns crops for the CPU
    guard.frame_size(stream.codec_context.width, stream.codec_context.height)
    # Frames may grow mid-stream. `strict`: H.264 that does not state its reordering is taken to
    # reorder as far as its level allows; else FFmpeg guesses, and drops some.
    stream.codec_context.options = {**_most_pixels(guard), "strict": "1"}


def _most_pixels(guard: Guard) -> dict[str, str]:
    return {"max_pixels": str(guard.limits.max_frame_pixels)}


class _Places:
    """A file as FFmpeg reads it: seeking beyond what a file can have gives FFmpeg's own error.

    Python raises there (on ext4 beyond 16 TiB), and PyAV raises that again, at once or at a later
    packet: seen in nut, whose index is wherever its last bytes say.
    """

    def __init__(self, file: BinaryIO, guard: Guard) -> None:
        self.tell, self._file, self._guard = file.tell, file, guard
        self.name = getattr(file, "name", "<none>")

    def read(self, size: int) -> bytes:
        """At most so many bytes. Raises `MemoryError` where FFmpeg ran out of memory before."""
        self._guard.memory()
        return self._file.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """The new place, or FFmpeg's number for an invalid argument."""
        self._guard.memory()
        try:
            return self._file.seek(offset, whence)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return -errno.EINVAL


def packets_of(
    container: InputContainer, stream: VideoStream, guard: Guard
) -> "Iterator[av.Packet[VideoStream]]":
    """The stream's packets that are not empty. Raises `av.FFmpegError`, `MemoryError`."""
    with translate_errors():
        try:
            for packet in container.demux(stream):
                guard.memory()  # demuxers may skip what they have no room for
                if packet.size:
                    yield packet
        except IndexError:
            pass  # at the end, from PyAV 18, of streams that came up after the file was opened


def why(error: Exception) -> str:
    """FFmpeg's reason, in one line."""
    reason = error.strerror if isinstance(error, av.FFmpegError) else str(error)
    return (reason or type(error).__name__).splitlines()[0]
