"""Presigned addresses of a run's clips, in the store's scratch until the clips are done.

The run's list names clips without signatures, and stays for as long as the run. Whoever feeds a
shard takes its addresses from here, and puts each where the worker that gets the clip looks for it.
"""

from collections.abc import Iterable

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


def with_addresses(
    store: Store, head: RunHead, shard: int, lines: list[ManifestLine]
) -> list[ManifestLine]:
    """The shard's clips, each with its address where that is still there."""
    if not any(line.presigned for line in lines):
        return lines
    try:
        found = _ADDRESSES.validate_json(
            store.get(keys.shard_addresses(head.run_id, head.manifest_version, shard))
        )
    except (ObjectMissing, ValidationError):
        return lines
    return [
        line.model_copy(update={"address": SecretStr(found[line.clip_uuid])})
        if line.clip_uuid in found
        else line
        for line in lines
    ]


def forget_shard(store: Store, head: RunHead, shard: int) -> None:
    """Remove the addresses of a shard whose clips are done."""
    if head.presigned:
        store.delete(keys.shard_addresses(head.run_id, head.manifest_version, shard))


def forget_all(store: Store, head: RunHead) -> None:
    """Remove those of a run that is over."""
    if head.presigned:
        store.delete_prefix(keys.run_addresses(head.run_id, head.manifest_version))
