"""What was named and gives no clip, each in a line for a person."""

from collections import Counter
from collections.abc import Iterator

from clipfleet.presigned import shown

_KEPT = 100
_LONGEST = 500
_LOOKED_AT = 10_000


class Problems:
    """Lines of text, a hundred different ones at most, however many a manifest gives.

    `len` counts all that were noted; iterating gives those kept, with how often each was noted,
    and `left_out` says how many are not among them.
    """

    def __init__(self) -> None:
        self._kept: Counter[str] = Counter()
        self.left_out = 0

    def add(self, text: str) -> None:
        """Note one; of a text without end its beginning."""
        line = short(text, _LONGEST)
        if line in self._kept or len(self._kept) < _KEPT:
            self._kept[line] += 1
        else:
            self.left_out += 1

    def __len__(self) -> int:
        return self._kept.total() + self.left_out

    def __iter__(self) -> Iterator[str]:
        for line, count in self._kept.items():
            yield line if count == 1 else f"{line} ({count:,} times)"


def short(text: object, most: int = 100) -> str:
    """The text, cut to `most` characters; unlike `textwrap.shorten` it keeps spaces as they are.

    What is secret in it is left out before: of half an address nobody could tell.
    """
    said = shown(str(text)[:_LOOKED_AT])
    return said if len(said) <= most else said[: most - 2] + " …"
