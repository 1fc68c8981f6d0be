"""Packets of motion JPEG: which tables a picture has, and which it takes from earlier ones."""

from collections.abc import Iterator

from clipfleet_workers.media.kind import Kind

_HUFFMAN, _QUANTIZERS, _SCAN = 0xC4, 0xDB, 0xDA
_SEQUENTIAL = frozenset({0xC0, 0xC1})
# Marks after which FFmpeg decodes all later pictures differently.
_LASTING = (b"AVI1", b"LJIF", b"colr", b"xfrm", b"CS=ITU601", b"Intel(R) JPEG", b"Metasoft MJPEG")


class Jpeg:
    """Reads pictures (ITU-T T.81, annex B). If one lacks tables, those of earlier ones apply."""

    def __init__(self) -> None:
        self._marks: set[bytes] = set()
        self._brought: set[tuple[str, int]] = set()

    def renew(self, extradata: bytes) -> None:
        """Its tables apply as an earlier picture's would."""

    def read(self, data: bytes) -> Kind:
        """Whether it can be decoded alone, and whether later ones may need its tables."""
        brings: set[tuple[str, int]] = set()
        needs: set[tuple[str, int]] = set()
        marks: set[bytes] = set()
        for marker, content in _segments(data):
            if marker == _QUANTIZERS:
                brings |= {("quantizers", number) for number in _quantizers(content)}
            elif marker == _HUFFMAN:
                brings |= {("codes", number) for number in _codes(content)}
            elif marker in _SEQUENTIAL and len(content) > 5:
                needs |= {("quantizers", number) for number in content[8 : 6 + 3 * content[5] : 3]}
            elif marker == _SCAN and content:
                for both in content[2 : 1 + 2 * content[0] : 2]:
                    needs |= {("codes", both >> 4), ("codes", 0x10 | both & 15)}
            elif marker >= 0xE0:
                marks |= {mark for mark in _LASTING if content.startswith(mark)}
        sets = bool(marks - self._marks)
        self._marks |= marks
        lacks = needs - brings
        starts = bool(needs) and lacks.isdisjoint(self._brought)  # else as the decoder starts
        self._brought |= brings
        return Kind(starts=starts, disposable=not brings, sets=sets)


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Each marker and its content, up to the first scan's own data."""
    at = 0
    while at + 4 <= len(data):
        if data[at] != 0xFF or data[at + 1] in (0x00, 0x01, 0xFF) or 0xD0 <= data[at + 1] <= 0xD8:
            at += 2 if data[at] == 0xFF and data[at + 1] != 0xFF else 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4])
        yield data[at + 1], data[at + 4 : at + 2 + length]
        if data[at + 1] == _SCAN:
            return
        at += 2 + max(2, length)


def _quantizers(content: bytes) -> Iterator[int]:
    """The numbers of its tables: B.2.4.1."""
    at = 0
    while at < len(content):
        yield content[at] & 15
        at += 1 + 64 * (1 + (content[at] >> 4))


def _codes(content: bytes) -> Iterator[int]:
    """The class and number of each of its tables, as one byte: B.2.4.2."""
    at = 0
    while at + 17 <= len(content):
        yield content[at]
        at += 17 + sum(content[at + 1 : at + 17])
