"""One run in the store: what it is, its clips and options, how it is to be fed."""

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Self
from urllib.parse import unquote

from pydantic import ValidationError

from clipfleet import keys
from clipfleet.errors import NewerVersion, ObjectMissing, UsageError
from clipfleet.messages import faults
from clipfleet.options import Options
from clipfleet.records import ManifestLine
from clipfleet.runs import RunCancellation, RunControl, RunCounts, RunHead, RunSources
from clipfleet.store import Store
from clipfleet.suggestions import did_you_mean
from clipfleet_producer.prefetch import Readers
from clipfleet_producer.runs.done import DoneShards
from clipfleet_producer.runs.manifest import Manifest
from clipfleet_producer.runs.names import LATEST, check_run_id
from clipfleet_producer.runs.objects import JSON, find, put_json
from clipfleet_producer.runs.presigned import Addresses

_CONCLUDE_TRIES = 10


@dataclass(frozen=True, kw_only=True)
class RunStore:
    """A run in its store. `head` says which version of its manifest this is.

    All raise `StoreError`, and `UsageError` for what a newer clipfleet wrote.
    """

    store: Store
    head: RunHead

    @classmethod
    def open(cls, store: Store, run_id: str, **more: Any) -> Self:
        """The run of this name, or the "latest".

        Raises `UsageError` where there is none, or only a part of one.
        """
        if run_id == LATEST:
            return cls(store=store, head=_latest_head(store), **more)
        check_run_id(run_id)
        head = find(store, keys.run_head(run_id), RunHead)
        if head is None:
            read_options(store, run_id)  # says so where there is no run at all
            raise UsageError(
                f"the list of clips of run {run_id} is not whole; submit it again under this name"
            )
        if head.run_id != run_id:  # as where a disk takes large letters for small ones
            raise UsageError(f"there is no run {run_id} in {store.uri}; there is {head.run_id}")
        return cls(store=store, head=head, **more)

    @property
    def run_id(self) -> str:
        """Its name."""
        return self.head.run_id

    @cached_property
    def manifest(self) -> Manifest:
        """Its clips."""
        return Manifest(self.store, self.head)

    @cached_property
    def addresses(self) -> Addresses:
        """The presigned addresses of its clips."""
        return Addresses(self.store, self.head)

    @cached_property
    def done(self) -> DoneShards:
        """The shards of it that are done."""
        return DoneShards(self.store, self.head)

    def is_current(self) -> bool:
        """Whether the run was not written anew since, nor is being."""
        try:
            found = find(self.store, keys.run_head(self.run_id), RunHead)
        except UsageError:  # a newer clipfleet wrote it
            return False
        return found is not None and found.manifest_version == self.head.manifest_version

    def options(self, variant: str | None = None) -> Options:
        """Its options, or those of this hash that some of its clips have of their own.

        Raises `UsageError` where they cannot be read.
        """
        return read_options(self.store, self.run_id, variant)

    def variants(self, lines: Iterable[ManifestLine]) -> dict[str, Options]:
        """The options that single clips of these have of their own, by hash; those that exist."""
        found = {}
        for name in dict.fromkeys(line.options_hash for line in lines if line.options_hash):
            with contextlib.suppress(ObjectMissing, ValidationError):
                key = keys.run_variant(self.run_id, name)
                found[name] = Options.from_json(self.store.get(key))
        return found

    def places(self) -> list[str]:
        """The places that its clips may be copied from to `clips/`."""
        key = keys.run_sources(self.run_id, self.head.manifest_version)
        found = find(self.store, key, RunSources)
        return found.allowed if found is not None else []

    def control(self) -> RunControl | None:
        """How it is to be fed; None where it has finished, or was cancelled."""
        return find(self.store, self._active_key, RunControl)

    def set_control(self, control: RunControl) -> None:
        """Say how it is to be fed from now on."""
        put_json(self.store, self._active_key, control.model_dump_json())

    def deactivate(self) -> None:
        """Have it fed no more."""
        self.addresses.forget_all()
        self.store.delete(self._active_key)

    def summary(self) -> dict[str, Any] | None:
        """Its counts as it finished; None unless it has."""
        found = last_summary(self.store, self.run_id)
        return found if found.get("manifest_version") == self.head.manifest_version else None

    def conclude(self, total: RunCounts, *, ended_at: datetime | None = None) -> None:
        """Say that it has finished, with these counts; whoever says it twice says the same.

        `ended_at` is when it had, where that is some time ago. Of a run that was written anew
        meanwhile, nothing is said.
        """
        seconds = self.seconds_until(ended_at or datetime.now(UTC))
        summary = {
            "run": self.run_id,
            "options_hash": self.head.options_hash,
            "manifest_version": self.head.manifest_version,
            "seconds": round(seconds, 1),
        }
        counts = total.model_dump() | {"missing": total.missing}
        data = json.dumps(summary | counts, indent=1).encode()
        for _ in range(_CONCLUDE_TRIES):
            if not self.is_current() or self._put_summary(data):
                break
        self.deactivate()

    def seconds_until(self, moment: datetime) -> float:
        """From when it was submitted; 0 where that is later."""
        began = datetime.fromisoformat(self.head.created_at)
        return max(0.0, (moment - began).total_seconds())

    def cancellation(self) -> RunCancellation | None:
        """When it was last cancelled, and how it was fed until then; None where it never was."""
        return find(self.store, keys.run_cancellation(self.run_id), RunCancellation)

    def set_cancellation(self) -> None:
        """Note how it is fed, for whoever resumes it once it is cancelled."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        noted = RunCancellation(cancelled_at=now, control=self.control() or RunControl())
        put_json(self.store, keys.run_cancellation(self.run_id), noted.model_dump_json())

    def discard(self) -> None:
        """Remove it with all that is known of it; records of its clips stay."""
        self.deactivate()
        self.store.delete_prefix(keys.run(self.run_id))

    def _put_summary(self, data: bytes) -> bool:
        """Whether its summary is there now, over one of an earlier list."""
        key = keys.run_summary(self.run_id)
        try:
            there, version = self.store.get_version(key)
        except ObjectMissing:
            return self.store.put(key, data, content_type=JSON, if_absent=True)
        if _read_summary(there).get("manifest_version") == self.head.manifest_version:
            return True
        return self.store.put_if_match(key, data, version, content_type=JSON)

    def reopen(self, control: RunControl) -> None:
        """Have clips without a record looked for again: their shards, and the run, are not done.

        A run that had finished is fed as `control` says. Whoever dies in between leaves the shards
        to be found by the next to ask.
        """
        done = self.done.all_counts(self.done.numbers())
        again = [shard for shard, counts in done if counts.missing]
        if again and self.summary() is not None:
            self.set_control(control)
            self.store.delete(keys.run_summary(self.run_id))
        for shard in again:
            self.done.delete(shard)

    @property
    def _active_key(self) -> str:
        return keys.active(self.run_id, self.head.manifest_version)


def read_options(store: Store, run_id: str, variant: str | None = None) -> Options:
    """A run's options (`RunStore.options`), also of one whose list is not whole.

    Raises `UsageError` where there is no such run, or they cannot be read.
    """
    key = keys.run_variant(run_id, variant) if variant else keys.run_options(run_id)
    try:
        return Options.from_json(store.get(key))
    except ObjectMissing:
        if variant:
            raise UsageError(f"{key} is gone; submit the run again") from None
        meant = did_you_mean(run_id, store.folders(keys.RUNS))
        raise UsageError(f"there is no run {run_id} in {store.uri}{meant}") from None
    except NewerVersion as error:
        raise UsageError(f"{key}: {error}") from None
    except ValidationError as error:
        raise UsageError(f"{key}: {faults(error, whole='')[:300]}") from None


def run_heads(store: Store) -> list[RunHead]:
    """All runs whose lists are whole, the newest first; those of a newer clipfleet are left out."""
    with Readers() as pool:
        found = pool.map(lambda name: _head(store, name), store.folders(keys.RUNS))
        heads = [head for head in found if head is not None]
    return sorted(heads, key=lambda head: (_moment(head), head.manifest_version), reverse=True)


def _head(store: Store, folder: str) -> RunHead | None:
    with contextlib.suppress(UsageError):
        return find(store, keys.run_head(unquote(folder)), RunHead)
    return None


def _moment(head: RunHead) -> datetime:
    return datetime.fromisoformat(head.created_at)


def _latest_head(store: Store) -> RunHead:
    heads = run_heads(store)
    if not heads:
        raise UsageError(f"there is no run in {store.uri}")
    return heads[0]


def active_runs(store: Store) -> list[str]:
    """The runs that have not finished, by name; some of them may be being written."""
    names = (info.key.removeprefix(keys.ACTIVE) for info in store.list(keys.ACTIVE))
    return sorted({unquote(name.removesuffix(".json").partition("@")[0]) for name in names})


def last_summary(store: Store, run_id: str) -> dict[str, Any]:
    """The summary of the run that finished last under this name; empty where none did."""
    try:
        return _read_summary(store.get(keys.run_summary(run_id)))
    except ObjectMissing:
        return {}


def _read_summary(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
