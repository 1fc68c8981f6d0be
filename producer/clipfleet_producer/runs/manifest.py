"""A run as it lies in the store: its options, its clips in shards of JSON lines, how it is fed."""

import contextlib
import json
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import unquote

from pydantic import TypeAdapter, ValidationError

from clipfleet import keys
from clipfleet.errors import NewerVersion, ObjectMissing, UsageError
from clipfleet.messages import RunId, Source, faults
from clipfleet.options import Options
from clipfleet.records import ManifestLine, Versioned
from clipfleet.runs import RunControl, RunCounts, RunHead, RunSources
from clipfleet.store import Store
from clipfleet_producer.prefetch import READERS
from clipfleet_producer.runs.names import check_new_name
from clipfleet_producer.runs.presigned import forget_all, forget_shard, write_addresses

_WRITERS = 8

_JSON = "application/json"
_CONCLUDE_TRIES = 10
_UNFINISHED_S = 24 * 3600

Found = TypeVar("Found", bound=Versioned)


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
        taken = Options.from_json(store.get(keys.run_options(run_id)))
    except (ObjectMissing, ValidationError):
        return
    except NewerVersion as error:
        raise UsageError(f"run {run_id} is there already: {error}") from None
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
    fleet: str = "",
    broker: str = "",
    places: Callable[[], Iterable[str]] = tuple,
    variants: Callable[[list[ManifestLine]], Mapping[str, Options]] = lambda lines: {},
    tick: Callable[[int], None] = lambda count: None,
) -> RunHead:
    """Write a run down, over an earlier one of this name; that it is active and its head last.

    The manifest is written under a version of its own, and is the run's once the head names it, in
    one conditional write. Raises `UsageError` where another submit wrote the run meanwhile: that
    one's manifest is kept, and nothing of this one is left.

    `places`, asked last, are those that clips may be copied from (`RunSources`). `variants` gives
    the options that some of the clips it is told have of their own. `tick` is told
    how many clips are written. With `staged`, files of this machine are copied to scratch as they
    are fed. `fleet` and `broker` are where it is submitted to. Of a run without clips nothing is
    left.
    """
    before = _head_version(store, run_id)
    manifest_version = f"{int(time.time()):08x}{secrets.token_hex(4)}"
    _claim_options(store, run_id, options)
    count = shards = 0
    local = presigned = False
    remaining = iter(clips)
    writing: deque[Future[None]] = deque()
    with ThreadPoolExecutor(_WRITERS) as pool:
        while lines := list(islice(remaining, lines_in(shards))):
            for name, variant in variants(lines).items():
                _put(store, keys.run_variant(run_id, name), variant.to_json())
            text = "".join(line.model_dump_json(exclude_defaults=True) + "\n" for line in lines)
            key = keys.run_manifest(run_id, manifest_version, shards)
            writing.append(pool.submit(_put, store, key, text))
            if any(line.presigned for line in lines):
                write_addresses(store, run_id, manifest_version, shards, lines)
                presigned = True
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
        manifest_version=manifest_version,
        clips=count,
        shards=shards,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        retry_failed=retry_failed,
        staged_from=socket.gethostname() if staged and local else None,
        presigned=presigned,
    )
    if not count:
        return head
    sources = RunSources(allowed=[*places()])
    _put(store, keys.run_sources(run_id, manifest_version), sources.model_dump_json())
    # Before the head, without which it would seem cancelled.
    state = RunControl(priority=priority, embedded=embedded, fleet=fleet, broker=broker)
    write_state(store, head, state)
    if not _put_head(store, head, before):
        forget(store, run_id, manifest_version)
        raise UsageError(
            f"run {run_id} was written by another submit meanwhile, whose list stands; "
            "submit again to write over it, or choose another name"
        )
    if before is not None:
        forget(store, run_id, before.manifest_version)
    _forget_unfinished(store, run_id)
    return head


@dataclass(frozen=True)
class _Before:
    """The head that a run had as it began to be written anew; one that cannot be read has none."""

    manifest_version: str
    version: str


def _head_version(store: Store, run_id: str) -> _Before | None:
    try:
        data, version = store.get_version(keys.run_head(run_id))
    except ObjectMissing:
        return None
    try:
        return _Before(RunHead.read(data).manifest_version, version)
    except NewerVersion as error:
        raise UsageError(f"run {run_id} is there already: {error}") from None
    except ValidationError:
        return _Before("", version)


def _put_head(store: Store, head: RunHead, before: _Before | None) -> bool:
    key, data = keys.run_head(head.run_id), head.to_bytes()
    if before is None:
        return store.put(key, data, content_type=_JSON, if_absent=True)
    return store.put_if_match(key, data, before.version, content_type=_JSON)


def _claim_options(store: Store, run_id: str, options: Options) -> None:
    """Say which options the run has. Raises `UsageError` where another says otherwise."""
    key = keys.run_options(run_id)
    if not store.put(key, options.to_json().encode(), content_type=_JSON, if_absent=True):
        check_free(store, run_id, options)
        _put(store, key, options.to_json())


def forget(store: Store, run_id: str, manifest_version: str) -> None:
    """Remove what there is of one version of a run's manifest."""
    if manifest_version:
        store.delete(keys.active(run_id, manifest_version))
        store.delete(keys.run_sources(run_id, manifest_version))
        store.delete_prefix(keys.run_addresses(run_id, manifest_version))
        for prefix in ("manifest/", "done/"):
            store.delete_prefix(f"{keys.run(run_id)}{prefix}{manifest_version}/")


def _forget_unfinished(store: Store, run_id: str) -> None:
    """Remove lists that someone began to write over a day ago, and that are not the run's."""
    oldest = f"{int(time.time()) - _UNFINISHED_S:08x}"
    known = _find(store, keys.run_head(run_id), RunHead)
    prefix = keys.run_manifests(run_id)
    manifest_versions = {
        info.key.removeprefix(prefix).partition("/")[0] for info in store.list(prefix)
    }
    for manifest_version in manifest_versions:
        if manifest_version < oldest and (
            known is None or manifest_version != known.manifest_version
        ):
            forget(store, run_id, manifest_version)


def read_options(store: Store, run_id: str, variant: str | None = None) -> Options:
    """The run's options, or those of this hash that some of its clips have of their own.

    Raises `UsageError` where there is no such run, or none of ours.
    """
    key = keys.run_variant(run_id, variant) if variant else keys.run_options(run_id)
    try:
        return Options.from_json(store.get(key))
    except ObjectMissing:
        if variant:
            raise UsageError(f"{key} is gone; submit the run again") from None
        raise UsageError(f"there is no run {run_id} in {store.uri}") from None
    except NewerVersion as error:
        raise UsageError(f"{key}: {error}") from None
    except ValidationError as error:
        raise UsageError(f"{key}: {faults(error, whole='')[:300]}") from None


def read_variants(store: Store, run_id: str, lines: Iterable[ManifestLine]) -> dict[str, Options]:
    """The options of its own that each of the run's lines has, by hash; those that are there."""
    names = dict.fromkeys(line.options_hash for line in lines if line.options_hash)
    found = {}
    for name in names:
        with contextlib.suppress(ObjectMissing, ValidationError):
            found[name] = Options.from_json(store.get(keys.run_variant(run_id, name)))
    return found


def read_places(store: Store, head: RunHead) -> list[str]:
    """The places that the run's clips may be copied from."""
    found = _find(store, keys.run_sources(head.run_id, head.manifest_version), RunSources)
    return found.allowed if found is not None else []


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
    try:
        found = _find(store, keys.run_head(head.run_id), RunHead)
    except UsageError:  # a newer clipfleet wrote it
        return False
    return found is not None and found.manifest_version == head.manifest_version


def read_shard(store: Store, head: RunHead, shard: int) -> list[ManifestLine]:
    """One shard of the run's clips. Raises `UsageError` at a line that is not ours."""
    key = keys.run_manifest(head.run_id, head.manifest_version, shard)
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


def read_first(store: Store, head: RunHead, shard: int) -> ManifestLine | None:
    """The shard's first clip; None where the shard is damaged, as `read_shard` says."""
    key = keys.run_manifest(head.run_id, head.manifest_version, shard)
    try:
        first, _, _ = store.get(key).partition(b"\n")
        return ManifestLine.model_validate_json(first)
    except (ObjectMissing, ValidationError):
        return None


def read_clips(store: Store, run_id: str) -> Iterator[ManifestLine]:
    """The run's clips, one shard in memory at a time. Raises `UsageError` at a line not ours."""
    head = read_head(store, run_id)
    for shard in range(head.shards):
        yield from read_shard(store, head, shard)


def read_state(store: Store, head: RunHead) -> RunControl | None:
    """How the run is to be fed; None where it has come to its end, or was cancelled.

    Raises `UsageError` where a newer clipfleet wrote it.
    """
    return _find(store, keys.active(head.run_id, head.manifest_version), RunControl)


def write_state(store: Store, head: RunHead, state: RunControl) -> None:
    """Say how the run is to be fed from now on."""
    _put(store, keys.active(head.run_id, head.manifest_version), state.model_dump_json())


def active_runs(store: Store) -> list[str]:
    """The runs that have not come to their end, by name; some of them may be being written."""
    names = (info.key.removeprefix(keys.ACTIVE) for info in store.list(keys.ACTIVE))
    return sorted({unquote(name.removesuffix(".json").partition("@")[0]) for name in names})


def read_done(store: Store, head: RunHead, shard: int) -> RunCounts | None:
    """What came of a shard's clips, if all of them are done."""
    return _find(store, keys.run_done(head.run_id, head.manifest_version, shard), RunCounts)


def read_all_done(
    store: Store, head: RunHead, shards: Iterable[int]
) -> Iterator[tuple[int, RunCounts]]:
    """Those of the shards that are done, with what came of them; many at once."""

    def read(shard: int) -> tuple[int, RunCounts | None]:
        return shard, read_done(store, head, shard)

    with ThreadPoolExecutor(READERS) as pool:
        for shard, counts in pool.map(read, sorted(shards)):
            if counts is not None:
                yield shard, counts


def write_done(store: Store, head: RunHead, shard: int, counts: RunCounts) -> None:
    """Say that all of a shard's clips are done, and what came of them."""
    key = keys.run_done(head.run_id, head.manifest_version, shard)
    _put(store, key, counts.model_dump_json(exclude_defaults=True))
    forget_shard(store, head, shard)


def done_shards(store: Store, head: RunHead) -> set[int]:
    """The shards of which all clips are done."""
    prefix = keys.run_done(head.run_id, head.manifest_version, 0).rpartition("/")[0] + "/"
    names = (info.key.removeprefix(prefix).removesuffix(".json") for info in store.list(prefix))
    return {int(name) for name in names if name.isdecimal()}


def reopen(store: Store, head: RunHead, state: RunControl) -> None:
    """Have clips that were given up looked for again: their shards, and the run, are not done.

    A run that had come to its end goes on as `state` says. Whoever dies in between leaves the
    shards to be found by the next to ask.
    """
    done = read_all_done(store, head, done_shards(store, head))
    again = [shard for shard, counts in done if counts.missing]
    if again and read_summary(store, head) is not None:
        write_state(store, head, state)
        store.delete(keys.run_summary(head.run_id))
    for shard in again:
        store.delete(keys.run_done(head.run_id, head.manifest_version, shard))


def conclude(store: Store, head: RunHead, total: RunCounts) -> None:
    """Say that the run is at its end, and what came of it; whoever says it twice says the same.

    Of a run that was written anew meanwhile, nothing is said.
    """
    began = datetime.fromisoformat(head.created_at)
    seconds = round((datetime.now(UTC) - began).total_seconds(), 1)
    counts = total.model_dump() | {"missing": total.missing}
    summary = {
        "run": head.run_id,
        "options_hash": head.options_hash,
        "manifest_version": head.manifest_version,
    }
    data = json.dumps(summary | {"seconds": seconds} | counts, indent=1).encode()
    for _ in range(_CONCLUDE_TRIES):
        if not is_current(store, head) or _put_summary(store, head, data):
            break
    forget_all(store, head)
    store.delete(keys.active(head.run_id, head.manifest_version))


def _put_summary(store: Store, head: RunHead, data: bytes) -> bool:
    """Whether the run's summary is there now, over one of an earlier list."""
    key = keys.run_summary(head.run_id)
    try:
        there, version = store.get_version(key)
    except ObjectMissing:
        return store.put(key, data, content_type=_JSON, if_absent=True)
    if _summary(there).get("manifest_version") == head.manifest_version:
        return True
    return store.put_if_match(key, data, version, content_type=_JSON)


def read_summary(store: Store, head: RunHead) -> dict[str, Any] | None:
    """What came of a run that is at its end."""
    found = last_summary(store, head.run_id)
    return found if found.get("manifest_version") == head.manifest_version else None


def last_summary(store: Store, run_id: str) -> dict[str, Any]:
    """What came of a run under this name that came to its end last; empty where none did."""
    try:
        return _summary(store.get(keys.run_summary(run_id)))
    except ObjectMissing:
        return {}


def _summary(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _put(store: Store, key: str, text: str) -> None:
    kind = "application/x-ndjson" if key.endswith(".jsonl") else _JSON
    store.put(key, text.encode(), content_type=kind)


def _find(store: Store, key: str, kind: type[Found]) -> Found | None:
    """The object as a `kind`; None where there is none, or none of ours.

    Raises `UsageError` where a newer clipfleet wrote it.
    """
    try:
        return kind.read(store.get(key))
    except NewerVersion as error:
        raise UsageError(f"{key}: {error}") from None
    except (ObjectMissing, ValidationError):
        return None


_SOURCE: TypeAdapter[str] = TypeAdapter(Source)
