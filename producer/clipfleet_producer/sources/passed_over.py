"""What was found where clips were looked for and is not a clip, counted by reason."""

from collections import Counter

from clipfleet_producer.sources.problems import short

HIDDEN = "hidden"
LINKS = "links"
DEAD_LINKS = "dead links"
SPECIAL = "special files"
FOLDERS = "folders"  # that a pattern fits, which names files
MARKERS = "folder markers"
_UNNAMED = "without an ending"

_MOST_KINDS = 1000
_OTHERS = "of other endings"
_SHOWN = 8
_LONGEST = 40


class PassedOver:
    """Counts of files, by their ending or what else speaks against them.

    At most a thousand kinds, and the rest as one: names come from others.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, kind: str, count: int = 1) -> None:
        """Count files: `kind` is an ending, empty of names without one, or says what they are."""
        if not count:
            return
        kind = short(kind, _LONGEST) if kind else _UNNAMED
        if kind not in self._counts and len(self._counts) >= _MOST_KINDS:
            kind = _OTHERS
        self._counts[kind] += count

    def merge(self, other: "PassedOver") -> None:
        """Add what another counted."""
        for kind, count in other._counts.items():
            self.add(kind, count)

    def counts(self) -> dict[str, int]:
        """How many of each kind, the most first."""
        return dict(sorted(self._counts.items(), key=lambda each: (-each[1], each[0])))

    def remedy(self) -> str:
        """How to have them taken all the same; empty where they are what nobody means."""
        if any(kind == _UNNAMED or kind.startswith(".") for kind in self._counts):
            return "to take such files, name them, by a pattern with the ending ('*.xyz') or a list"
        return "for what is in folders, end the pattern in /" if FOLDERS in self._counts else ""

    def __bool__(self) -> bool:
        return bool(self._counts)

    def __str__(self) -> str:
        """Such as `12 .srt, 3 .jpg, 2 hidden`."""
        shown = [*self.counts().items()][:_SHOWN]
        said = ", ".join(f"{count:,} {_numbered(kind, count)}" for kind, count in shown)
        kinds = len(self._counts) - len(shown)
        if not kinds:
            return said
        rest = self._counts.total() - sum(count for _, count in shown)
        return f"{said}, and {rest:,} of {kinds:,} more kinds"


def _numbered(kind: str, count: int) -> str:
    return kind.removesuffix("s") if count == 1 and not kind.startswith(".") else kind
