"""An mp4's boxes, changed by hand: what no muxer writes, but files in the wild have.

Works on files whose `moov` comes last, as FFmpeg writes them: there boxes may grow or go without
any chunk moving.
"""

import struct
from collections.abc import Callable, Sequence

from tests.support.clips import boxes


def edited(data: bytes, path: str, change: Callable[[bytes], bytes | None]) -> bytes:
    """`data` with the content of the first box at `path` (moov/trak/…) changed; None drops it."""
    name, _, rest = path.partition("/")
    for found, start, end in boxes(data):
        if found == name:
            old = data[start + 8 : end]
            new = edited(old, rest, change) if rest else change(old)
            box = b"" if new is None else struct.pack(">I", len(new) + 8) + name.encode() + new
            return data[:start] + box + data[end:]
    raise KeyError(f"no {name} in {[found for found, _, _ in boxes(data)]}")


def content(data: bytes, path: str) -> bytes:
    """The content of the first box at `path`."""
    for name in path.split("/"):
        start, end = next((start, end) for found, start, end in boxes(data) if found == name)
        data = data[start + 8 : end]
    return data


def box(name: str, inside: bytes) -> bytes:
    """A box of this content."""
    return struct.pack(">I", len(inside) + 8) + name.encode() + inside


def with_edits(data: bytes, edits: Sequence[tuple[int, int]]) -> bytes:
    """The first track with an edit list of (length, first time): in the movie's, the media's ticks.

    A first time of -1 shows nothing for the length. Replaces the edit list that is there.
    """
    entries = b"".join(struct.pack(">iihh", length, first, 1, 0) for length, first in edits)
    elst = box("elst", struct.pack(">II", 0, len(edits)) + entries)

    def in_track(track: bytes) -> bytes:
        parts = [(name, track[start:end]) for name, start, end in boxes(track)]
        kept = [part for name, part in parts if name != "edts"]
        return kept[0] + box("edts", elst) + b"".join(kept[1:])

    return edited(data, "moov/trak", in_track)


def timescales(data: bytes) -> tuple[int, int]:
    """Ticks a second of the movie and of the first track's media (boxes of version 0)."""
    (movie,) = struct.unpack_from(">I", content(data, "moov/mvhd"), 12)
    (media,) = struct.unpack_from(">I", content(data, "moov/trak/mdia/mdhd"), 12)
    return movie, media


def overwritten(at: int, value: int) -> Callable[[bytes], bytes]:
    """A change that writes a 32-bit number at an offset."""
    return lambda old: old[:at] + struct.pack(">I", value) + old[at + 4 :]


ENTRY_BYTES = 78  # a visual sample entry's own fields, behind its header
FIRST_ENTRY = "moov/trak/mdia/minf/stbl/stsd"


def with_entry(
    data: bytes,
    *,
    name: str = "",
    added: bytes = b"",
    without: Sequence[str] = (),
    twice: bool = False,
    size: tuple[int, int] | None = None,
) -> bytes:
    """The first track's first sample entry renamed, with more boxes in it and `without` some.

    With `twice` it stays as it was, and the changed one stands behind it. `size` is the width and
    height that it states.
    """

    def in_description(old: bytes) -> bytes:
        (length,) = struct.unpack_from(">I", old, 8)
        entry, rest = old[8 : 8 + length], old[8 + length :]
        inside = entry[8 + ENTRY_BYTES :]
        fields = entry[8 : 8 + ENTRY_BYTES]
        if size is not None:
            fields = fields[:24] + struct.pack(">HH", *size) + fields[28:]
        kept = b"".join(inside[a:b] for each, a, b in boxes(inside) if each not in without)
        changed = box(name or entry[4:8].decode(), fields + kept + added)
        if twice:
            return old[:4] + struct.pack(">I", 2) + entry + changed + rest
        return old[:8] + changed + rest

    return edited(data, FIRST_ENTRY, in_description)


def with_pixel_aspect(data: bytes, across: int, down: int) -> bytes:
    """The first track's first sample entry with a `pasp` of `across`:`down`, and no other."""
    return with_entry(data, added=box("pasp", struct.pack(">II", across, down)), without=["pasp"])
