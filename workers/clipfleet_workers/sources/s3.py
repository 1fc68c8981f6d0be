"""Clips that lie in S3, and whether a refusal is meant for one of them or for whoever asks."""

from collections import deque
from typing import IO

from clipfleet.errors import (
    ClipArchived,
    ClipMissing,
    ClipTooLarge,
    ObjectArchived,
    ObjectMissing,
    SourceDenied,
    StoreDenied,
    StoreError,
)
from clipfleet.settings import Settings
from clipfleet.store import Store
from clipfleet.store.base import ObjectInfo
from clipfleet.store.download import download
from clipfleet.store.object_key import KeyRefused, bucket_and_key

_KEPT = 4


class Buckets:
    """Fetches clips from buckets, and keeps for each which it read last.

    A clip that is refused is not there for us, as one that is missing, if another of its bucket can
    be read right then. Else credentials expired, a clock runs wrong or a policy changed: nothing
    is said about the clip, which waits as for a store that is away.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._read: dict[str, deque[str]] = {}

    def fetch(self, source: str, file: IO[bytes], *, limit: int, piece_bytes: int) -> ObjectInfo:
        """Copy the object to an empty file; returns which it was. `limit` is in bytes.

        Raises `ClipError`, `SourceDenied` and other `StoreError`.
        """
        bucket, key = bucket_and_key(source)
        store = self._settings.open_bucket(bucket)
        try:
            found = download(
                store,
                key,
                file,
                check=lambda info: check_size(info.size_bytes, limit),
                piece_bytes=piece_bytes,
            )
        except ObjectMissing:
            raise ClipMissing(f"the clip is not there: {source}") from None
        except ObjectArchived:
            raise ClipArchived(
                f"the clip is archived: {source}; restore it in its bucket, then do it again "
                "(--retry-failed)"
            ) from None
        except KeyRefused as error:
            raise ClipMissing(f"the clip may not be read: {source} ({error})") from None
        except StoreDenied as error:
            if self._refused_alone(store, bucket, key):
                raise ClipMissing(f"the clip may not be read: {source} ({error})") from None
            raise SourceDenied(str(error)) from None
        read = self._read.setdefault(bucket, deque(maxlen=_KEPT))
        if key not in read:
            read.append(key)
        return found

    def _refused_alone(self, store: Store, bucket: str, key: str) -> bool:
        """Whether another clip of the bucket can be read now, and this one still cannot."""
        others = (other for other in self._read.get(bucket, ()) if other != key)
        if not any(_can_read(store, other) for other in others):
            return False
        try:
            store.get(key, length=1)
        except StoreDenied:
            return True
        except StoreError:
            return False
        return False


def _can_read(store: Store, key: str) -> bool:
    try:
        store.get(key, length=1)
    except StoreError:
        return False
    return True


def check_size(size_bytes: int, limit: int) -> None:
    """Raises `ClipTooLarge`."""
    if size_bytes > limit:
        raise ClipTooLarge(
            f"the clip has {size_bytes:,} bytes, over the limit of {limit:,} "
            "(setting clip_limits.max_bytes)"
        )
