"""Whether a file that may be a video is one, by its first bytes."""

import re
from collections.abc import Iterator

from clipfleet_producer.sources.endings import DEMUXERS

LOOKED_AT_BYTES = 64 * 1024

# How many packets in a row make a transport stream: text has a G at so many places by no chance.
_PACKETS = 5
_PACKET_BYTES = (188, 192, 204)  # alone, behind a time (Blu-ray, cameras), before a checksum
# A pack header of MPEG-1 or MPEG-2 and what follows it: the first four bytes are also a number.
_PACK_HEADER = re.compile(
    rb"\x00\x00\x01\xba(?:[\x21-\x2f].{7}|[\x44-\x7f].{8}[\xf8-\xff]\xff{0,7})"
    rb"\x00\x00\x01[\xba-\xef]",
    re.DOTALL,
)
# How the first packet of a stream begins that is video: Theora, Dirac, VP8, OGM, Daala.
_OGG_VIDEO = (b"\x80theora", b"BBCD\0", b"OVP80", b"\x01video", b"\x80daala")


def holds_video(ending: str, head: bytes) -> bool:
    """Whether a file with this ambiguous ending, and these first 64 KiB, is a video.

    A GIF is one where it has two images, or more to show after what was looked at.
    """
    match DEMUXERS[ending]:
        case "mpegts":
            return _is_transport_stream(head)
        case "mpeg":
            return _PACK_HEADER.search(head) is not None or _is_transport_stream(head)
        case "ogg":
            return any(sign in head for sign in _OGG_VIDEO)
        case "gif":
            return _is_animated(head)
        case other:
            raise ValueError(f"{ending} is not ambiguous: it is {other}")


def _is_transport_stream(head: bytes) -> bool:
    for size in _PACKET_BYTES:
        last = len(head) - size * (_PACKETS - 1)
        at = head.find(b"G", 0, max(last, 0))
        while at >= 0:
            if head[at : at + size * _PACKETS : size] == b"G" * _PACKETS:
                return True
            at = head.find(b"G", at + 1, last)
    return False


def _is_animated(head: bytes) -> bool:
    images, told = 0, False
    try:
        for block, at in _gif_blocks(head):
            images += block == b","
            # A loop, or a time for which an image is shown: a still has neither.
            told = told or head[at : at + 11] in (b"!\xff\x0bNETSCAPE", b"!\xff\x0bANIMEXTS")
            told = told or (head[at : at + 3] == b"!\xf9\x04" and any(head[at + 4 : at + 6]))
            if images > 1:
                return True
    except IndexError:  # it goes on beyond what was looked at
        return told
    return False


def _gif_blocks(head: bytes) -> Iterator[tuple[bytes, int]]:
    """(how it begins, its place) of each block. Raises `IndexError` where the bytes end."""
    if head[:4] != b"GIF8":
        return
    at = 13 + _colours(head[10])
    while (block := head[at : at + 1]) in (b",", b"!"):
        yield block, at
        at += 2 if block == b"!" else 11 + _colours(head[at + 9])
        while size := head[at]:
            at += size + 1
        at += 1
    if not block:
        raise IndexError


def _colours(flags: int) -> int:
    """The bytes of the table of colours that the flags tell of."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
