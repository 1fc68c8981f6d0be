"""A run's clips in figures: counts, lengths of captions, errors, tokens."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from clipfleet.records import ClipRecord, WindowRecord
from clipfleet.runs import RunCounts, count_record

# The quantiles that are told, beside the ends.
LOW, MIDDLE, HIGH = 0.05, 0.5, 0.95


@dataclass
class Lengths:
    """Lengths of texts in words, as a count of each length: small, however many texts there are."""

    counts: Counter[int] = field(default_factory=Counter)

    def note(self, text: str) -> None:
        """Count a text."""
        self.counts[len(text.split())] += 1

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


@dataclass
class Summary:
    """Figures over a run's clips. `caption` and `enhanced` are about these texts of windows."""

    run_id: str
    counts: RunCounts = field(default_factory=RunCounts)
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

    def note(self, record: ClipRecord | None) -> None:
        """Count a clip; None is one without a record."""
        self.counts += RunCounts(clips=1) if record is None else count_record(record, self.run_id)
        if record is None:
            return
        self.video_s += record.duration_span[1] - record.duration_span[0]
        self.errors.update((each.step, each.error) for each in record.failures())
        for window in record.windows:
            self._note_window(window)

    def _note_window(self, window: WindowRecord) -> None:
        for name, said in (("caption", window.caption), ("enhanced", window.enhanced)):
            if said is not None and said.text is not None:
                self.lengths[name].note(said.text)
                self.finish_reasons[name][said.finish_reason or "unknown"] += 1
                self.flags[name].update(said.flags)

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
            "video_s": self.video_s,
            "texts": texts,
            "errors": errors,
        }
