"""One clip of a run: whether the run is done with it, and how it is put on the queue."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from clipfleet import keys
from clipfleet.errors import AddressRefused, SourceUnreadable, StoreUnavailable
from clipfleet.files import NotAFile, mtime, open_file
from clipfleet.messages import ClipJob
from clipfleet.queues import send_clip
from clipfleet.records import ClipRecord, ManifestLine, find_record
from clipfleet.runs import RunCounts, count_record, digest_record
from clipfleet.sources import AllowedSources, not_allowed
from clipfleet_producer.prefetch import AHEAD, Readers, ordered_prefetch
from clipfleet_producer.runs.store import RunStore
from clipfleet_producer.sources.uris import local_path

if TYPE_CHECKING:
    from celery import Celery


# Of how many options recipes are remembered: clips may have some of their own.
_RECIPES_KEPT = 1000


@dataclass(frozen=True, kw_only=True)
class CheckedClip:
    """A clip, and the record that the run is done with it by.

    `counts` are that record's, and None where the run is not done with the clip; `digest` is that
    record's, and `replaces` that of the one which it has, where that does not do. `summary` is
    the line of a record that was not kept.
    """

    line: ManifestLine
    record: ClipRecord | None
    counts: RunCounts | None = None
    digest: str = ""
    summary: str = ""
    replaces: str | None = None

    def summarized(self) -> str:
        """The line on it in its shard's digest; empty where the run is not done with it."""
        if self.record is None:
            return self.summary
        return digest_record(self.record, self.digest).model_dump_json(exclude_defaults=True)


@dataclass(frozen=True, kw_only=True)
class Run(RunStore):
    """A run being fed, or looked at.

    Files are copied to scratch from places that are `allowed` here alone (None: any): a run's list
    may have been written by another machine.
    """

    allowed: AllowedSources | None = None
    known: dict[str, Mapping[str, str]] = field(default_factory=dict)  # recipes by options hash

    @property
    def stage(self) -> bool:
        """Whether clips of the machine that feeds it are copied to scratch for workers."""
        return self.head.staged_from is not None

    def options_hash(self, line: ManifestLine) -> str:
        """The hash of the options that the clip is done with."""
        return self.scratch(line).options_hash

    def recipes(self, line: ManifestLine) -> Mapping[str, str]:
        """The recipe of each product that the clip is to have.

        Raises `UsageError` where its options are gone, or of a newer clipfleet.
        """
        name = self.options_hash(line)
        found = self.known.get(name)
        if found is None:
            found = self.options(line.options_hash).recipes
            if len(self.known) >= _RECIPES_KEPT:
                self.known.clear()
            self.known[name] = found
        return found

    def scratch(self, line: ManifestLine) -> keys.Scratch:
        """What is in flight of the clip."""
        options_hash = line.options_hash or self.head.options_hash
        return keys.Scratch(line.clip_uuid, options_hash, self.head.set_name)

    def check(self, line: ManifestLine) -> CheckedClip:
        """The clip, and its record if the run is done with it.

        An earlier record ends a clip, but one whose source was replaced since, or whose record has
        errors, where the run is to do those again. A presigned clip comes with another address than
        the one that was refused.
        """
        kept = find_record(self.store, line.clip_uuid, self.head.set_name)
        if kept is None or not kept.is_done(self.recipes(line)):
            return CheckedClip(line=line, record=None)
        record = kept.record
        replaced = record.run_id != self.run_id and is_changed(line, record)
        again = line.redo or (self.head.redo_changed and replaced)
        again = again or (self.head.retry_failed and not record.valid)
        again = again or (line.presigned and _was_refused(record))
        again = (again and record.run_id != self.run_id) or kept.digest == line.replaces
        if again and not kept.newer:
            return CheckedClip(line=line, record=None, replaces=kept.digest)
        counts = count_record(record, self.run_id, since=self.head.created_at)
        if replaced:
            counts += RunCounts(changed=1)
        return CheckedClip(line=line, record=record, counts=counts, digest=kept.digest)

    def check_all(self, lines: Iterable[ManifestLine]) -> Iterator[CheckedClip]:
        """Each of the clips, many at once, in order."""
        with Readers() as pool:
            yield from ordered_prefetch(pool, self.check, lines, ahead=AHEAD)

    def check_shard(self, shard: int, *, records: int) -> list[CheckedClip]:
        """The clips of a shard, checked, with their presigned addresses: to be fed.

        Of those that the run is done with, the first `records` come with their records, the others
        with counts alone. Raises `UsageError` where the shard is missing or damaged.
        """
        lines = self.manifest.shard(shard)
        if self.head.presigned:
            lines = self.addresses.added_to(lines, shard=shard)
        clips = []
        with Readers() as pool:
            for clip in ordered_prefetch(pool, self.check, lines, ahead=AHEAD):
                if clip.record is not None:
                    records -= 1
                    if records < 0:
                        clip = replace(clip, record=None, summary=clip.summarized())
                clips.append(clip)
        return clips

    def record(self, line: ManifestLine) -> ClipRecord | None:
        """The clip's record, whichever run wrote it."""
        kept = find_record(self.store, line.clip_uuid, self.head.set_name)
        return kept.record if kept and kept.is_done(self.recipes(line)) else None

    def records(
        self, *, addressed: bool = False
    ) -> Iterator[tuple[ManifestLine, ClipRecord | None]]:
        """Each of its clips with its record, None where it has none of the run's options.

        In the manifest's order, many at once, one shard in memory at a time. `addressed`: with the
        presigned addresses that are still there, for whoever feeds the clips.
        """
        with Readers() as pool:
            for shard in range(self.head.shards):
                lines = self.manifest.shard(shard)
                if addressed and self.head.presigned:
                    lines = self.addresses.added_to(lines, shard=shard)
                records = ordered_prefetch(pool, self.record, lines, ahead=AHEAD)
                yield from zip(lines, records, strict=True)

    def feed(self, app: "Celery", clip: CheckedClip) -> None:
        """Put the clip on the queue; before, what workers need of it into scratch.

        Raises `BrokerError`, `StoreError`, or `SourceUnreadable`.
        """
        line, scratch = clip.line, self.scratch(clip.line)
        path = local_path(line) if self.stage else None
        changed_at = None
        if path is not None:
            data, changed_at = _read(path, self.allowed)
            self.store.put(scratch.source, data)
        if line.address is not None:
            data = line.address.get_secret_value().encode()
            self.store.put(scratch.address, data)
        if line.metadata:
            data = line.model_dump_json(include={"metadata"}).encode()
            self.store.put(scratch.metadata, data)
        send_clip(
            app,
            ClipJob(
                run_id=self.run_id,
                clip_uuid=line.clip_uuid,
                options_hash=scratch.options_hash,
                set_name=scratch.set_name,
                source=line.source,
                span_s=list(line.span) if line.span else None,
                metadata=bool(line.metadata),
                staged=path is not None,
                mtime=changed_at,
                replaces=clip.replaces,
            ),
        )

    def clear_scratch(self, line: ManifestLine) -> None:
        """Remove earlier parts, which must not be taken for parts of now."""
        self.store.delete_prefix(self.scratch(line).prefix)


_UNREADABLE = (
    *(FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError),
    NotAFile,
)


def _read(path: Path, allowed: AllowedSources | None) -> tuple[bytes, str]:
    """The file's bytes, and when it was last changed."""
    name = os.fsencode(path).decode(errors="replace")
    if allowed is not None and not allowed.covers_path(str(path)):
        raise SourceUnreadable(str(not_allowed(name)))
    try:
        with open_file(path) as file:
            if allowed is not None and not allowed.covers_open_file(str(path), file.fileno()):
                raise SourceUnreadable(str(not_allowed(name)))
            return file.read(), mtime(file)
    except _UNREADABLE as error:
        raise SourceUnreadable(error.strerror or str(error)) from None
    except OSError as error:  # a disk or a network that may come back
        raise StoreUnavailable(f"{path} cannot be read just now ({error.strerror})") from None


def _was_refused(record: ClipRecord) -> bool:
    """Whether the clip's address was refused, before anything was known of the clip."""
    return any(each.error == AddressRefused.__name__ for each in record.errors)


def is_changed(line: ManifestLine, record: ClipRecord) -> bool:
    """Whether the source that was listed is another than the one that the record was made of.

    That is, its size, its ETag or when it was last changed differs, as far as both are known.
    """
    source = record.source
    pairs: list[tuple[object, object]] = [(line.num_bytes, record.num_bytes)]
    if source is not None:
        pairs += [(line.etag, source.etag), (line.mtime, source.mtime)]
    return any(None not in pair and pair[0] != pair[1] for pair in pairs)
