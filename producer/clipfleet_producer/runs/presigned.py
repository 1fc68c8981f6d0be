"""Presigned addresses of a run's clips, in the store's scratch until the clips are done.

The run's list names clips without signatures, and is kept as long as the run. Whoever feeds a
shard takes its addresses from here, and puts each where the worker that gets the clip looks for it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import SecretStr, TypeAdapter, ValidationError

from clipfleet import keys
from clipfleet.errors import ObjectMissing
from clipfleet.records import ManifestLine
from clipfleet.runs import RunHead
from clipfleet.store import Store

_ADDRESSES = TypeAdapter(dict[str, str])


def write_addresses(
    store: Store, run_id: str, manifest_version: str, shard: int, lines: Iterable[ManifestLine]
) -> None:
    """Put the addresses that the shard's clips have into scratch."""
    found = {line.clip_uuid: line.address.get_secret_value() for line in lines if line.address}
    if found:
        key = keys.shard_addresses(run_id, manifest_version, shard)
        store.put(key, _ADDRESSES.dump_json(found), content_type="application/json")


@dataclass(frozen=True)
class Addresses:
    """The presigned addresses of a run's clips. Of a run without any, nothing is removed."""

    store: Store
    head: RunHead

    def added_to(self, lines: list[ManifestLine], *, shard: int) -> list[ManifestLine]:
        """The shard's clips, each with its address where that is still there."""
        try:
            found = _ADDRESSES.validate_json(self.store.get(self._key(shard)))
        except (ObjectMissing, ValidationError):
            return lines
        return [
            line.model_copy(update={"address": SecretStr(found[line.clip_uuid])})
            if line.clip_uuid in found
            else line
            for line in lines
        ]

    def forget_shard(self, shard: int) -> None:
        """Remove the addresses of a shard whose clips are done."""
        if self.head.presigned:
            self.store.delete(self._key(shard))

    def forget_all(self) -> None:
        """Remove those of a run that is over."""
        if self.head.presigned:
            prefix = keys.run_addresses(self.head.run_id, self.head.manifest_version)
            self.store.delete_prefix(prefix)

    def _key(self, shard: int) -> str:
        return keys.shard_addresses(self.head.run_id, self.head.manifest_version, shard)
