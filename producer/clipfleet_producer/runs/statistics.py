"""Clips in figures: counts, lengths of captions, errors, tokens."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from clipfleet.options import DEFAULT
from clipfleet.runs import ClipDigest, RunCounts

# The quantiles that are told, beside the ends.
LOW, MIDDLE, HIGH = 0.05, 0.5, 0.95


Counted = TypeVar("Counted")


def _add(total: Counter[Counted], counts: Mapping[Counted, int]) -> None:
    """Add counts of a clip: of so few, `Counter.update` takes three times as long."""
    for each, count in counts.items():
        total[each] += count


@dataclass
class Lengths:
    """Lengths of texts in words, as a count of each length: small, however many texts there are."""

    counts: Counter[int] = field(default_factory=Counter)

    def note(self, lengths: Mapping[int, int]) -> None:
        """Count so many texts of each length."""
        _add(self.counts, lengths)

    def quantile(self, share: float) -> int | None:
        """The smallest length that at least this share of texts does not exceed; None for none."""
        rank = max(math.ceil(share * self.counts.total()), 1)
        below = 0
        for length in sorted(self.counts):
            below += self.counts[length]
            if below >= rank:
                return length
        return None

    def figures(self) -> dict[str, int | None]:
        """Count, median, 5% and 95%, shortest and longest, in words."""
        return {
            "texts": self.counts.total(),
            "median": self.quantile(MIDDLE),
            "p05": self.quantile(LOW),
            "p95": self.quantile(HIGH),
            "shortest": min(self.counts, default=None),
            "longest": max(self.counts, default=None),
        }

    def bins(self, most: int = 20) -> list[tuple[int, int, int]]:
        """(first length, last length, texts) of at most `most` bins of one whole width."""
        if not self.counts:
            return []
        first, last = min(self.counts), max(self.counts)
        width = math.ceil((last - first + 1) / most)
        found = Counter[int]()
        for length, texts in self.counts.items():
            found[(length - first) // width] += texts
        return [
            (first + i * width, first + (i + 1) * width - 1, found[i])
            for i in range((last - first) // width + 1)
        ]


_SUMMED = ("windows", "captions", "enhanced", "previews", "prompt_tokens", "output_tokens")
# The texts that are summed up, by the product that they are of.
_TEXTS = {f"caption:{DEFAULT}": "caption", f"enhanced:{DEFAULT}": "enhanced"}


@dataclass
class Summary:
    """Figures over clips. `caption` and `enhanced` are about these texts of windows."""

    video_s: float = 0.0
    lengths: dict[str, Lengths] = field(
        default_factory=lambda: {"caption": Lengths(), "enhanced": Lengths()}
    )
    finish_reasons: dict[str, Counter[str]] = field(
        default_factory=lambda: {"caption": Counter(), "enhanced": Counter()}
    )
    flags: dict[str, Counter[str]] = field(
        default_factory=lambda: {"caption": Counter(), "enhanced": Counter()}
    )
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)  # (step, error's name)
    _sums: Counter[str] = field(default_factory=Counter)

    @property
    def counts(self) -> RunCounts:
        """How many there are of each."""
        return RunCounts.model_validate(dict(self._sums))

    def note(self, clip: ClipDigest | None) -> None:
        """Count a clip; None is one without a record."""
        sums = self._sums
        sums["clips"] += 1
        if clip is None:
            return
        sums["done"] += 1
        sums["failed"] += not clip.valid
        for name in _SUMMED:
            sums[name] += getattr(clip, name)
        self.video_s += clip.duration_s
        for failure, count in clip.failures.items():
            step, _, error = failure.partition(" ")
            self.errors[step, error] += count
        for product, said in clip.texts.items():
            if (name := _TEXTS.get(product, "")) and said.words:
                self.lengths[name].note(said.words)
                _add(self.finish_reasons[name], said.finish_reasons)
                _add(self.flags[name], said.flags)

    def figures(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        counts = self.counts.model_dump(exclude={"errors", "lost", "previously_done"})
        texts = {
            name: {
                "words": lengths.figures(),
                "words_histogram": {str(n): lengths.counts[n] for n in sorted(lengths.counts)},
                "finish_reasons": dict(self.finish_reasons[name].most_common()),
                "flags": dict(self.flags[name].most_common()),
            }
            for name, lengths in self.lengths.items()
        }
        errors = [
            {"step": step, "error": error, "count": count}
            for (step, error), count in self.errors.most_common()
        ]
        return {
            **counts,
            "missing": self.counts.missing,
            "video_s": round(self.video_s, 3),
            "texts": texts,
            "errors": errors,
        }
