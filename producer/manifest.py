"""A run as it lies in the store: its options, and its clips in shards of JSON lines."""

import secrets
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import count, islice

from pydantic import TypeAdapter, ValidationError

from clipfleet import keys
from clipfleet.errors import ObjectMissing, UsageError
from clipfleet.messages import RunId, Source, faults
from clipfleet.options import Options
from clipfleet.records import ManifestLine
from clipfleet.store import Store

LINES_PER_SHARD = 10_000


def new_run_id() -> str:
    """A name for a run: the time it began, and four letters against collision."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def check_run_id(run_id: str) -> str:
    """`run_id` itself. Raises `UsageError` if it cannot name a run."""
    try:
        return TypeAdapter(RunId).validate_python(run_id)
    except ValidationError:
        raise UsageError(
            f"run {run_id!r}: a run's name has 1 to 64 letters, digits, dots, dashes or underlines"
        ) from None


def check_free(store: Store, run_id: str, options: Options) -> None:
    """Raises `UsageError` where the run's name is taken by one with other options."""
    try:
        taken = Options.model_validate_json(store.get(keys.run_options(run_id)))
    except (ObjectMissing, ValidationError):
        return
    if taken.hash != options.hash:
        raise UsageError(f"run {run_id} is there already, with other options; choose another name")


def write_run(store: Store, run_id: str, options: Options, clips: Iterable[ManifestLine]) -> None:
    """Write the run's options and manifest, over those of an earlier run of this name."""
    store.delete_prefix(keys.run(run_id) + "manifest/")
    remaining = iter(clips)
    for number in count():
        lines = list(islice(remaining, LINES_PER_SHARD))
        if not lines:
            break
        data = "".join(line.model_dump_json() + "\n" for line in lines).encode()
        store.put(keys.run_manifest(run_id, number), data, content_type="application/x-ndjson")
    data = options.model_dump_json(indent=1).encode()
    store.put(keys.run_options(run_id), data, content_type="application/json")


def read_options(store: Store, run_id: str) -> Options:
    """The run's options. Raises `UsageError` where there is no such run, or none of ours."""
    key = keys.run_options(run_id)
    try:
        return Options.model_validate_json(store.get(key))
    except ObjectMissing:
        raise UsageError(f"there is no run {run_id} in {store.uri}") from None
    except ValidationError as error:
        raise UsageError(f"{key}: {faults(error, whole='')[:300]}") from None


def read_clips(store: Store, run_id: str) -> Iterator[ManifestLine]:
    """The run's clips, one shard in memory at a time. Raises `UsageError` at a line not ours."""
    for number in count():
        key = keys.run_manifest(run_id, number)
        try:
            data = store.get(key)
        except ObjectMissing:
            return
        for place, text in enumerate(data.splitlines(), 1):
            try:
                line = ManifestLine.model_validate_json(text)
                _SOURCE.validate_python(line.source)
            except ValidationError as error:
                raise UsageError(f"{key}, line {place}: {faults(error, whole='')[:300]}") from None
            yield line


_SOURCE: TypeAdapter[str] = TypeAdapter(Source)
