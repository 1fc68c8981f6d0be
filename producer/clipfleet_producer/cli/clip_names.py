"""Which clip a person means: by its uuid, its source's URI, its path here, or its name."""

import re
from collections.abc import Iterator
from pathlib import Path

from clipfleet import keys
from clipfleet.errors import UsageError
from clipfleet.presigned import bare, shown
from clipfleet.records import ManifestLine
from clipfleet.store import Store
from clipfleet_producer.runs.store import RunStore
from clipfleet_producer.sources.manifests.spans import split_span
from clipfleet_producer.sources.spellings import one_spelling, path_on_disk
from clipfleet_producer.sources.uris import SCHEME, ClipRefused, is_s3, short_name

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAMED = 5


def clip_uuids(clip: str) -> list[str]:
    """What the clip may be called in the store, the likeliest first.

    `…#t=START,END` is the part of a source that a manifest gave a span, in any spelling of its
    times; a name may also end so by itself.
    """
    if _UUID.fullmatch(clip.lower()):
        return [clip.lower()]
    whole = keys.clip_uuid(_source(clip))
    source, mark, times = clip.rpartition("#t=")
    if not mark:
        return [whole]
    try:
        span = split_span([each or "0" for each in times.removeprefix("npt:").split(",")])
    except ClipRefused:
        return [whole]
    return [keys.clip_uuid(_source(source), span), whole]


def _source(clip: str) -> str:
    """The URI of a source as records have it."""
    if is_s3(clip):
        return f"s3://{clip.partition('://')[2]}"
    if "://" in clip:
        return bare(clip)
    path = Path(path_on_disk(str(Path(clip).expanduser()))).resolve()
    return Path(one_spelling(str(path))).as_uri()


def find_by_name(store: Store, name: str) -> str | None:
    """The uuid of the clip whose source ends in this name, by the lists of the store's runs.

    The run that was named last by time is asked first. Raises `UsageError` where a run has several
    such clips.
    """
    name = name.partition("#t=")[0]
    if SCHEME.match(name) or "/" in name:
        return None
    for run_id in sorted(store.folders(keys.RUNS), reverse=True):
        found = {line.clip_uuid: line for line in _lines(store, run_id, name)}
        if len(found) > 1:
            spelled = [_address(line) for line in found.values()]
            more = f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
            raise UsageError(
                f"{len(found):,} clips of run {run_id} are called {name}; name one of them: "
                f"{' '.join(spelled[:_NAMED])}{more}"
            )
        for uuid in found:
            return uuid
    return None


def _lines(store: Store, run_id: str, name: str) -> Iterator[ManifestLine]:
    try:
        run = RunStore.open(store, run_id)
        for shard in range(run.head.shards):
            for line in run.manifest.shard(shard):
                if short_name(line.source) == name:
                    yield line
    except UsageError:  # it is being written, or damaged
        return


def _address(line: ManifestLine) -> str:
    span = f"#t={line.span[0]:g},{line.span[1]:g}" if line.span else ""
    return f"{shown(line.source)}{span}"
