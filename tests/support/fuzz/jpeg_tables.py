"""Motion JPEG with tables in some packets alone: those that came last hold (ITU-T T.81, B.2.4)."""

import random
from dataclasses import replace

from tests.support.fuzz.parts import Part

_QUANTIZER, _HUFFMAN, _SCAN = 0xDB, 0xC4, 0xDA


def with_tables_at_times(part: Part, chance: random.Random) -> Part:
    """The part, at times with some of its tables in some of its packets alone."""
    dropped = chance.choice((set(), {_HUFFMAN}, {_QUANTIZER}, {_HUFFMAN, _QUANTIZER}))
    share = chance.choice((0.5, 1.0))
    chunks = [
        replace(chunk, data=_without(chunk.data, dropped))
        if place and chance.random() < share
        else chunk
        for place, chunk in enumerate(part.chunks)
    ]
    names = sorted(f"{marker:x}" for marker in dropped)
    return replace(part, chunks=chunks, how=f"{part.how} without={names} share={share}")


def _without(data: bytes, markers: set[int]) -> bytes:
    """A picture without these segments of its head."""
    kept, at = data[:2], 2
    while data[at] == 0xFF and data[at + 1] != _SCAN:
        length = 2 + int.from_bytes(data[at + 2 : at + 4])
        if data[at + 1] not in markers:
            kept += data[at : at + length]
        at += length
    return kept + data[at:]
