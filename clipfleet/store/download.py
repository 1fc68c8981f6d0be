"""A whole object as a file of this machine, a piece at a time, and all pieces of one version."""

from collections.abc import Callable
from typing import IO

from clipfleet.errors import ObjectChanged, StoreUnavailable
from clipfleet.store.base import ObjectInfo, Store

PIECE_BYTES = 16 << 20
_TRIES = 3


def download(
    store: Store,
    key: str,
    file: IO[bytes],
    *,
    check: Callable[[ObjectInfo], None] = lambda info: None,
    piece_bytes: int = PIECE_BYTES,
) -> ObjectInfo:
    """Copy an object to an empty file, which is then at its start; returns what it copied.

    One that is replaced meanwhile is read anew, `check`ed again before. Raises `StoreUnavailable`
    where that goes on, other errors of the store, and `OSError` of the file.
    """
    for _ in range(_TRIES):
        info = store.stat(key)
        check(info)
        try:
            _copy(store, info, file, piece_bytes)
        except ObjectChanged:
            file.seek(0)
            file.truncate()
        else:
            file.seek(0)
            return info
    raise StoreUnavailable(
        f"{store.uri}: {key} changed while it was read, {_TRIES} times: it is being replaced; "
        "try again once it is whole"
    )


def _copy(store: Store, info: ObjectInfo, file: IO[bytes], piece_bytes: int) -> None:
    for start in range(0, info.size_bytes, piece_bytes):
        piece = store.get(info.key, start=start, length=piece_bytes, if_match=info.etag)
        if len(piece) != min(piece_bytes, info.size_bytes - start):
            raise ObjectChanged
        file.write(piece)
    file.flush()
    if info.etag is None and store.stat(info.key) != info:
        raise ObjectChanged
