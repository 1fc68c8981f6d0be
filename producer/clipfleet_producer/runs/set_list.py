"""The sets of a store, in short."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from clipfleet import keys
from clipfleet.errors import UsageError
from clipfleet.runs import RunHead
from clipfleet.sets import Difference, SetFile, differences, read_set_name
from clipfleet.store import Store
from clipfleet_producer.runs.digests import preview_bytes, record_sizes
from clipfleet_producer.runs.sets import find_set
from clipfleet_producer.runs.store import run_heads


@dataclass(frozen=True, kw_only=True)
class SetInfo:
    """One set: how many clips have a record, what these and their previews take, when it began.

    `differences` are from the first set, in what shapes the products that this one has. `file` is
    None where nothing says what the set is made with; `created_at` is then that of its first run,
    None where there is none.
    """

    name: str
    clips: int
    record_bytes: int
    preview_bytes: int
    created_at: str | None
    runs: int
    file: SetFile | None
    differences: list[Difference]

    @property
    def num_bytes(self) -> int:
        """What its records and previews take."""
        return self.record_bytes + self.preview_bytes


def set_names(store: Store, heads: list[RunHead]) -> list[str]:
    """The sets that there are: those in folders of their own, those of runs, and the first."""
    found = {head.set_name for head in heads}
    for name in store.folders(keys.SETS):
        try:
            found.add(read_set_name(name))
        except UsageError:  # another's folder
            continue
    return ["", *sorted(found - {""})]


def list_sets(store: Store, *, tick: Callable[[int], None] = lambda count: None) -> list[SetInfo]:
    """All sets in which there is anything, the first one first. Raises `StoreError`, `UsageError`.

    `tick` is called with how many clips more were looked at.
    """
    heads = run_heads(store)
    first = find_set(store, "")
    found = (_info(store, name, heads, first, tick) for name in set_names(store, heads))
    return [info for info in found if info.clips or info.file]


def _info(
    store: Store,
    name: str,
    heads: list[RunHead],
    first: SetFile | None,
    tick: Callable[[int], None],
) -> SetInfo:
    sizes = record_sizes(store, name)
    file = first if not name else find_set(store, name)
    of_set = [head.created_at for head in heads if head.set_name == name]
    return SetInfo(
        name=name,
        clips=len(sizes),
        record_bytes=sum(sizes.values()),
        preview_bytes=preview_bytes(store, name, sizes, heads=heads, tick=tick),
        created_at=file.created_at if file else min(of_set, default=None),
        runs=len(of_set),
        file=file,
        differences=list(_differences(first, file)) if name else [],
    )


def _differences(first: SetFile | None, file: SetFile | None) -> Iterator[Difference]:
    if first is not None and file is not None:
        yield from differences(first, file.options)
