"""A run as it lies in the store: its options, its clips in shards of JSON lines, how it is fed."""

import json
import secrets
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import unquote

from pydantic import BaseModel, TypeAdapter, ValidationError

from clipfleet import keys
from clipfleet.errors import ObjectMissing, UsageError
from clipfleet.messages import RunId, Source, faults
from clipfleet.options import Options
from clipfleet.records import ManifestLine
from clipfleet.runs import RunHead, RunState, Standing
from clipfleet.store import Store
from producer.ahead import READERS
from producer.run_names import check_new_name

_WRITERS = 8

Found = TypeVar("Found", bound=BaseModel)


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


def choose_run_id(asked: str | None) -> str:
    """The name that was asked for, or a new one. Raises `UsageError` if it cannot name a run."""
    return check_run_id(asked or new_run_id())


def check_free(store: Store, run_id: str, options: Options, *, anew: bool = False) -> None:
    """Raises `UsageError` where the run's name is taken by one with other options, or cannot be.

    With `anew`, by any: records of that name count as done by the run, errors and all.
    """
    check_new_name(store, run_id)
    if anew and store.exists(keys.run_head(run_id)):
        raise UsageError(f"run {run_id} is there already; what is done again takes another name")
    try:
        taken = Options.model_validate_json(store.get(keys.run_options(run_id)))
    except (ObjectMissing, ValidationError):
        return
    if taken.hash != options.hash:
        raise UsageError(f"run {run_id} is there already, with other options; choose another name")


def lines_in(shard: int) -> int:
    """How many clips a full shard has.

    Who opens a shard looks all of its clips up, and who sums a run up reads a line for each shard:
    with these, small runs begin at once and a hundred million clips are 10,090 shards.
    """
    return 1000 if shard < 100 else 10_000


def write_run(
    store: Store,
    run_id: str,
    options: Options,
    clips: Iterable[ManifestLine],
    *,
    retry_failed: bool = False,
    staged: bool = False,
    priority: int = 0,
    embedded: bool = False,
    variants: Callable[[list[ManifestLine]], Mapping[str, Options]] = lambda lines: {},
    tick: Callable[[int], None] = lambda count: None,
) -> RunHead:
    """Write a run down, over an earlier one of this name; that it is active and its head last.

    `variants` gives the options that some of the clips it is told have of their own. `tick` is told
    how many clips are written. With `staged`, files of this machine are copied to scratch as they
    are fed. Of a run without clips nothing is left.
    """
    forget(store, run_id)
    _put(store, keys.run_options(run_id), options.model_dump_json(indent=1))
    count = shards = 0
    local = False
    remaining = iter(clips)
    writing: deque[Future[None]] = deque()
    with ThreadPoolExecutor(_WRITERS) as pool:
        while lines := list(islice(remaining, lines_in(shards))):
            for name, variant in variants(lines).items():
                _put(store, keys.run_variant(run_id, name), variant.model_dump_json(indent=1))
            text = "".join(line.model_dump_json(exclude_defaults=True) + "\n" for line in lines)
            writing.append(pool.submit(_put, store, keys.run_manifest(run_id, shards), text))
            if len(writing) > _WRITERS:
                writing.popleft().result()
            count, shards = count + len(lines), shards + 1
            local = local or any(line.source.startswith("file:") for line in lines)
            tick(count)
        while writing:
            writing.popleft().result()
    head = RunHead(
        run_id=run_id,
        options_hash=options.hash,
        edition=secrets.token_hex(4),
        clips=count,
        shards=shards,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        retry_failed=retry_failed,
        staged_from=socket.gethostname() if staged and local else None,
    )
    if count:
        # Before the head, without which it would seem cancelled.
        write_state(store, run_id, RunState(priority=priority, embedded=embedded))
        _put(store, keys.run_head(run_id), head.model_dump_json(indent=1))
    return head


def forget(store: Store, run_id: str) -> None:
    """Remove what there is of an earlier run of this name, but for its options and logs."""
    store.delete(keys.active(run_id))
    for key in (keys.run_head(run_id), keys.run_summary(run_id)):
        store.delete(key)
    for prefix in ("manifest/", "done/"):
        store.delete_prefix(keys.run(run_id) + prefix)


def read_options(store: Store, run_id: str) -> Options:
    """The run's options. Raises `UsageError` where there is no such run, or none of ours."""
    key = keys.run_options(run_id)
    try:
        return Options.model_validate_json(store.get(key))
    except ObjectMissing:
        raise UsageError(f"there is no run {run_id} in {store.uri}") from None
    except ValidationError as error:
        raise UsageError(f"{key}: {faults(error, whole='')[:300]}") from None


def read_variants(store: Store, run_id: str, lines: Iterable[ManifestLine]) -> dict[str, Options]:
    """The options of its own that each of the run's lines has, by hash; those that are there."""
    names = dict.fromkeys(line.options_hash for line in lines if line.options_hash)
    found = {name: _find(store, keys.run_variant(run_id, name), Options) for name in names}
    return {name: options for name, options in found.items() if options is not None}


def read_head(store: Store, run_id: str) -> RunHead:
    """What the run is. Raises `UsageError` where there is none, or no whole list of its clips."""
    check_run_id(run_id)
    head = _find(store, keys.run_head(run_id), RunHead)
    if head is None:
        read_options(store, run_id)  # says so where there is no run at all
        raise UsageError(
            f"the list of clips of run {run_id} is not whole; submit it again under this name"
        )
    if head.run_id != run_id:  # as where a disk takes large letters for small ones
        raise UsageError(f"there is no run {run_id} in {store.uri}; there is {head.run_id}")
    return head


def is_current(store: Store, head: RunHead) -> bool:
    """Whether the run was not written anew since, nor is being."""
    found = _find(store, keys.run_head(head.run_id), RunHead)
    return found is not None and found.edition == head.edition


def read_shard(store: Store, run_id: str, shard: int) -> list[ManifestLine]:
    """One shard of the run's clips. Raises `UsageError` at a line that is not ours."""
    key = keys.run_manifest(run_id, shard)
    try:
        data = store.get(key)
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


def read_first(store: Store, run_id: str, shard: int) -> ManifestLine | None:
    """The shard's first clip; None where the shard is damaged, as `read_shard` says."""
    try:
        first, _, _ = store.get(keys.run_manifest(run_id, shard)).partition(b"\n")
        return ManifestLine.model_validate_json(first)
    except (ObjectMissing, ValidationError):
        return None


def read_clips(store: Store, run_id: str) -> Iterator[ManifestLine]:
    """The run's clips, one shard in memory at a time. Raises `UsageError` at a line not ours."""
    for shard in range(read_head(store, run_id).shards):
        yield from read_shard(store, run_id, shard)


def read_state(store: Store, run_id: str) -> RunState | None:
    """How the run is to be fed; None where it has come to its end, or was cancelled."""
    return _find(store, keys.active(run_id), RunState)


def write_state(store: Store, run_id: str, state: RunState) -> None:
    """Say how the run is to be fed from now on."""
    _put(store, keys.active(run_id), state.model_dump_json())


def active_runs(store: Store) -> list[str]:
    """The runs that have not come to their end, by name."""
    names = (info.key.removeprefix(keys.ACTIVE) for info in store.list(keys.ACTIVE))
    return sorted(unquote(name.removesuffix(".json")) for name in names)


def read_done(store: Store, head: RunHead, shard: int) -> Standing | None:
    """What came of a shard's clips, if all of them are done."""
    return _find(store, keys.run_done(head.run_id, head.edition, shard), Standing)


def read_all_done(
    store: Store, head: RunHead, shards: Iterable[int]
) -> Iterator[tuple[int, Standing]]:
    """Those of the shards that are done, with what came of them; many at once."""

    def read(shard: int) -> tuple[int, Standing | None]:
        return shard, read_done(store, head, shard)

    with ThreadPoolExecutor(READERS) as pool:
        for shard, counts in pool.map(read, sorted(shards)):
            if counts is not None:
                yield shard, counts


def write_done(store: Store, head: RunHead, shard: int, standing: Standing) -> None:
    """Say that all of a shard's clips are done, and what came of them."""
    key = keys.run_done(head.run_id, head.edition, shard)
    _put(store, key, standing.model_dump_json(exclude_defaults=True))


def done_shards(store: Store, head: RunHead) -> set[int]:
    """The shards of which all clips are done."""
    prefix = keys.run_done(head.run_id, head.edition, 0).rpartition("/")[0] + "/"
    names = (info.key.removeprefix(prefix).removesuffix(".json") for info in store.list(prefix))
    return {int(name) for name in names if name.isdecimal()}


def reopen(store: Store, head: RunHead) -> None:
    """Have clips that were given up looked for again: their shards, and the run, are not done."""
    again = False
    for shard, counts in read_all_done(store, head, done_shards(store, head)):
        if counts.missing:
            store.delete(keys.run_done(head.run_id, head.edition, shard))
            again = True
    if again and read_summary(store, head.run_id) is not None:
        store.delete(keys.run_summary(head.run_id))
        write_state(store, head.run_id, RunState())


def conclude(store: Store, head: RunHead, total: Standing) -> None:
    """Say that the run is at its end, and what came of it; whoever says it twice says the same."""
    if not is_current(store, head):
        return
    began = datetime.fromisoformat(head.created_at)
    seconds = round((datetime.now(UTC) - began).total_seconds(), 1)
    counts = total.model_dump() | {"missing": total.missing}
    summary = {"run": head.run_id, "options_hash": head.options_hash, "seconds": seconds, **counts}
    if not store.exists(keys.run_summary(head.run_id)):
        _put(store, keys.run_summary(head.run_id), json.dumps(summary, indent=1))
    store.delete(keys.active(head.run_id))


def read_summary(store: Store, run_id: str) -> dict[str, Any] | None:
    """What came of a run that is at its end."""
    try:
        found = json.loads(store.get(keys.run_summary(run_id)))
    except (ObjectMissing, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _put(store: Store, key: str, text: str) -> None:
    kind = "application/x-ndjson" if key.endswith(".jsonl") else "application/json"
    store.put(key, text.encode(), content_type=kind)


def _find(store: Store, key: str, kind: type[Found]) -> Found | None:
    """The object as a `kind`; None where there is none, or none of this version."""
    try:
        return kind.model_validate_json(store.get(key))
    except (ObjectMissing, ValidationError):
        return None


_SOURCE: TypeAdapter[str] = TypeAdapter(Source)
