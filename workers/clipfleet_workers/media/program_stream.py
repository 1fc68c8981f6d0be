"""Video tracks by a program stream's own headers (ISO/IEC 13818-1, 2.5.3): VOB, MPEG, MOD."""

import io
from typing import BinaryIO

from clipfleet_workers.media.scrambled import is_scrambled
from clipfleet_workers.media.track_header import TrackHeader

_PACK, _END = 0xBA, 0xB9
_MOST_PACKETS = 200_000  # of 2,048 bytes: 400 MB
_FIRST_VIDEO, _LAST_VIDEO = 0xE0, 0xEF


def tracks(file: BinaryIO) -> list[TrackHeader]:
    """The video tracks; `number` is FFmpeg's, the start code. Discs with CSS scramble sectors."""
    counts: dict[int, tuple[int, int]] = {}
    at, size = 0, file.seek(0, io.SEEK_END)
    for _ in range(_MOST_PACKETS):
        file.seek(at)
        head = file.read(14)
        if head[:3] != b"\0\0\1" or at >= size or len(head) < 7:
            break
        code = head[3]
        if code == _PACK:
            is_mpeg_2 = head[4] & 0xC0 == 0x40
            if is_mpeg_2 and len(head) < 14:
                break
            at += 14 + (head[13] & 7) if is_mpeg_2 else 12
            continue
        if code == _END:
            at += 4
            continue
        if _FIRST_VIDEO <= code <= _LAST_VIDEO:
            packets, scrambled = counts.get(code, (0, 0))
            marked = head[6] & 0xC0 == 0x80 and head[6] & 0x30 != 0
            counts[code] = packets + 1, scrambled + marked
        at += 6 + int.from_bytes(head[4:6])
    return [
        TrackHeader(
            number=0x100 | code,
            encryption="scrambled sectors, as of a DVD with CSS"
            if is_scrambled(scrambled, packets)
            else "",
        )
        for code, (packets, scrambled) in counts.items()
    ]
