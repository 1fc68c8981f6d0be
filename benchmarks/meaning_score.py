"""How true the captions of sample clips are: their facts against the truth beside the clips."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from clipfleet.records import ClipRecord
from producer.samples.reading import judge, read_facts
from producer.samples.scene import Facts


@dataclass
class Score:
    """Counts over windows. `mistakes` has a line for each window with anything wrong."""

    windows: int = 0
    whole: int = 0
    right: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    mistakes: list[str] = field(default_factory=list)

    @property
    def facts_right(self) -> float:
        """The share of single facts that are right; one left out, or one too many, is wrong."""
        return sum(self.right.values()) / max(1, sum(self.seen.values()))

    @property
    def wholly_right(self) -> float:
        """The share of captions with nothing wrong."""
        return self.whole / max(1, self.windows)

    def share(self, *kinds: str) -> float:
        """The share right of facts of these kinds alone."""
        right = sum(self.right[kind] for kind in kinds)
        return right / max(1, sum(self.seen[kind] for kind in kinds))

    def by_kind(self) -> dict[str, float]:
        """The share right of each kind of fact."""
        return {kind: self.share(kind) for kind in sorted(self.seen)}


@dataclass
class Kept(Score):
    """The same of enhanced captions, held against the captions that they rewrite."""

    longer: int = 0
    words: list[int] = field(default_factory=lambda: [0, 0])

    @property
    def words_ratio(self) -> float:
        """How many times as many words they have."""
        return self.words[1] / max(1, self.words[0])


def score(records: Iterable[ClipRecord], *, truth: Path) -> Score:
    """Judge the captions of all windows by the files that lie in `truth`, one for each clip.

    Raises `ValueError` where a clip's windows are not its scenes.
    """
    found = Score()
    for record in records:
        name = Path(unquote(urlsplit(record.source_video).path)).stem
        scenes = json.loads((truth / f"{name}.json").read_text())["scenes"]
        spans = [(scene["start_frame"], scene["end_frame"]) for scene in scenes]
        if spans != [(window.start_frame, window.end_frame) for window in record.windows]:
            raise ValueError(f"the windows of {name} are not its scenes, {spans}")
        for window, scene in zip(record.windows, scenes, strict=True):
            where = f"{name}, frame {window.start_frame}"
            _count(found, window.qwen_caption or "", scene["facts"], where)
    return found


def kept(records: Iterable[ClipRecord]) -> Kept:
    """Judge the enhanced captions by the facts of the captions that they rewrite."""
    found = Kept()
    for record in records:
        for window in record.windows:
            plain, lively = window.qwen_caption or "", window.qwen_lm_enhanced_caption or ""
            _count(found, lively, read_facts(plain), record.source_video)
            lengths = len(plain.split()), len(lively.split())
            found.longer += lengths[1] > lengths[0]
            found.words = [a + b for a, b in zip(found.words, lengths, strict=True)]
    return found


def _count(found: Score, said: str, truth: Facts, where: str) -> None:
    verdict = judge(said, truth)
    found.windows += 1
    found.whole += verdict.wholly_right
    found.right.update(_kind(fact) for fact in verdict.right)
    found.seen.update(_kind(fact) for fact in (*verdict.right, *verdict.wrong))
    if verdict.wrong:
        wrong = ", ".join(f"{fact} is {truth.get(fact, 'not there')}" for fact in verdict.wrong)
        found.mistakes.append(f"{where}: {wrong}, in {said!r}")


def _kind(fact: str) -> str:
    return fact.partition("/")[0]
