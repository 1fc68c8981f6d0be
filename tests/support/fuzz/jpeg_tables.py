"""Motion JPEG with tables in some packets alone: those that came last hold (ITU-T T.81, B.2.4)."""

import random
from collections.abc import Iterator
from dataclasses import replace

from tests.support.fuzz.parts import Part

_QUANTIZER, _HUFFMAN, _SCAN = 0xDB, 0xC4, 0xDA


def with_tables_at_times(part: Part, chance: random.Random) -> Part:
    """The part, at times with fewer tables: none of the codes that hold already, few quantizers."""
    codes, quantizers = chance.random() < 0.5, chance.choice((0.0, 0.5, 1.0))
    held, chunks = b"", []
    for place, chunk in enumerate(part.chunks):
        brought = b"".join(_segments(chunk.data, _HUFFMAN))
        dropped = {_HUFFMAN} if codes and brought == held else set()
        dropped |= {_QUANTIZER} if place and chance.random() < quantizers else set()
        chunks.append(replace(chunk, data=without(chunk.data, dropped)))
        held = brought
    return replace(part, chunks=chunks, how=f"{part.how} without={codes},{quantizers}")


def without(data: bytes, markers: set[int]) -> bytes:
    """A picture without these segments of its head."""
    for marker in markers:
        for segment in _segments(data, marker):
            data = data.replace(segment, b"", 1)
    return data


def _segments(data: bytes, marker: int) -> Iterator[bytes]:
    """The segments of this marker, before the first scan."""
    at = 2
    while data[at] == 0xFF and data[at + 1] != _SCAN:
        length = 2 + int.from_bytes(data[at + 2 : at + 4])
        if data[at + 1] == marker:
            yield data[at : at + length]
        at += length
