"""Two sets side by side: each in figures, and the clips whose captions differ most."""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from clipfleet.errors import UsageError
from clipfleet.options import DEFAULT
from clipfleet.overlap import distinct_words, estimated_overlap, overlap
from clipfleet.records import ClipRecord, find_record
from clipfleet.runs import RunHead
from clipfleet.sets import label
from clipfleet.store import Store
from clipfleet_producer.prefetch import AHEAD, Readers, ordered_prefetch
from clipfleet_producer.runs.digests import record_sizes, set_digests
from clipfleet_producer.runs.statistics import Summary
from clipfleet_producer.runs.store import run_heads

LIMIT = 10
# By sketches some clips are ranked wrong: so many more are read as are told.
_READ_MORE, _READ_LEAST = 4, 100
_CAPTION = f"caption:{DEFAULT}"

Tick = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class DifferentClip:
    """A clip that two sets have captions of. `overlap`: the part of all words that both have.

    The captions of all its windows, in order.
    """

    clip_uuid: str
    source: str
    overlap: float
    captions: tuple[list[str], list[str]]


@dataclass(kw_only=True)
class Comparison:
    """Two sets: figures of each, how many clips both have, those that differ most, worst first.

    `mean_overlap` is over all clips that both have captions of, about right; None for no clip.
    """

    names: tuple[str, str]
    figures: tuple[Summary, Summary] = field(default_factory=lambda: (Summary(), Summary()))
    in_both: int = 0
    captioned_in_both: int = 0
    mean_overlap: float | None = None
    clips: list[DifferentClip] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        sets = zip(self.names, self.figures, strict=True)
        return {
            "sets": [{"set": name, **figures.figures()} for name, figures in sets],
            "in_both": self.in_both,
            "captioned_in_both": self.captioned_in_both,
            "mean_overlap": self.mean_overlap,
            "differ_most": [
                {
                    "clip": clip.clip_uuid,
                    "source": clip.source,
                    "overlap": round(clip.overlap, 4),
                    "captions": list(clip.captions),
                }
                for clip in self.clips
            ],
        }


def compare(
    store: Store,
    first: str,
    second: str,
    *,
    limit: int = LIMIT,
    tick: Tick = lambda count: None,
    sizes: tuple[dict[str, int], dict[str, int]] | None = None,
) -> Comparison:
    """Compare two sets; of the clips that differ most, `limit`. `tick`: clips more looked at.

    `sizes` are those of their records (`record_sizes`), where they are known. Raises `UsageError`
    where a set has no record.
    """
    heads = run_heads(store)
    of_first, of_second = sizes or (record_sizes(store, first), record_sizes(store, second))
    for name, records in ((first, of_first), (second, of_second)):
        if not records:
            raise UsageError(f"set {label(name)} has no record in {store.uri}; see clipfleet sets")
    found = Comparison(names=(first, second))
    sketches = dict[str, str]()
    for clip in set_digests(store, first, of_first, heads=heads, tick=tick):
        found.figures[0].note(clip)
        if clip.clip_uuid in of_second and (said := clip.texts.get(_CAPTION)):
            sketches[clip.clip_uuid] = said.sketch
    likely = _note_second(store, found, of_first, of_second, sketches, heads, limit, tick)
    found.clips = _read(store, found.names, likely)[:limit]
    return found


def _note_second(
    store: Store,
    found: Comparison,
    of_first: dict[str, int],
    of_second: dict[str, int],
    sketches: dict[str, str],
    heads: list[RunHead],
    limit: int,
    tick: Tick,
) -> list[str]:
    """Take in the second set; the clips that seem to differ most."""
    estimates: list[tuple[float, str]] = []
    for clip in set_digests(store, found.names[1], of_second, heads=heads, tick=tick):
        found.figures[1].note(clip)
        found.in_both += clip.clip_uuid in of_first
        said, other = clip.texts.get(_CAPTION), sketches.get(clip.clip_uuid)
        if said is not None and other is not None:
            estimates.append((estimated_overlap(other, said.sketch), clip.clip_uuid))
    found.captioned_in_both = len(estimates)
    if estimates:
        total = sum(estimate for estimate, _ in estimates)
        found.mean_overlap = round(total / len(estimates), 3)
    likely = heapq.nsmallest(max(_READ_MORE * limit, _READ_LEAST), estimates)
    return [name for _, name in likely]


def _read(store: Store, names: tuple[str, str], clips: Iterable[str]) -> list[DifferentClip]:
    """These clips by their records, those that differ most first; not those that are the same."""

    def both(clip: str) -> DifferentClip | None:
        kept = [find_record(store, clip, name) for name in names]
        if kept[0] is None or kept[1] is None:  # gone meanwhile
            return None
        texts = (_captions(kept[0].record), _captions(kept[1].record))
        if texts[0] == texts[1]:
            return None
        words = [distinct_words(each) for each in texts]
        return DifferentClip(
            clip_uuid=clip,
            source=kept[0].record.source_video,
            overlap=overlap(*words),
            captions=texts,
        )

    with Readers() as pool:
        found = [each for each in ordered_prefetch(pool, both, clips, ahead=AHEAD) if each]
    return sorted(found, key=lambda each: (each.overlap, each.source))


def _captions(record: ClipRecord) -> list[str]:
    captions = (window.caption for window in record.windows)
    return [caption.text for caption in captions if caption and caption.text is not None]
