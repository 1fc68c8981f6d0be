"""Whether a file ends before its video does, by what it says of itself and by its last bytes."""

import io
from itertools import islice
from typing import BinaryIO

from av.video.stream import VideoStream

_ZEROS = bytes(1 << 16)  # no muxer pads the end of a file with as many
# At zeros FFmpeg silently takes these to end. Other formats may come off a disc or a tape.
_END_AT_ZEROS = ("matroska", "avi", "flv", "asf", "ogg", "mxf")


_CUT_SHORT = "the file is cut short: it ends before the end that it states"


def warnings(file: BinaryIO, container: str, stream: VideoStream, *, most: int) -> list[str]:
    """Warnings about the end of a file whose packets were all read; mostly none.

    At most `most` entries of its index are looked at: a few bytes may list thirty million.
    """
    size = file.seek(0, io.SEEK_END)
    if container.startswith("mov"):
        listed = islice(stream.index_entries, most)
        return [_CUT_SHORT] if any(entry.pos + entry.size > size for entry in listed) else []
    end = (_matroska_end(file) or size) if "matroska" in container else size
    if size < end:
        return [_CUT_SHORT]
    if container.startswith(_END_AT_ZEROS) and end > len(_ZEROS):
        file.seek(end - len(_ZEROS))
        if file.read(len(_ZEROS)) == _ZEROS:
            return ["the file was never written whole: it ends in 64 KiB or more of zeros"]
    return []


def _matroska_end(file: BinaryIO) -> int | None:
    """Where a Matroska file's segment ends (RFC 8794, RFC 9559); None if it does not say."""
    file.seek(0)
    head = file.read(4096)
    at = 0
    for expected in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):  # EBML, then Segment
        if head[at : at + 4] != expected or len(head) < at + 12:
            return None
        octets = 9 - head[at + 4].bit_length()
        size = int.from_bytes(head[at + 4 : at + 4 + octets]) & (1 << 7 * octets) - 1
        at += 4 + octets + size
    return None if size == (1 << 7 * octets) - 1 else at
