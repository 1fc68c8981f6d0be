"""What a store must do.

`tests/integration/test_stores.py` and `test_conditional_puts.py` say it in full, for every store.
"""

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, TypedDict, Unpack

from clipfleet.errors import ObjectMissing

# What `prepare` writes and deletes, to see that it can. One name for all: where a process dies in
# between, the next to start removes it.
PROBE = "scratch/probe"

# Scratch that was not written to for so long is nobody's.
SCRATCH_DAYS = 7

# An object's bytes, whole or in parts that are written one after the other.
Data = bytes | memoryview | tuple[bytes | memoryview, ...]


@dataclass(frozen=True, kw_only=True)
class ObjectInfo:
    """One object of a store: its key relative to the store's root, and its size in bytes.

    `etag` is another whenever the object is replaced; None where the server gives none. Then
    `modified` (ISO 8601) is what there is to tell by.
    """

    key: str
    size_bytes: int
    etag: str | None = None
    modified: str | None = None


class Access(TypedDict, total=False):
    """How to get at a store, as settings say it; each kind of store takes what is its own.

    `s3_endpoint` is a URL, Amazon's when None; of `s3_region` None, the server is asked.
    """

    s3_endpoint: str | None
    s3_access_key: str | None
    s3_secret_key: str | None
    s3_region: str | None


class Store(abc.ABC):
    """Whole objects under keys such as `metas/v0/x.json`, relative to one root.

    Every write is atomic: a reader sees the old object, the new one, or none, never a part.
    Safe to share between threads; not across a fork.

    Every method raises `StoreUnavailable`, `StoreDenied` or `StoreFull` where they apply, with the
    store's address in the message and never a secret.
    """

    uri: str
    """Its address; a folder's path where the store is not remote."""
    is_remote: ClassVar[bool]
    """Whether it lies elsewhere than among the files that this machine has."""
    frame_encoding: ClassVar[Literal["raw", "zstd"]]
    """How frames lie in scratch if nothing else is asked for: a disk is quicker than any encoder, a
    network is not."""

    def __init__(self, uri: str, **access: Unpack[Access]) -> None:
        """Touches neither disk nor network; `prepare` does. Raises `UsageError`."""
        self.uri = uri

    @abc.abstractmethod
    def prepare(self) -> None:
        """Make the root where it is missing, and prove that it can be written to.

        On S3: makes the bucket, and a lifecycle rule that expires `scratch/` objects.
        """

    @abc.abstractmethod
    def put(
        self,
        key: str,
        data: Data,
        *,
        content_type: str = "application/octet-stream",
        if_absent: bool = False,
    ) -> bool:
        """Write one object. Returns False, and writes nothing, if `if_absent` and it exists."""

    @abc.abstractmethod
    def get(
        self,
        key: str,
        *,
        start: int = 0,
        length: int | None = None,
        if_match: str | None = None,
    ) -> bytes:
        """The object's bytes from `start`, at most `length` of them.

        Raises `ObjectMissing`, and `ObjectChanged` where its etag is not `if_match` (None: any).
        """

    @abc.abstractmethod
    def get_version(self, key: str) -> tuple[bytes, str]:
        """The object's bytes, and a name for this state of it. Raises `ObjectMissing`."""

    @abc.abstractmethod
    def put_if_match(
        self,
        key: str,
        data: Data,
        version: str,
        *,
        content_type: str = "application/octet-stream",
    ) -> bool:
        """Write the object anew. Returns False, and writes nothing, if it is no longer `version`.

        `version` is what `get_version` said. Of several that write over one state, one does.
        """

    @abc.abstractmethod
    def stat(self, key: str) -> ObjectInfo:
        """The object's size and etag. Raises `ObjectMissing`."""

    def exists(self, key: str) -> bool:
        """Whether there is an object under `key`."""
        try:
            self.stat(key)
        except ObjectMissing:
            return False
        return True

    @abc.abstractmethod
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose key starts with `prefix`, streamed, in no promised order."""

    def folders(self, prefix: str) -> set[str]:
        """What follows `prefix` (which ends in a slash) up to the next slash, of all keys below."""
        below = (info.key.removeprefix(prefix) for info in self.list(prefix))
        return {name for name, slash, _ in (key.partition("/") for key in below) if slash}

    @abc.abstractmethod
    def delete(self, key: str) -> None:
        """Remove one object; none there is no error."""

    @abc.abstractmethod
    def delete_prefix(self, prefix: str) -> int:
        """Remove every object whose key starts with `prefix`; returns how many there were."""

    @abc.abstractmethod
    def presigned_get(self, key: str, *, expires_s: int = 3600) -> str:
        """A URL that reads the object with no credentials, for `expires_s` seconds.

        For a folder it is a `file:` URL, which does not expire.
        """
