"""Writing a run: its options, its clips in shards, and last of all its head."""

import secrets
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Self

from pydantic import ValidationError

from clipfleet import keys
from clipfleet.errors import NewerVersion, ObjectMissing, UsageError
from clipfleet.options import Options
from clipfleet.records import ManifestLine
from clipfleet.runs import RunControl, RunHead, RunSources
from clipfleet.sets import label
from clipfleet.store import Store
from clipfleet_producer.runs import manifest
from clipfleet_producer.runs.names import check_new_name
from clipfleet_producer.runs.objects import JSON, JSON_LINES, find, put_json
from clipfleet_producer.runs.presigned import write_addresses
from clipfleet_producer.runs.store import RunStore

_WRITERS = 8
_UNFINISHED_S = 24 * 3600

OverridesOf = Callable[[list[ManifestLine]], Mapping[str, Options]]


def check_free(
    store: Store, run_id: str, options: Options, *, set_name: str = "", anew: bool = False
) -> None:
    """Raises `UsageError` where the run's name is taken by one with other options, or cannot be.

    Or by one of another set: names of runs are unique in a store.

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
    head = find(store, keys.run_head(run_id), RunHead)
    if head is not None and head.set_name != set_name:
        raise UsageError(
            f"run {run_id} is there already, in set {label(head.set_name)}; choose another name"
        )
    if taken.hash != options.hash:
        raise UsageError(f"run {run_id} is there already, with other options; choose another name")


def write_run(
    store: Store,
    run_id: str,
    options: Options,
    clips: Iterable[ManifestLine],
    *,
    set_name: str = "",
    control: RunControl | None = None,
    retry_failed: bool = False,
    redo_changed: bool = False,
    staged: bool = False,
    places: Callable[[], Iterable[str]] = tuple,
    variants: OverridesOf = lambda lines: {},
    tick: Callable[[int], None] = lambda count: None,
) -> RunStore:
    """Write a run, over an earlier one of this name; how it is to be fed and its head last.

    The manifest is written under a version of its own, and is the run's once the head names it, in
    one conditional write. Raises `UsageError` where another submit wrote the run meanwhile: that
    one's manifest is kept, and nothing of this one is left. Of a run without clips nothing is left.

    `set_name` is its records' set. `control` says how it is fed, at once by default. If `staged`,
    files of this machine are copied to scratch. `places`, asked last, are those that clips may be
    copied from (`RunSources`). `variants` gives clips' own options. `tick` is told what is written.
    """
    before = _head_version(store, run_id)
    version = f"{int(time.time()):08x}{secrets.token_hex(4)}"
    _claim_options(store, run_id, options, set_name)
    shards = _ShardWriter(store, run_id, version).write(clips, variants, tick)
    head = RunHead(
        run_id=run_id,
        options_hash=options.hash,
        set_name=set_name,
        manifest_version=version,
        clips=shards.clips,
        shards=shards.count,
        created_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        retry_failed=retry_failed,
        redo_changed=redo_changed,
        staged_from=socket.gethostname() if staged and shards.any_local else None,
        presigned=shards.any_presigned,
    )
    run = RunStore(store=store, head=head)
    if not head.clips:
        return run
    _write_places(run, places())
    run.set_control(control or RunControl())  # before the head: without it the run seems cancelled
    _make_current(run, before)
    return run


def _write_places(run: RunStore, places: Iterable[str]) -> None:
    key = keys.run_sources(run.run_id, run.head.manifest_version)
    put_json(run.store, key, RunSources(allowed=[*places]).model_dump_json())


class _ShardWriter:
    """Writes the shards of one version of a manifest, several at once."""

    def __init__(self, store: Store, run_id: str, manifest_version: str) -> None:
        self._store, self._run_id, self._version = store, run_id, manifest_version
        self.clips = self.count = 0
        self.any_local = self.any_presigned = False

    def write(
        self, clips: Iterable[ManifestLine], variants: OverridesOf, tick: Callable[[int], None]
    ) -> Self:
        """Write all of the clips."""
        remaining = iter(clips)
        writing: deque[Future[bool]] = deque()
        with ThreadPoolExecutor(_WRITERS) as pool:
            while lines := list(islice(remaining, manifest.lines_in(self.count))):
                if any(line.options_hash for line in lines):
                    for name, variant in variants(lines).items():
                        put_json(
                            self._store, keys.run_variant(self._run_id, name), variant.to_json()
                        )
                text = "".join(line.model_dump_json(exclude_defaults=True) + "\n" for line in lines)
                key = keys.run_manifest(self._run_id, self._version, self.count)
                put = pool.submit(self._store.put, key, text.encode(), content_type=JSON_LINES)
                writing.append(put)
                if any(line.presigned for line in lines):
                    write_addresses(self._store, self._run_id, self._version, self.count, lines)
                    self.any_presigned = True
                if len(writing) > _WRITERS:
                    writing.popleft().result()
                self.clips, self.count = self.clips + len(lines), self.count + 1
                self.any_local |= any(line.source.startswith("file:") for line in lines)
                tick(self.clips)
            while writing:
                writing.popleft().result()
        return self


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


def _make_current(run: RunStore, before: _Before | None) -> None:
    """Have the run be this version of it, in place of the one before.

    Raises `UsageError`, and nothing is left, where another submit wrote the run meanwhile.
    """
    if not _put_head(run.store, run.head, before):
        forget(run.store, run.run_id, run.head.manifest_version)
        raise UsageError(
            f"run {run.run_id} was written by another submit meanwhile, whose list is kept; "
            "submit again to write over it, or choose another name"
        )
    if before is not None:
        forget(run.store, run.run_id, before.manifest_version)
    _forget_unfinished(run.store, run.run_id)


def _put_head(store: Store, head: RunHead, before: _Before | None) -> bool:
    key, data = keys.run_head(head.run_id), head.to_bytes()
    if before is None:
        return store.put(key, data, content_type=JSON, if_absent=True)
    return store.put_if_match(key, data, before.version, content_type=JSON)


def _claim_options(store: Store, run_id: str, options: Options, set_name: str) -> None:
    """Say which options the run has. Raises `UsageError` where another says otherwise."""
    key = keys.run_options(run_id)
    if not store.put(key, options.to_json().encode(), content_type=JSON, if_absent=True):
        check_free(store, run_id, options, set_name=set_name)
        put_json(store, key, options.to_json())


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
    head = find(store, keys.run_head(run_id), RunHead)
    prefix = keys.run_manifests(run_id)
    versions = {info.key.removeprefix(prefix).partition("/")[0] for info in store.list(prefix)}
    for version in versions - {head.manifest_version if head else ""}:
        if version < oldest:
            forget(store, run_id, version)
