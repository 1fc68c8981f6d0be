"""What was named and gives no clip, each in a line for a person; and how manifests are read."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from clipfleet.presigned import shown

_KEPT = 100
_LONGEST = 500
_LOOKED_AT = 10_000
_PLACES = 5


@dataclass
class _Line:
    text: str
    unit: str = ""
    count: int = 0
    others: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        if self.count == 1:
            return self.text
        if not self.unit:
            return f"{self.text} ({self.count:,} times)"
        units = self.unit if self.count == 2 else _plural(self.unit)
        more = ", …" if self.count - 1 > len(self.others) else ""
        places = ", ".join(str(number) for number in self.others)
        return f"{self.text} (and {self.count - 1:,} more {units} like it: {places}{more})"


class Problems:
    """Lines of text, a hundred different ones at most, however many a manifest gives.

    `len` counts all that were noted; iterating gives those kept, with how often each was noted,
    and `left_out` says how many are not among them. `notes` are no problems: what the command
    made of what it was given. `rows` are those of manifests, `wrong_rows` those of them that are
    problems.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, _Line] = {}
        self._count = 0
        self._notes: dict[str, None] = {}
        self.left_out = 0
        self.rows = self.wrong_rows = 0

    def add(self, text: str) -> None:
        """Note one; of a text without end its beginning."""
        line = short(text, _LONGEST)
        self._add(line, _Line(line))

    def add_row(self, place: str, unit: str, number: int, text: str, *, kind: str) -> None:
        """Note what is wrong with the line, row or entry (`unit`) of this number, from 1.

        Those of one `kind` are one line, with what the first says.
        """
        self.wrong_rows += 1
        line = _Line(short(f"{place}, {unit} {number}: {text}", _LONGEST), unit)
        kept = self._add((place, unit, short(kind, _LONGEST)), line)
        if kept is not None and kept.count > 1 and len(kept.others) < _PLACES:
            kept.others.append(number)

    def note(self, text: str) -> None:
        """Note what is no problem, once."""
        line = short(text, _LONGEST)
        if len(self._notes) < _KEPT:
            self._notes[line] = None

    @property
    def notes(self) -> list[str]:
        """What is no problem, and ought to be known; the first hundred."""
        return list(self._notes)

    def _add(self, key: Hashable, line: _Line) -> _Line | None:
        self._count += 1
        kept = self._kept.get(key)
        if kept is None and len(self._kept) < _KEPT:
            kept = self._kept[key] = line
        if kept is None:
            self.left_out += 1
        else:
            kept.count += 1
        return kept

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        return map(str, self._kept.values())


def short(text: object, most: int = 100) -> str:
    """The text, cut to `most` characters; unlike `textwrap.shorten` it keeps spaces as they are.

    What is secret in it is left out before: of half an address nobody could tell.
    """
    said = shown(str(text)[:_LOOKED_AT])
    return said if len(said) <= most else said[: most - 2] + " …"


def _plural(unit: str) -> str:
    return f"{unit.removesuffix('y')}ies" if unit.endswith("y") else f"{unit}s"
