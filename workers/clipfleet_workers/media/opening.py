"""Opening a clip's file, which nobody vouches for, and reading its packets."""

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

# Clips are untrusted: containers that carry media themselves, never playlists or references.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,mxf,"
    "h264,hevc,m4v,ivf,obu,nut,gif,rawvideo,mjpeg,dv,yuv4mpegpipe"
)
_OPEN_OPTIONS = {
    "format_whitelist": _CONTAINERS,
    "protocol_whitelist": "",
    # Where a transport stream loses its beat, FFmpeg looks for it this far, then says to try again:
    # recorders leave more than its 64 KiB of zeros or of what was there before.
    "resync_size": str(2**30),
}
# Else opening decodes a key frame by itself: 31 ms at 1080p.
_WITHOUT_LOOKING = {"skip_frame": "all"}
_BUFFER_BYTES = 1 << 20
_MOST_OF_A_JPEG = 1 << 23


@contextmanager
def opened(
    file: BinaryIO, guard: Guard, *, stream: int, look: bool = False
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The clip's container, from its start, and its stream of that index, ready to be decoded.

    What only pixels tell (their format and shape) is not known before one is decoded. Unless it
    may `look` at the first frame, FFmpeg reads on for them, and where parameters change, lets the
    decoder begin with those that come last. Raises `ClipUnreadable` or `ClipTooLarge`.
    """
    with opened_file(file, guard, look=look) as container:
        taken = container.streams[stream] if stream < len(container.streams) else None
        if not isinstance(taken, VideoStream):
            raise ClipUnreadable("it holds other streams than a moment ago")
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
    """The demuxer of what FFmpeg would guess wrong; the file is at its start afterwards.

    It takes JPEGs in a row for pictures, and as web cameras send them for what only these send.
    """
    file.seek(0)
    head = file.read(512)
    jpegs = head.startswith(b"\xff\xd8\xff") and b"\xff\xd9\xff\xd8" in file.read(_MOST_OF_A_JPEG)
    sent = head.lstrip().startswith(b"--") and b"content-type: image/jpeg" in head.lower()
    file.seek(0)
    return "mjpeg" if jpegs or sent else None


def make_ready(stream: VideoStream, guard: Guard) -> None:
    """To decode in one thread, within limits, and no other stream of its file to be read.

    Where a file is cut short, a sound track's next packet may lie beyond its end, and end reading,
    though the video goes on for long.
    """
    for other in stream.container.streams:
        if other is not stream:
            other.discard = Discard.all
    stream.thread_type = "NONE"
    stream.codec_context.thread_count = 1
    stream.codec_context.flags |= Flags.unaligned  # else it crops to what suits the CPU
    guard.frame_size(stream.codec_context.width, stream.codec_context.height)
    # Frames may grow on the way. `strict`: H.264 that does not say how far its frames are reordered
    # is taken to reorder as far as its level allows; else FFmpeg guesses, and drops some.
    stream.codec_context.options = {**_most_pixels(guard), "strict": "1"}


def _most_pixels(guard: Guard) -> dict[str, str]:
    return {"max_pixels": str(guard.limits.max_frame_pixels)}


class _Places:
    """A file as FFmpeg reads it: seeking where no file can reach gives FFmpeg's own error.

    Python raises there (on ext4 beyond 16 TiB), and PyAV raises that again, at once or at a later
    packet: seen in nut, whose index lies wherever its last bytes say.
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
    """The stream's packets, those that hold anything. Raises `av.FFmpegError`, `MemoryError`."""
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
