"""The video track by a Flash Video file's own tags (Adobe's specification, annex E)."""

from typing import BinaryIO

from clipfleet_workers.media.scrambled import is_scrambled
from clipfleet_workers.media.track_header import TrackHeader

_MOST_TAGS = 500_000
_VIDEO, _FILTERED = 9, 0x20


def tracks(file: BinaryIO) -> list[TrackHeader]:
    """The one video track, encrypted if its tags' filter bit is set."""
    file.seek(0)
    head = file.read(9)
    at = int.from_bytes(head[5:9]) + 4
    tags = filtered = 0
    for _ in range(_MOST_TAGS):
        file.seek(at)
        tag = file.read(11)
        if len(tag) < 11:
            break
        length = 11 + int.from_bytes(tag[1:4])
        file.seek(at + length)
        if int.from_bytes(file.read(4)) != length:  # no tag, or the last one is cut short
            break
        if tag[0] & 0x1F == _VIDEO:
            tags += 1
            filtered += tag[0] & _FILTERED != 0
        at += length + 4
    if not tags:
        return []
    encryption = "encrypted tags" if is_scrambled(filtered, tags) else ""
    return [TrackHeader(number=0, encryption=encryption)]
