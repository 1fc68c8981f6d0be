"""A tree made wrong: parts gone, doubled, moved, renamed, with false lengths and numbers."""

import copy
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests.support.fuzz.trees import Dialect, Part, every, walk
from tests.support.fuzz.words import CODECS, LENGTHS, NUMBERS

FEW_BYTES = 24  # of a part: where its numbers are
MOST_PARTS = 20_000

# Where these boxes have the number of their entries, and how long one is.
_TABLES = {b"stts": (4, 8), b"ctts": (4, 8), b"stsc": (4, 12), b"stsz": (8, 4), b"stco": (4, 4)}
_TABLES |= {b"co64": (4, 8), b"stss": (4, 4), b"elst": (4, 12), b"trun": (4, 8), b"sdtp": (4, 1)}
_TABLES |= {b"sidx": (20, 12), b"tfra": (12, 11), b"dref": (4, 12), b"stsd": (4, 16)}

Chance = random.Random
Parts = list[Part]


def graft(parts: Parts, others: Parts, dialect: Dialect, chance: Chance) -> str:
    """Change the tree in one way; which, and where, is what it gives. `others`: another clip's."""
    if chance.random() < 0.1:
        _stand_by_lengths(parts, dialect)
    (name,) = chance.choices(list(_WAYS), [weight for weight, _ in _WAYS.values()])
    siblings, place = chance.choice(list(walk(parts)))
    where = siblings[place].name
    _WAYS[name][1](_Spot(siblings, place, parts, others, dialect.order, chance))
    return f"{name} {where!r}"


@dataclass
class _Spot:
    """One part, by its place in the list in which it stands, and all that may be made of it."""

    siblings: Parts
    place: int
    roots: Parts
    others: Parts
    order: Literal["big", "little"]
    chance: Chance

    @property
    def part(self) -> Part:
        return self.siblings[self.place]

    def any_of(self, parts: Parts) -> Part:
        return self.chance.choice(every(parts))


def _drop(spot: _Spot) -> None:
    del spot.siblings[spot.place]


def _double(spot: _Spot) -> None:
    times = spot.chance.choice((1, 1, 1, 2, 300, 5000))
    times = max(1, min(times, MOST_PARTS // len(every([spot.part]))))
    for _ in range(times):
        spot.siblings.insert(spot.place, copy.deepcopy(spot.part))


def _swap(spot: _Spot) -> None:
    there = spot.chance.randrange(len(spot.siblings))
    spot.siblings[spot.place], spot.siblings[there] = spot.siblings[there], spot.part


def _move(spot: _Spot) -> None:
    part = spot.siblings.pop(spot.place)
    new = spot.any_of(spot.roots) if spot.roots else part
    if new is not part:
        new.parts.append(part)


def _nest(spot: _Spot) -> None:
    """The part within itself, over and over."""
    for _ in range(spot.chance.choice((1, 2, 10, 60))):
        part = spot.part
        spot.siblings[spot.place] = Part(part.name, part.content[:8], [part])


def _lie(spot: _Spot) -> None:
    spot.part.says = spot.chance.choice(LENGTHS)


def _rename(spot: _Spot) -> None:
    spot.part.name = spot.any_of(spot.roots).name or b"free"


def _recode(spot: _Spot) -> None:
    """Another codec's name, wherever one stands."""
    known = every(spot.roots)
    named = [part for part in known if part.name in CODECS or part.content in CODECS]
    said = [part for part in known if part.name in (b"strh", b"strf")]
    for part in named or said or [spot.part]:
        new = spot.chance.choice(CODECS)
        if part.name in CODECS:
            part.name = (new + b"    ")[:4]
        elif part.name in (b"strh", b"strf"):
            at = 4 if part.name == b"strh" else 16
            part.content = part.content[:at] + (new + b"    ")[:4] + part.content[at + 4 :]
        else:
            part.content = new


def _number(spot: _Spot) -> None:
    part = spot.part
    head = min(len(part.content), spot.chance.choice((FEW_BYTES, 1 << 20)))
    for _ in range(spot.chance.choice((1, 1, 2, 4))):
        part.content = with_number(part.content, head, spot.order, spot.chance)


def _table(spot: _Spot) -> None:
    """A table of samples that says it has more entries than it has, or has very many."""
    tables = [part for part in every(spot.roots) if part.name in _TABLES]
    if not tables:
        return _number(spot)
    table = spot.chance.choice(tables)
    at, size = _TABLES[table.name]
    entries = table.content[at + 4 :]
    count = spot.chance.choice((0, 1, len(entries) // size + 1, 60_000, 2**28, 2**31, 2**32 - 1))
    if count <= 60_000 and spot.chance.random() < 0.7:
        entry = entries[:size] or spot.chance.randbytes(size)
        entries = spot.chance.choice((entry, bytes(size), b"\xff" * size)) * count
    table.content = table.content[:at].ljust(at, b"\0") + struct.pack(">I", count) + entries
    return None


def _fill(spot: _Spot) -> None:
    part = spot.part
    length = spot.chance.choice((0, 1, len(part.content), 2 * len(part.content), 70_000))
    part.content = spot.chance.choice((bytes(length), b"\xff" * length, part.content[:length]))


def _noise(spot: _Spot) -> None:
    content = bytearray(spot.part.content)
    for _ in range(spot.chance.choice((1, 1, 3, 10, 100)) if content else 0):
        content[spot.chance.randrange(len(content))] = spot.chance.randrange(256)
    spot.part.content = bytes(content)


def _foreign(spot: _Spot) -> None:
    spot.siblings[spot.place] = copy.deepcopy(spot.any_of(spot.others))


# The oftener, the deeper it leads: most files without a part, or with one elsewhere, are refused
# before anything is decoded.
_WAYS: dict[str, tuple[int, Callable[[_Spot], None]]] = {
    "drop": (2, _drop),
    "double": (1, _double),
    "swap": (1, _swap),
    "move": (1, _move),
    "nest": (1, _nest),
    "lie about": (2, _lie),
    "rename": (1, _rename),
    "recode": (1, _recode),
    "number in": (6, _number),
    "table": (3, _table),
    "fill": (1, _fill),
    "noise in": (4, _noise),
    "foreign": (1, _foreign),
}


def with_number(data: bytes, within: int, order: Literal["big", "little"], chance: Chance) -> bytes:
    """`data` with a number at the edge somewhere in its first bytes."""
    size = chance.choice((1, 2, 4, 4, 4, 8))
    if within < size:
        return data
    at = chance.randrange(within - size + 1)
    at -= at % size if chance.random() < 0.5 else 0
    old = int.from_bytes(data[at : at + size], order)
    value = chance.choice((*NUMBERS, old - 1, old + 1, old * 2, old // 2, ~old))
    return data[:at] + (value % (1 << 8 * size)).to_bytes(size, order) + data[at + size :]


def _stand_by_lengths(parts: Parts, dialect: Dialect) -> None:
    """Have every part say the length that it has now, whatever becomes of it."""
    for part in every(parts):
        if part.name and part.says is None:
            part.says = len(part.content) + len(dialect.write(part.parts)) + dialect.counted
