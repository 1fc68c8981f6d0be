"""Boxes of ISO base media files (ISO/IEC 14496-12, 4.2), with bounds on their number and size."""

import io
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_MOST_BOXES = 500_000  # on one level: an hour of fragments of a frame each
_MOST_BYTES = 1 << 20  # that are read of one box


class Box(NamedTuple):
    """One box: its four letters, and where its content is, in bytes from the file's start."""

    name: bytes
    start: int
    end: int


def children(file: BinaryIO, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes between two places; of a file, all outermost ones."""
    size = file.seek(0, io.SEEK_END)
    end = size if end is None else min(end, size)
    for _ in range(_MOST_BOXES):
        if start + 8 > end:
            return
        file.seek(start)
        head = file.read(16)
        length, name, content = int.from_bytes(head[:4]), head[4:8], start + 8
        if length == 1 and len(head) == 16:
            length, content = int.from_bytes(head[8:]), start + 16
        elif length == 0:
            length = end - start
        if start + length < content:
            return
        yield Box(name, content, min(start + length, end))
        start += length


def find(file: BinaryIO, inside: Box, *path: bytes) -> Box | None:
    """The first box on the path, from inside a box."""
    for name in path:
        found = next(
            (box for box in children(file, inside.start, inside.end) if box[0] == name), None
        )
        if found is None:
            return None
        inside = found
    return inside


def content(file: BinaryIO, box: Box | None) -> bytes:
    """A box's content, up to a mebibyte; empty for None."""
    if box is None:
        return b""
    file.seek(box.start)
    return file.read(min(box.end - box.start, _MOST_BYTES))
