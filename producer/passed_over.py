"""What was found where clips were looked for and is none, counted by why."""

from collections import Counter

from producer.problems import short

HIDDEN = "hidden"

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
        kind = short(kind, _LONGEST) if kind else "without an ending"
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

    @property
    def has_endings(self) -> bool:
        """Whether any is passed over for what it ends in."""
        return any(kind.startswith(".") for kind in self._counts)

    def __bool__(self) -> bool:
        return bool(self._counts)

    def __str__(self) -> str:
        """Such as `12 .srt, 3 .jpg, 2 hidden`."""
        shown = [*self.counts().items()][:_SHOWN]
        said = ", ".join(f"{count:,} {kind}" for kind, count in shown)
        kinds = len(self._counts) - len(shown)
        if not kinds:
            return said
        rest = self._counts.total() - sum(count for _, count in shown)
        return f"{said}, and {rest:,} of {kinds:,} more kinds"
