"""A run's list of clips: JSON lines in shards, under a version that the run's head names."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from clipfleet import keys
from clipfleet.errors import ObjectMissing, UsageError
from clipfleet.messages import Source, faults
from clipfleet.records import ManifestLine
from clipfleet.runs import RunHead
from clipfleet.store import Store

_SOURCE: TypeAdapter[str] = TypeAdapter(Source)


def lines_in(shard: int) -> int:
    """How many clips a full shard has.

    Who opens a shard looks all of its clips up, and who sums a run up reads a line for each shard:
    with these, small runs begin at once and a hundred million clips are 10,090 shards.
    """
    return 1000 if shard < 100 else 10_000


@dataclass(frozen=True)
class Manifest:
    """The clips of a run, by shard."""

    store: Store
    head: RunHead

    def shard(self, number: int) -> list[ManifestLine]:
        """One shard's clips. Raises `UsageError` where the shard is missing or damaged."""
        key = self._key(number)
        try:
            data = self.store.get(key)
        except ObjectMissing:
            raise UsageError(f"{key} is gone; submit the run again") from None
        lines = []
        for place, text in enumerate(data.splitlines(), 1):
            try:
                line = ManifestLine.model_validate_json(text)
                _SOURCE.validate_python(line.source)
            except ValidationError as error:
                raise UsageError(f"{key}, line {place}: {faults(error, whole='')[:300]}") from None
            lines.append(line)
        return lines

    def first(self, number: int) -> ManifestLine | None:
        """A shard's first clip; None where the shard is missing or damaged."""
        try:
            text, _, _ = self.store.get(self._key(number)).partition(b"\n")
            return ManifestLine.model_validate_json(text)
        except (ObjectMissing, ValidationError):
            return None

    def lines(self) -> Iterator[ManifestLine]:
        """All clips, one shard in memory at a time. Raises `UsageError` as `shard` does."""
        for number in range(self.head.shards):
            yield from self.shard(number)

    def _key(self, number: int) -> str:
        return keys.run_manifest(self.head.run_id, self.head.manifest_version, number)
