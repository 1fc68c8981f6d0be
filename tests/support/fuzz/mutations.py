"""Clips made wrong: by their container's structure, by their packets, and byte by byte."""

import random
import re
from collections.abc import Callable, Mapping

from tests.support.fuzz.grafts import FEW_BYTES, graft, with_number
from tests.support.fuzz.trees import Boxes, Chunks, Dialect, Elements
from tests.support.fuzz.words import CODECS, STARTS

MOST_BYTES = 1 << 20

# Where a piece of a file begins that starts so: a packet, a page, a unit.
_SEAMS = {
    b"\0\0\1": re.compile(rb"(?=\x00\x00\x01)"),
    b"\0\0\0\1": re.compile(rb"(?=\x00\x00\x01)"),
    b"OggS": re.compile(rb"(?=OggS)"),
    b"\x06\x0e\x2b\x34": re.compile(rb"(?=\x06\x0e\x2b\x34)"),
    b"nut/": re.compile(rb"(?=N[KXSIM])"),
    b"\xff\xd8": re.compile(rb"(?=\xff[\xc0-\xfe])"),
    b"FLV": re.compile(rb"(?=[\x08\x09\x12][\s\S]{6}\0\0\0)"),
    b"0&\xb2u": re.compile(rb"(?=\x82\0\0)"),
    b"\x1f\x07\0": re.compile(rb"(?=\x1f\x07\x00)"),
    b"YUV4": re.compile(rb"(?=FRAME)"),
    b"GIF8": re.compile(rb"(?=!\xf9\x04)"),
    b"DKIF": re.compile(rb"(?=[\s\S]{2}\0\0[\s\S]\0{7})"),
    b"\x12\0": re.compile(rb"(?=\x12\0)"),
    b"G": re.compile(rb"(?=G[\s\S]{187}(?:G|\Z))"),
}

Chance = random.Random


def mutate(kind: str, seeds: Mapping[str, bytes], chance: Chance) -> tuple[bytes, str]:
    """A clip of this kind made wrong, one to five times over; and how."""
    data, said = seeds[kind], []
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5))):
        other = seeds[chance.choice(list(seeds))]
        if chance.random() < 0.3:
            name = chance.choice(list(_BY_BYTE))
            data = _BY_BYTE[name](data, other, chance)
        elif dialect := dialect_of(data):
            same = [each for each in seeds.values() if type(dialect_of(each)) is type(dialect)]
            parts, others = dialect.read(data), dialect.read(chance.choice(same))
            name = graft(parts, others, dialect, chance) if parts else ""
            data = dialect.write(parts)
        else:
            name = chance.choice(list(_BY_PIECE))
            data = b"".join(_BY_PIECE[name](pieces_of(data), pieces_of(other), chance))
        data = data[:MOST_BYTES]
        said.append(name)
    return data, ", ".join(said)


def dialect_of(data: bytes) -> Dialect | None:
    """How the file's container is written, if it is a tree."""
    if data[:4] == b"\x1a\x45\xdf\xa3":
        return Elements()
    if data[:4] == b"RIFF":
        return Chunks()
    boxes = (b"ftyp", b"moov", b"wide", b"free", b"mdat", b"moof", b"sidx")
    return Boxes() if data[4:8] in boxes else None


def pieces_of(data: bytes) -> list[bytes]:
    """The packets, pages or units of a file, or something like them."""
    seams = next((seam for start, seam in _SEAMS.items() if data.startswith(start)), None)
    if seams is None:
        return [data[at : at + 188] for at in range(0, len(data), 188)]
    return [piece for piece in seams.split(data) if piece]


Pieces = list[bytes]


def _drop(pieces: Pieces, others: Pieces, chance: Chance) -> Pieces:
    start = chance.randrange(len(pieces)) if pieces else 0
    return pieces[:start] + pieces[start + chance.choice((1, 1, 2, 10)) :]


def _double(pieces: Pieces, others: Pieces, chance: Chance) -> Pieces:
    place = chance.randrange(len(pieces)) if pieces else 0
    return pieces[:place] + pieces[place : place + 1] * chance.choice((2, 3, 500)) + pieces[place:]


def _shuffle(pieces: Pieces, others: Pieces, chance: Chance) -> Pieces:
    start = chance.randrange(len(pieces)) if pieces else 0
    end = start + chance.choice((2, 3, 10, 1000))
    return pieces[:start] + chance.sample(pieces[start:end], len(pieces[start:end])) + pieces[end:]


def _change(pieces: Pieces, others: Pieces, chance: Chance) -> Pieces:
    pieces = list(pieces)
    for _ in range(chance.choice((1, 2, 5)) if pieces else 0):
        place = chance.randrange(len(pieces))
        within = min(FEW_BYTES, len(pieces[place]))
        pieces[place] = with_number(pieces[place], within, chance.choice(("big", "little")), chance)
    return pieces


def _shorten(pieces: Pieces, others: Pieces, chance: Chance) -> Pieces:
    place = chance.randrange(len(pieces)) if pieces else 0
    short = [piece[: chance.randrange(len(piece) + 1)] for piece in pieces[place : place + 1]]
    return pieces[:place] + short + pieces[place + 1 :]


def _foreign(pieces: Pieces, others: Pieces, chance: Chance) -> Pieces:
    place = chance.randrange(len(pieces) + 1)
    first = chance.randrange(len(others)) if others else 0
    return pieces[:place] + others[first : first + chance.choice((1, 2, 10))] + pieces[place:]


_BY_PIECE: dict[str, Callable[[Pieces, Pieces, Chance], Pieces]] = {
    "pieces dropped": _drop,
    "a piece doubled": _double,
    "pieces shuffled": _shuffle,
    "numbers in pieces": _change,
    "a piece cut short": _shorten,
    "another file's pieces": _foreign,
}


def _flip(data: bytes, other: bytes, chance: Chance) -> bytes:
    changed = bytearray(data)
    within = min(len(data), chance.choice((64, 512, 1 << 20)))
    for _ in range(chance.choice((1, 2, 8, 64)) if within else 0):
        changed[chance.randrange(within)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _cut_out(data: bytes, other: bytes, chance: Chance) -> bytes:
    start = chance.randrange(len(data) + 1)
    return data[:start] + data[start + chance.choice((1, 4, 16, 188, 5000)) :]


def _cut_short(data: bytes, other: bytes, chance: Chance) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _put_in(data: bytes, other: bytes, chance: Chance) -> bytes:
    start, length = chance.randrange(len(data) + 1), chance.choice((1, 4, 100, 5000))
    words = (bytes(length), b"\xff" * length, chance.randbytes(length), chance.choice(CODECS))
    return data[:start] + chance.choice(words) + data[start:]


def _splice(data: bytes, other: bytes, chance: Chance) -> bytes:
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other)) :]


def _begin(data: bytes, other: bytes, chance: Chance) -> bytes:
    start = chance.choice(STARTS)
    return start + data[chance.choice((0, len(start))) :]


def _number(data: bytes, other: bytes, chance: Chance) -> bytes:
    within = min(len(data), chance.choice((FEW_BYTES, 512, 1 << 20)))
    return with_number(data, within, chance.choice(("big", "little")), chance)


def _name(data: bytes, other: bytes, chance: Chance) -> bytes:
    """Another codec's name over one that is there."""
    old, new = chance.choice([word for word in CODECS if word in data] or [b""]), b""
    if old:
        new = (chance.choice(CODECS) + b"    ")[: len(old)].ljust(len(old))
    return data.replace(old, new, 1)


_BY_BYTE: dict[str, Callable[[bytes, bytes, Chance], bytes]] = {
    "bits flipped": _flip,
    "bytes cut out": _cut_out,
    "cut short": _cut_short,
    "bytes put in": _put_in,
    "spliced": _splice,
    "another format's start": _begin,
    "a number": _number,
    "a codec's name": _name,
}
