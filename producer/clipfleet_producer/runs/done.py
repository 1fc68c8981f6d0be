"""The shards of a run whose clips are all done: counts, and a digest of their records."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from clipfleet import keys
from clipfleet.errors import ObjectMissing
from clipfleet.runs import ClipDigest, RunCounts, RunHead
from clipfleet.store import Store
from clipfleet_producer.prefetch import Readers
from clipfleet_producer.runs.objects import JSON, JSON_LINES, find
from clipfleet_producer.runs.presigned import Addresses


@dataclass(frozen=True)
class DoneShards:
    """The finished shards of a run."""

    store: Store
    head: RunHead

    def numbers(self) -> set[int]:
        """Which shards are done."""
        prefix = self._key(0).rpartition("/")[0] + "/"
        names = (
            info.key.removeprefix(prefix).removesuffix(".json") for info in self.store.list(prefix)
        )
        return {int(name) for name in names if name.isdecimal()}

    def counts(self, number: int) -> RunCounts | None:
        """A shard's counts; None unless it is done."""
        return find(self.store, self._key(number), RunCounts)

    def all_counts(self, numbers: Iterable[int]) -> Iterator[tuple[int, RunCounts]]:
        """Those of the shards that are done, with their counts; many are read at once."""
        numbers = sorted(numbers)
        with Readers() as pool:
            for number, counts in zip(numbers, pool.map(self.counts, numbers), strict=True):
                if counts is not None:
                    yield number, counts

    def digest(self, number: int) -> list[ClipDigest]:
        """What the records of a shard say in short, as it was done.

        Empty where there is no digest, or none that can be read: records are the truth.
        """
        try:
            return [ClipDigest.model_validate_json(line) for line in self.digest_lines(number)]
        except ValidationError:
            return []

    def digest_lines(self, number: int) -> list[bytes]:
        """The lines of a shard's digest as they are written."""
        try:
            return self.store.get(self._digest_key(number)).splitlines()
        except ObjectMissing:
            return []

    def delete_digest(self, number: int) -> None:
        """Have a shard's records read by whoever asks for its digest."""
        self.store.delete(self._digest_key(number))

    def write(self, number: int, counts: RunCounts, digest: Iterable[str]) -> None:
        """Say that all of a shard's clips are done; `digest` has a line for each with a record.

        Whoever says it first is believed: others found the same.
        """
        lines = "".join(f"{line}\n" for line in digest).encode()
        key = self._digest_key(number)
        self.store.put(key, lines, content_type=JSON_LINES, if_absent=True)
        said = counts.model_dump_json(exclude_defaults=True).encode()
        self.store.put(self._key(number), said, content_type=JSON, if_absent=True)
        Addresses(self.store, self.head).forget_shard(number)

    def delete(self, number: int) -> None:
        """Have a shard looked at again."""
        self.store.delete(self._digest_key(number))  # first: one that is there is not replaced
        self.store.delete(self._key(number))

    def _key(self, number: int) -> str:
        return keys.run_done(self.head.run_id, self.head.manifest_version, number)

    def _digest_key(self, number: int) -> str:
        return keys.run_digest(self.head.run_id, self.head.manifest_version, number)
