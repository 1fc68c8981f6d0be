"""What was named and gives no clip, each in a line for a person."""

from collections.abc import Iterator

_KEPT = 100
_LONGEST = 500


class Problems:
    """Lines of text: all are counted, the first hundred kept, however many a manifest gives.

    `len` counts all; iterating gives those kept.
    """

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._count = 0

    def add(self, text: str) -> None:
        """Note one; of a text without end its beginning."""
        self._count += 1
        if len(self._kept) < _KEPT:
            self._kept.append(short(text, _LONGEST))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)


def short(text: object, most: int = 100) -> str:
    """The text, cut to `most` characters; unlike `textwrap.shorten` it keeps spaces as they are."""
    said = str(text)
    return said if len(said) <= most else said[: most - 2] + " …"
