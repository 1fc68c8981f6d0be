"""Patterns such as `clips/**/*.mp4`, for paths and for keys in S3 alike."""

import re
from fnmatch import fnmatchcase

from clipfleet_producer.sources.endings import ending
from clipfleet_producer.sources.spellings import composed

_MAGIC = re.compile(r"[*?[]")


class Glob:
    """A pattern by parts: `*`, `?` and `[…]` within one, `**` for any number of them.

    One that ends in a slash names all that lies below. `ending` is that of every file which the
    pattern names, such as `.vob` of `*.vob`; empty where it leaves that open.
    """

    def __init__(self, pattern: str) -> None:
        parts = composed(f"{pattern}**/*" if pattern.endswith("/") else pattern).split("/")
        said = ending(parts[-1])
        self.ending = "" if is_glob(said) else said
        # "**/**" says no more than "**", and would be tried in many more ways.
        self._parts = tuple(
            part
            for part, before in zip(parts, [None, *parts], strict=False)
            if part != "**" or before != "**"
        )

        self._folded = tuple(part.casefold() for part in self._parts)

    def matches(self, path: str, *, any_case: bool = False) -> bool:
        """Whether a file's path is one that the pattern names, or would be in other letters."""
        names = composed(path).split("/")
        if any_case:
            return _matches(tuple(name.casefold() for name in names), self._folded)
        return _matches(tuple(names), self._parts)

    def leads_to(self, folder: str) -> bool:
        """Whether the pattern may name anything below the folder."""
        return _leads(tuple(composed(folder).split("/")), self._parts)

    def spells(self, name: str) -> bool:
        """Whether a part of the pattern that begins with a letter, or a dot, fits the name."""
        return any(
            fnmatchcase(composed(name), part) for part in self._parts if not is_glob(part[:1])
        )


def is_glob(text: str) -> bool:
    """Whether the text has what makes it a pattern."""
    return _MAGIC.search(text) is not None


def fixed_start(pattern: str) -> str:
    """What every path that the pattern names begins with."""
    return _MAGIC.split(pattern, maxsplit=1)[0]


def split_root(pattern: str) -> tuple[str, Glob]:
    """(the folder to look in, the pattern of what lies below it)."""
    root, slash, _ = fixed_start(pattern).rpartition("/")
    rest = pattern[len(root) + len(slash) :]
    return root or slash or ".", Glob(rest)


def _matches(path: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    if not parts:
        return not path
    if parts[0] == "**":
        return any(_matches(path[skipped:], parts[1:]) for skipped in range(len(path) + 1))
    return bool(path) and fnmatchcase(path[0], parts[0]) and _matches(path[1:], parts[1:])


def _leads(folder: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    if not folder or not parts:
        return bool(parts)
    if parts[0] == "**":
        return True
    return fnmatchcase(folder[0], parts[0]) and _leads(folder[1:], parts[1:])
