"""Quantizer matrices written into MPEG-4's object layers (ISO/IEC 14496-2, 6.2.3)."""

import random
from dataclasses import replace

from tests.support.fuzz.parts import Part

_LAYER = b"\0\0\1\x20"
_MATRIX = 64


def with_matrices(part: Part, chance: random.Random) -> Part:
    """The part, at times with matrices in its headers, where its quantizers go by any."""
    if chance.random() < 0.25:
        return part
    matrix = bytes([8, *(chance.randint(8, 120) for _ in range(_MATRIX - 1))])
    chunks = [replace(chunk, data=_in_layer(chunk.data, matrix)) for chunk in part.chunks]
    headers = _in_layer(part.headers, matrix)
    return replace(part, chunks=chunks, headers=headers, how=f"{part.how} matrices")


def _in_layer(data: bytes, matrix: bytes) -> bytes:
    """Both matrices in the object layer, where there is one of version 1 as FFmpeg writes them."""
    at = data.find(_LAYER)
    if at < 0:
        return data
    start = at + len(_LAYER)
    end = data.find(b"\0\0\1", start)
    end = len(data) if end < 0 else end
    bits = "".join(f"{byte:08b}" for byte in data[start:end])
    place = _quantizer_type(bits)
    if bits[place : place + 3] != "100":  # it goes by matrices, and has none of its own
        return data
    bits = bits[: bits.rindex("0")]  # the stuffing: a zero, then ones
    new = f"{bits[: place + 1]}1{{0}}1{{0}}{bits[place + 3 :]}".format(
        "".join(f"{value:08b}" for value in matrix)
    )
    new += "0" + "1" * (-(len(new) + 1) % 8)
    content = int(new, 2).to_bytes(len(new) // 8)
    return data[:start] + content + data[end:]


def _quantizer_type(bits: str) -> int:
    """Where quant_type lies in an object layer."""
    at = 9  # random_accessible_vol, video_object_type_indication
    version = 1
    at += 1
    if bits[at - 1] == "1":
        version = int(bits[at : at + 4], 2)
        at += 7
    at += 20 if bits[at : at + 4] == "1111" else 4
    at += 1
    if bits[at - 1] == "1":  # vol_control_parameters
        at += 4 + 79 * (bits[at + 3] == "1")
    at += 3  # the shape, a marker
    resolution = int(bits[at : at + 16], 2)
    at += 18  # a marker, fixed_vop_rate
    if bits[at - 1] == "1":
        at += max(1, (resolution - 1).bit_length())
    at += 29 + 2  # the size between markers; interlaced, obmc_disable
    sprite = bits[at : at + (1 if version == 1 else 2)]
    at += len(sprite)
    if "1" in sprite:
        return len(bits)
    return at + 1  # not_8_bit, which no stream here is
