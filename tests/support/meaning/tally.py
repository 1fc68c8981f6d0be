"""How true many captions are: counts of their facts, by kind."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.support.meaning.reading import judge


@dataclass
class Score:
    """Counts over captions. `mistakes` has a line for each with anything wrong."""

    captions: int = 0
    whole: int = 0
    right: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    mistakes: list[str] = field(default_factory=list)

    def count(self, said: str, truth: Mapping[str, str], *, where: str) -> None:
        """Judge one caption by the facts that it should state."""
        verdict = judge(said, truth)
        self.captions += 1
        self.whole += verdict.wholly_right
        self.right.update(_kind(fact) for fact in verdict.right)
        self.seen.update(_kind(fact) for fact in (*verdict.right, *verdict.wrong))
        if verdict.wrong:
            wrong = ", ".join(f"{fact} is {truth.get(fact, 'not there')}" for fact in verdict.wrong)
            self.mistakes.append(f"{where}: {wrong}, in {said!r}")

    @property
    def facts_right(self) -> float:
        """The share of single facts that are right; one left out, or one too many, is wrong."""
        return self.share(*self.seen)

    @property
    def wholly_right(self) -> float:
        """The share of captions with nothing wrong."""
        return self.whole / max(1, self.captions)

    def share(self, *kinds: str) -> float:
        """The share right of facts of these kinds alone."""
        right = sum(self.right[kind] for kind in kinds)
        return right / max(1, sum(self.seen[kind] for kind in kinds))

    def by_kind(self) -> dict[str, float]:
        """The share right of each kind of fact."""
        return {kind: self.share(kind) for kind in sorted(self.seen)}


def _kind(fact: str) -> str:
    return fact.partition("/")[0]
