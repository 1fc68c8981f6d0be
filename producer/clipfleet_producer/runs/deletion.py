"""Taking results down: of a whole set, or of single clips of it."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from string import hexdigits

from clipfleet import keys
from clipfleet.errors import UsageError
from clipfleet.runs import RunHead
from clipfleet.sets import label
from clipfleet.store import ObjectInfo, Store
from clipfleet_producer.runs.model import Run
from clipfleet_producer.runs.store import run_heads

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KINDS = {
    "records": keys.RECORDS,
    "previews": keys.PREVIEWS,
    "clips": "clips/",
    "reviews": keys.REVIEWS,
}

Tick = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Doomed:
    """What there is to delete: a set's, or of it that of `clips` alone (None: of all).

    `counts` are of objects by kind: records, previews (their posters among them), clips, reviews,
    scratch. `missing` are clips of which there is nothing.
    """

    set_name: str
    clips: tuple[str, ...] | None
    counts: dict[str, int]
    num_bytes: int
    missing: tuple[str, ...] = ()
    keys: tuple[str, ...] = field(default=(), repr=False)  # of clips' objects, records first

    @property
    def objects(self) -> int:
        """How many there are."""
        return sum(self.counts.values())


def find_doomed(
    store: Store,
    set_name: str,
    clips: Iterable[str] | None = None,
    *,
    tick: Tick = lambda count: None,
) -> Doomed:
    """What `delete` would take down. Nothing is written.

    `tick` is called with how many objects more were found. Raises `UsageError` where a run of a
    whole set has not finished: it would go on to write there.
    """
    names = None if clips is None else tuple(dict.fromkeys(clips))
    if names is None:
        _check_no_run_is_open(store, set_name)
    counts = dict.fromkeys((*_KINDS, "scratch"), 0)
    num_bytes, found, there = 0, list[str](), set[str]()
    for kind, info in _objects(store, set_name, names):
        counts[kind] += 1
        num_bytes += info.size_bytes
        if names is not None:
            found.append(info.key)
            there.update(_UUID.findall(info.key))
        tick(1)
    return Doomed(
        set_name=set_name,
        clips=names,
        counts=counts,
        num_bytes=num_bytes,
        missing=tuple(name for name in names or () if name not in there),
        keys=tuple(found),
    )


def delete(store: Store, doomed: Doomed, *, tick: Tick = lambda count: None) -> int:
    """Take it down; returns how many objects there were. `tick`: objects more.

    Records go before what they name, and a set's file last: where this breaks off, the same
    again does the rest. Runs stay, and say no more of these records than those that are left.
    """
    removed = 0

    def gone(count: int) -> None:
        nonlocal removed
        removed += count
        tick(count)

    _forget_digests(store, doomed)
    if doomed.clips is None:
        for prefix in _prefixes(store, doomed.set_name):
            gone(store.delete_prefix(prefix))
        store.delete(keys.set_file(doomed.set_name))
        return removed
    for key in doomed.keys:
        store.delete(key)
        gone(1)
    for clip in doomed.clips:  # the folders that this empties
        store.delete_prefix(f"{keys.in_set(doomed.set_name)}{keys.PREVIEWS}{clip}/")
        store.delete_prefix(_scratch_of(clip, doomed.set_name))
    return removed


def _scratch_of(clip: str, set_name: str) -> str:
    return keys.Scratch(clip, "", set_name).prefix.removesuffix("//") + "/"


def _objects(
    store: Store, set_name: str, clips: tuple[str, ...] | None
) -> Iterator[tuple[str, ObjectInfo]]:
    """(kind, object) of all that is to go, kind by kind."""
    root = keys.in_set(set_name)
    for kind, folder in _KINDS.items():
        for start in ("",) if clips is None else clips:
            yield from ((kind, info) for info in store.list(f"{root}{folder}{start}"))
    if clips is not None:
        scratch = [_scratch_of(clip, set_name) for clip in clips]
    else:
        scratch = _scratch(store, set_name)
    for prefix in scratch:
        yield from (("scratch", info) for info in store.list(prefix))


def _scratch(store: Store, set_name: str) -> list[str]:
    """Where a set's scratch lies; the first set's clips lie beside the other sets."""
    if set_name:
        return [f"{keys.SCRATCH}{set_name}/"]
    folders = store.folders(keys.SCRATCH) - store.folders(keys.SETS)
    return [f"{keys.SCRATCH}{folder}/" for folder in sorted(filter(_UUID.fullmatch, folders))]


def _prefixes(store: Store, set_name: str) -> Iterator[str]:
    """All that a set has but for its file, in parts whose deletion takes seconds."""
    root = keys.in_set(set_name)
    for folder in _KINDS.values():
        yield from (f"{root}{folder}{digit}" for digit in sorted({*hexdigits.lower()}))
        yield f"{root}{folder}"
    yield from _scratch(store, set_name)


def _heads(store: Store, set_name: str) -> list[RunHead]:
    return [head for head in run_heads(store) if head.set_name == set_name]


def _check_no_run_is_open(store: Store, set_name: str) -> None:
    for head in _heads(store, set_name):
        if Run(store=store, head=head).control() is not None:
            raise UsageError(
                f"run {head.run_id} of set {label(set_name)} has not finished, and would write "
                f"there again: first clipfleet cancel {head.run_id}"
            )


def _forget_digests(store: Store, doomed: Doomed) -> None:
    """Have records be read, and found gone, by who would take a finished shard's digest."""
    names = None if doomed.clips is None else [clip.encode() for clip in doomed.clips]
    for head in _heads(store, doomed.set_name):
        done = Run(store=store, head=head).done
        for shard in sorted(done.numbers()):
            text = b"" if names is None else b"\n".join(done.digest_lines(shard))
            if names is None or any(name in text for name in names):
                done.delete_digest(shard)
