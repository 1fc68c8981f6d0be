"""A run's clips in the order of its manifest, each with its record and what reviewers said."""

from bisect import bisect_right
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from pydantic import BaseModel, ValidationError

from clipfleet import keys
from clipfleet.errors import ObjectMissing, UsageError
from clipfleet.records import ClipRecord, ManifestLine
from clipfleet.runs import RunHead
from clipfleet.store import Store
from clipfleet_producer.prefetch import AHEAD, ordered_prefetch
from clipfleet_producer.runs import manifest
from clipfleet_producer.runs.model import Run


class Review(BaseModel):
    """What people said of a clip; the review page may write more beside it.

    It comes with that page: until then there is none, and nothing is approved.
    """

    verdict: Literal["approved", "flagged"]


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """One clip of a run: its record if it is done, its review if one was asked for and is there."""

    line: ManifestLine
    record: ClipRecord | None
    review: Review | None


class Lookup:
    """Reads a run's records in order, some hundreds ahead, whatever the run's size."""

    def __init__(
        self, store: Store, head: RunHead, pool: ThreadPoolExecutor, *, reviews: bool = False
    ) -> None:
        self._store, self._head, self._pool, self._reviews = store, head, pool, reviews
        self._run = Run(head=head, store=store)
        widths = map(manifest.lines_in, range(head.shards - 1))
        # The place at which each shard begins, and that at which the last one ends.
        self._starts = [*accumulate(widths, initial=0), head.clips]
        self._shard: tuple[int, list[ManifestLine]] | None = None

    def clips(self, start: int = 0, stop: int | None = None) -> Iterator[Reviewed]:
        """The clips from place `start` of the manifest, to before `stop`, else to its end."""
        return ordered_prefetch(self._pool, self._find, self._lines(start, stop), ahead=AHEAD)

    def _find(self, line: ManifestLine) -> Reviewed:
        record = self._run.record(line)
        wanted = self._reviews and record is not None
        review = (
            _read_review(self._store, keys.review(line.clip_uuid, self._head.set_name))
            if wanted
            else None
        )
        return Reviewed(line=line, record=record, review=review)

    def _lines(self, start: int, stop: int | None) -> Iterator[ManifestLine]:
        stop = self._head.clips if stop is None else min(stop, self._head.clips)
        while start < stop:
            shard = bisect_right(self._starts, start) - 1
            place = start - self._starts[shard]
            taken = self._read(shard)[place : place + stop - start]
            yield from taken
            start += len(taken)

    def _read(self, shard: int) -> list[ManifestLine]:
        if self._shard is None or self._shard[0] != shard:
            lines = self._run.manifest.shard(shard)
            if len(lines) != self._starts[shard + 1] - self._starts[shard]:
                raise UsageError(
                    f"shard {shard} of the list of clips of run {self._head.run_id} is not whole; "
                    "submit the run again under this name"
                )
            self._shard = (shard, lines)
        return self._shard[1]


def _read_review(store: Store, key: str) -> Review | None:
    try:
        return Review.model_validate_json(store.get(key))
    except (ObjectMissing, ValidationError):  # no verdict of a kind that approves anything
        return None
