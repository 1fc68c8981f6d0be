"""How true the records of sample clips are: their captions against the truth beside the clips."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from clipfleet.records import ClipRecord
from tests.support.meaning.reading import read_facts
from tests.support.meaning.tally import Score
from tests.support.records import words


@dataclass
class Kept(Score):
    """The score of enhanced captions, held against the captions that they enhance."""

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
            found.count(words(window.caption), scene["facts"], where=where)
    return found


def kept(records: Iterable[ClipRecord]) -> Kept:
    """Judge the enhanced captions by the facts of the captions that they enhance."""
    found = Kept()
    for record in records:
        for window in record.windows:
            plain, enhanced = words(window.caption), words(window.enhanced)
            found.count(enhanced, read_facts(plain), where=record.source_video)
            lengths = len(plain.split()), len(enhanced.split())
            found.longer += lengths[1] > lengths[0]
            found.words = [a + b for a, b in zip(found.words, lengths, strict=True)]
    return found
