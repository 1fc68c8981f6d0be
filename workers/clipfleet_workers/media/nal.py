"""NAL units, as H.264 and HEVC share them, and the state that their messages leave."""

from collections.abc import Callable, Iterator

from clipfleet_workers.media.bits import Unknown, unescaped
from clipfleet_workers.media.kind import Held

MOST_BYTES = 4096  # no parameter set is longer: the most scaling lists take half of it
_HEAD_BYTES = 1024  # of longer units: more than is read
# Supplemental messages whose effect outlasts their picture, by payload type (H.264, D.1; H.265,
# D.2.1): how frames are packed and turned, and their transfer.
_LASTING = frozenset({45, 47, 147})
_USER_DATA, _FILM_GRAIN = 5, 19
_X264 = b"x264 - core "  # FFmpeg works around this encoder's versions


class Units:
    """NAL units, after start codes or by length, as the stream's extradata say."""

    def __init__(self, size_place: int) -> None:
        self._size_place, self._length_size = size_place, 0

    def renewed(
        self, extradata: bytes, boxed: Callable[[bytes], Iterator[bytes]]
    ) -> Iterator[bytes]:
        """The units of extradata; later packets have the same form. Raises `Unknown`.

        An avcC or hvcC box (ISO/IEC 14496-15) begins with version 1; `boxed` reads it.
        """
        in_box = len(extradata) > self._size_place and extradata[0] == 1
        self._length_size = (extradata[self._size_place] & 3) + 1 if in_box else 0
        return boxed(extradata) if in_box else by_start_code(extradata)

    def of(self, data: bytes) -> Iterator[bytes]:
        """Each unit, cut to its first bytes if long. Raises `Unknown`."""
        return _by_length(data, self._length_size) if self._length_size else by_start_code(data)


def _by_length(data: bytes, length_size: int) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        start = at + length_size
        end = start + int.from_bytes(data[at:start])
        if end > len(data) or start > len(data):
            raise Unknown
        yield data[start : end if end - start <= MOST_BYTES else start + _HEAD_BYTES]
        at = end


def by_start_code(data: bytes) -> Iterator[bytes]:
    """What follows each start code 00 00 01, cut to its first bytes if long. Raises `Unknown`."""
    start = data.find(b"\0\0\1") + 3
    if start < 3:
        raise Unknown
    while start >= 3:
        following = data.find(b"\0\0\1", start)
        end = following if following >= 0 else len(data)
        yield data[start : end if end - start <= MOST_BYTES else start + _HEAD_BYTES]
        start = following + 3


def counted(data: bytes, at: int, count: int) -> tuple[list[bytes], int]:
    """That many units, each after its length in two bytes, and where they end."""
    units = []
    for _ in range(count):
        length = int.from_bytes(data[at : at + 2])
        units.append(data[at + 2 : at + 2 + length])
        at += 2 + length
    return units, at


def messages(unit: bytes) -> Iterator[tuple[int, bytes]]:
    """(payload type, payload) of a supplemental unit, without its header (H.264, 7.3.2.3.1)."""
    at = 0
    while at + 2 <= len(unit):  # the last byte, 0x80, remains
        numbers = [0, 0]
        for i in range(2):
            while at < len(unit) and unit[at] == 0xFF:
                numbers[i] += 255
                at += 1
            numbers[i] += unit[at] if at < len(unit) else 0
            at += 1
        yield numbers[0], unit[at : at + numbers[1]]
        at += numbers[1]


class Messages:
    """The state that supplemental messages leave. Film grain depends on earlier frames."""

    def __init__(self, held: Held) -> None:
        self._held, self.grain = held, False

    def take(self, unit: bytes) -> bool:
        """Whether they change anything."""
        changes = False
        for kind, payload in messages(unescaped(unit)):
            self.grain |= kind == _FILM_GRAIN
            lasting = kind in _LASTING or (kind == _USER_DATA and _X264 in payload[:64])
            if lasting:
                changes |= self._held.take("message", kind, payload)
        return changes
