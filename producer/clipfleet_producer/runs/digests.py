"""What records say in short, of a set or of a run: from digests of finished shards where these are
the last word on a clip, else from the records themselves.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import BaseModel, ValidationError

from clipfleet import keys
from clipfleet.records import ManifestLine, find_record
from clipfleet.runs import ClipDigest, RunHead, digest_record
from clipfleet.store import Store
from clipfleet_producer.prefetch import (
    AHEAD,
    READERS,
    Readers,
    ordered_prefetch,
    where_needed,
)
from clipfleet_producer.runs.model import Run
from clipfleet_producer.runs.store import run_heads

Tick = Callable[[int], None]
_TICK_EVERY = 100


class _Version(BaseModel):
    """Which record a line of a digest is of."""

    clip_uuid: str
    record: str
    preview_bytes: int = 0
    finished_at: str


@dataclass
class _Newest:
    """The newest line on each clip; `unsure` are those of which no line is the last word."""

    lines: dict[str, tuple[_Version, bytes]] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)

    def take(self, shards: Iterable["_Shard"]) -> None:
        """Take in what is known of these shards."""
        for shard in shards:
            self.unsure.update(shard.unsettled)
            for version, line in shard.lines:
                self._note(version, line)

    def _note(self, version: _Version, line: bytes) -> None:
        name = version.clip_uuid
        known = self.lines.get(name)
        if known is None or known[0].finished_at < version.finished_at:
            self.lines[name] = (version, line)
        elif known[0].finished_at == version.finished_at and known[0].record != version.record:
            self.unsure.add(name)  # two within one second

    def says_otherwise(self, clip_uuid: str, clip: ClipDigest | None) -> bool:
        """Whether a line that was not taken in may not be the last word on its clip."""
        if clip_uuid in self.unsure:
            return True
        found = self.lines.get(clip_uuid)
        if found is None:
            return False
        version, _ = found
        return clip is None or (
            version.record != clip.record and version.finished_at >= clip.finished_at
        )


@dataclass(frozen=True)
class _Shard:
    """A shard's digest; without one, its clips, of which nothing is settled."""

    lines: list[tuple[_Version, bytes]] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)


def record_sizes(store: Store, set_name: str) -> dict[str, int]:
    """The bytes of each record of a set, by clip."""
    prefix = keys.in_set(set_name) + keys.RECORDS
    return {
        info.key.removeprefix(prefix).removesuffix(".json"): info.size_bytes
        for info in store.list(prefix)
        if info.key.endswith(".json")
    }


def set_digests(
    store: Store,
    set_name: str,
    names: Iterable[str],
    *,
    heads: list[RunHead],
    tick: Tick = lambda count: None,
) -> Iterator[ClipDigest]:
    """What the records of these clips of a set say, in the clips' order.

    `heads` are those of the store's runs. Records that are gone, or cannot be read, are left out.
    """
    for found in _newest_of_set(store, set_name, names, heads, tick):
        yield found if isinstance(found, ClipDigest) else ClipDigest.model_validate_json(found[1])


def preview_bytes(
    store: Store,
    set_name: str,
    names: Iterable[str],
    *,
    heads: list[RunHead],
    tick: Tick = lambda count: None,
) -> int:
    """What the previews of these clips of a set take; see `set_digests`."""
    clips = _newest_of_set(store, set_name, names, heads, tick)
    return sum((c if isinstance(c, ClipDigest) else c[0]).preview_bytes for c in clips)


def _newest_of_set(
    store: Store, set_name: str, names: Iterable[str], heads: list[RunHead], tick: Tick
) -> Iterator[ClipDigest | tuple[_Version, bytes]]:
    newest = _Newest()
    with Readers() as pool:
        newest.take(_shards(store, (h for h in heads if h.set_name == set_name), pool))
        lines, unsure = newest.lines, newest.unsure

        def read(name: str) -> ClipDigest | None:
            return _read(store, name, set_name)

        def needs_record(name: str) -> bool:
            return name in unsure or name not in lines

        waiting = 0
        for name, clip in where_needed(pool, read, names, needs=needs_record, ahead=AHEAD):
            waiting += 1
            if waiting == _TICK_EVERY:
                tick(waiting)
                waiting = 0
            if clip is not None:
                yield clip
            elif not needs_record(name):
                yield lines[name]
        tick(waiting)


def run_digests(run: Run) -> Iterator[ClipDigest | None]:
    """What the record of each clip of a run says, None where it has none of the run's options.

    In the manifest's order, one shard in memory at a time.
    """
    newest = _Newest()
    with Readers() as pool:
        newest.take(_shards(run.store, _may_have_written_since(run), pool))
        done = run.done.numbers()
        for number in range(run.head.shards):
            lines = run.manifest.shard(number)
            known = {c.clip_uuid: c for c in run.done.digest(number)} if number in done else {}

            def read(line: ManifestLine) -> ClipDigest | None:
                return _read_by_recipes(run, line)

            def needs_record(line: ManifestLine, known: dict[str, ClipDigest] = known) -> bool:
                clip = known.get(line.clip_uuid)
                return not known or newest.says_otherwise(line.clip_uuid, clip)

            if not known:
                yield from ordered_prefetch(pool, read, lines, ahead=AHEAD)
                continue
            for line, clip in where_needed(pool, read, lines, needs=needs_record, ahead=AHEAD):
                yield clip if needs_record(line) else known.get(line.clip_uuid)


def _may_have_written_since(run: Run) -> Iterator[RunHead]:
    """The other runs of the set, but for those that had ended before this one began."""
    began = datetime.fromisoformat(run.head.created_at)
    for head in run_heads(run.store):
        if head.set_name != run.head.set_name or head.run_id == run.run_id:
            continue
        summary = Run(store=run.store, head=head).summary()
        seconds = float(summary.get("seconds") or 0.0) if summary else 0.0
        ended = datetime.fromisoformat(head.created_at) + timedelta(seconds=seconds + 1)
        if summary is None or ended >= began:
            yield head


def _shards(store: Store, heads: Iterable[RunHead], pool: ThreadPoolExecutor) -> Iterator[_Shard]:
    """What is known of each shard of these runs."""
    runs = [Run(store=store, head=head) for head in heads]
    done = list(pool.map(lambda run: run.done.numbers(), runs))
    shards = (
        (run, number, number in numbers)
        for run, numbers in zip(runs, done, strict=True)
        for number in range(run.head.shards)
    )
    yield from ordered_prefetch(pool, lambda each: _shard(*each), shards, ahead=READERS)


def _shard(run: Run, number: int, done: bool) -> _Shard:
    lines = run.done.digest_lines(number) if done else []
    try:
        if lines:
            ClipDigest.model_validate_json(lines[0])  # an older clipfleet's says less
            return _Shard([(_Version.model_validate_json(line), line) for line in lines])
    except ValidationError:
        pass
    return _Shard(unsettled=[line.clip_uuid for line in run.manifest.shard(number)])


def _read(store: Store, name: str, set_name: str) -> ClipDigest | None:
    kept = find_record(store, name, set_name)
    return digest_record(kept.record, kept.digest) if kept else None


def _read_by_recipes(run: Run, line: ManifestLine) -> ClipDigest | None:
    kept = find_record(run.store, line.clip_uuid, run.head.set_name)
    if kept is None or not kept.is_done(run.recipes(line)):
        return None
    return digest_record(kept.record, kept.digest)
