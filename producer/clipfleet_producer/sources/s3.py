"""What an s3:// address names: an object, all below a folder, or what fits a pattern."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

from clipfleet.errors import ObjectMissing, StoreError
from clipfleet.store import ObjectInfo
from clipfleet.store.bucket import Bucket
from clipfleet.store.object_key import KeyRefused, check_foreign_key
from clipfleet_producer.sources.first_bytes import LOOKED_AT_BYTES
from clipfleet_producer.sources.globs import Glob, fixed_start, is_glob
from clipfleet_producer.sources.passed_over import MARKERS
from clipfleet_producer.sources.problems import Problems, short
from clipfleet_producer.sources.selection import Selection
from clipfleet_producer.sources.spellings import spellings
from clipfleet_producer.sources.uris import ClipRefused

_NAMED = 3


@dataclass(frozen=True)
class Found:
    """The objects that an address names, and the key or, ending in a slash, the folder of them."""

    place: str
    objects: Iterator[ObjectInfo]


def find_objects(bucket: Bucket, key: str, problems: Problems, selection: Selection) -> Found:
    """The object `key` if there is one, else what fits it as a pattern, else all below it.

    Keys are taken as they are, `a//b` and `a/b` for two; where there is none, they may be spelled
    otherwise (`spellings`). Raises `ClipRefused` where there is nothing, and `StoreError`.
    """
    named = _named(bucket, key)
    if named is not None:
        return Found(named.key, iter([named]))
    if is_glob(key) and not (key.endswith("/") and _any_below(bucket, key)):
        root = _folder_of(fixed_start(key))
        selection.glob = Glob(key[len(root) :])
        return Found(root, _fitting(bucket, fixed_start(key), problems, selection))
    folder = key if not key or key.endswith("/") else f"{key}/"
    for spelled in spellings(folder):
        listed = bucket.list(spelled)
        if (first := next(listed, None)) is not None:
            objects = _selected(bucket, chain([first], listed), spelled, problems, selection)
            return Found(spelled, objects)
    raise ClipRefused(_nothing(bucket, key))


def _named(bucket: Bucket, key: str) -> ObjectInfo | None:
    """The object of this name, unless it is but a sign of a folder, as some programs leave."""
    if not key or key.endswith("/"):
        return None
    for spelled in spellings(key):
        try:
            found = bucket.stat(spelled)
        except ObjectMissing:
            continue
        return found if found.size_bytes or not _any_below(bucket, f"{spelled}/") else None
    return None


def _any_below(bucket: Bucket, prefix: str) -> bool:
    return next(bucket.list(prefix), None) is not None


def _fitting(
    bucket: Bucket, start: str, problems: Problems, selection: Selection
) -> Iterator[ObjectInfo]:
    for each in spellings(start):
        yield from _selected(bucket, bucket.list(each), _folder_of(each), problems, selection)


def _folder_of(key: str) -> str:
    return key[: key.rfind("/") + 1]


def _selected(
    bucket: Bucket,
    objects: Iterator[ObjectInfo],
    folder: str,
    problems: Problems,
    selection: Selection,
) -> Iterator[ObjectInfo]:
    refused: list[str] = []
    count = 0

    def by_name() -> Iterator[ObjectInfo]:
        nonlocal count
        for item in objects:
            if item.key.endswith("/"):
                if selection.glob is None:
                    selection.passed.add(MARKERS)
            elif selection.takes(item.key[len(folder) :], parts=True):
                try:
                    check_foreign_key(item.key)
                except KeyRefused as error:
                    count += 1
                    refused.extend([str(error)][: _NAMED - len(refused)])
                else:
                    yield item

    def head(item: ObjectInfo) -> bytes | None:
        try:
            return bucket.get(item.key, length=LOOKED_AT_BYTES) if item.size_bytes else b""
        except StoreError:
            return None

    yield from selection.by_content(by_name(), lambda item: item.key[len(folder) :], head)
    if refused:
        more = f"; and {count - len(refused):,} more" if count > len(refused) else ""
        problems.add(f"{bucket.uri}/{short(folder)}: {'; '.join(map(short, refused))}{more}")


def _nothing(bucket: Bucket, key: str) -> str:
    name = f"{bucket.uri}/{key}"
    start = key.rstrip("/")
    if not start:
        return f"{name}: there is nothing in it"
    near = list(islice(bucket.beginning_with(start), _NAMED))
    said = f"{name}: there is no object and no folder of this name"
    if not near:
        return said
    return f"{said}; did you mean {' or '.join(f'{bucket.uri}/{short(each)}' for each in near)}?"
