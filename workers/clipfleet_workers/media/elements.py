"""Elements of EBML files (RFC 8794), with bounds on their number and size."""

import io
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_MOST_ELEMENTS = 100_000  # on one level
_MOST_BYTES = 1 << 20  # that are read of one element


class Element(NamedTuple):
    """One element: its name with the length marker, and where its content is in the file."""

    name: int
    start: int
    end: int


def children(file: BinaryIO, start: int = 0, end: int | None = None) -> Iterator[Element]:
    """The elements between two offsets; one of unknown length extends to the end."""
    size = file.seek(0, io.SEEK_END)
    end = size if end is None else min(end, size)
    for _ in range(_MOST_ELEMENTS):
        if start + 2 > end:
            return
        file.seek(start)
        head = file.read(12)
        octets = _octets(head, 0)
        length_octets = _octets(head, octets)
        content = octets + length_octets
        if octets > 4 or length_octets > 8 or content > len(head):
            return
        name = int.from_bytes(head[:octets])
        length = int.from_bytes(head[octets:content]) & (1 << 7 * length_octets) - 1
        start += content
        if length == (1 << 7 * length_octets) - 1:
            yield Element(name, start, end)
            return
        yield Element(name, start, min(start + length, end))
        start += length


def _octets(head: bytes, at: int) -> int:
    """How long a name or a length is, by its first byte; 9 if that is invalid."""
    return 9 - head[at].bit_length() if at < len(head) else 9


def content(file: BinaryIO, element: Element) -> bytes:
    """An element's content, up to a mebibyte."""
    file.seek(element.start)
    return file.read(min(element.end - element.start, _MOST_BYTES))


def number(file: BinaryIO, element: Element) -> int:
    """An element's content as an unsigned number."""
    return int.from_bytes(content(file, element)[:8])
