"""Quantizer matrices written into MPEG-1 and MPEG-2 streams, which no encoder here can be told.

What decodes by them is not what was drawn, but any decoder must give the same (ISO/IEC 13818-2,
6.2.2.1 and 6.2.3.2).
"""

import random
from dataclasses import replace

from tests.support.fuzz.parts import Part

_SEQUENCE, _EXTENSION, _SLICE = b"\0\0\1\xb3", b"\0\0\1\xb5", b"\0\0\1\1"
_MATRIX = 64
_HEADER = 12  # bytes of a sequence header without matrices


def with_matrices(part: Part, chance: random.Random) -> Part:
    """The part, at times with matrices in its sequence headers, or before some pictures."""
    way = chance.choice(("none", "sequence", "sequence", "picture", "both"))
    intra, other = _matrix(chance), _matrix(chance)
    picture = [chance.random() < 0.2 for _ in part.chunks]
    chunks = []
    for chunk, chosen in zip(part.chunks, picture, strict=True):
        data = chunk.data
        if way in ("sequence", "both"):
            data = _in_sequence(data, intra, other)
        if way in ("picture", "both") and chosen:
            data = _in_picture(data, chance)
        chunks.append(replace(chunk, data=data))
    return replace(part, chunks=chunks, how=f"{part.how} matrices={way}")


def _matrix(chance: random.Random) -> bytes:
    return bytes([8, *(chance.randint(8, 120) for _ in range(_MATRIX - 1))])


def _in_sequence(data: bytes, intra: bytes, other: bytes) -> bytes:
    at = data.find(_SEQUENCE)
    if at < 0 or data[at + _HEADER - 1] & 3:  # those that have matrices keep them
        return data
    bits = int.from_bytes(data[at : at + _HEADER]) >> 2
    bits = (bits << 1 | 1) << 8 * _MATRIX | int.from_bytes(intra)
    bits = (bits << 1 | 1) << 8 * _MATRIX | int.from_bytes(other)
    return data[:at] + bits.to_bytes(_HEADER + 2 * _MATRIX) + data[at + _HEADER :]


def _in_picture(data: bytes, chance: random.Random) -> bytes:
    """A quant_matrix_extension before the first slice, where the stream is of MPEG-2."""
    at = data.find(_SLICE)
    if at < 0 or _EXTENSION not in data[:at]:
        return data
    bits, length = 3, 4
    for _ in range(2):
        bits, length = bits << 1 | 1, length + 1
        bits, length = bits << 8 * _MATRIX | int.from_bytes(_matrix(chance)), length + 8 * _MATRIX
    bits, length = bits << 2, length + 2
    padding = -length % 8
    return data[:at] + _EXTENSION + (bits << padding).to_bytes((length + padding) // 8) + data[at:]
