"""A bucket of any S3-compatible server as the store."""

import io
import logging
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, Unpack

from minio.deleteobjects import DeleteObject
from minio.error import S3Error
from minio.helpers import MAX_PART_SIZE, check_bucket_name
from minio.sse import Sse
from urllib3.exceptions import HTTPError, MaxRetryError

from clipfleet.connections import OutOfTime
from clipfleet.errors import ObjectChanged, UsageError
from clipfleet.store.base import PROBE, Access, Data, ObjectInfo, Store
from clipfleet.store.object_key import bucket_and_key, check_key, check_prefix
from clipfleet.store.s3_client import BACKOFF_FACTOR_S, connect
from clipfleet.store.s3_errors import MISSING, named, translate_errors
from clipfleet.store.s3_lifecycle import expire_scratch

logger = logging.getLogger(__name__)

_READ_TRIES = 3
_CONFLICT_TRIES = 3
_PUT_TOKEN = "x-amz-meta-clipfleet-put"
_BUCKET_IS_THERE = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists", "OperationAborted"}


class S3Store(Store):
    """Objects lie in a bucket under a prefix. `uri` is `s3://bucket/prefix`, or `s3://bucket`."""

    is_remote = True
    frame_encoding = "zstd"

    def __init__(self, uri: str, **access: Unpack[Access]) -> None:
        """Raises `UsageError`; how patient it is, `s3_client.connect` says."""
        access_key, secret_key = access.get("s3_access_key"), access.get("s3_secret_key")
        if not access_key or not secret_key:
            raise UsageError(
                f"{uri} needs credentials: set CLIPFLEET_S3_ACCESS_KEY and CLIPFLEET_S3_SECRET_KEY"
            )
        self._bucket, self._prefix = _bucket_and_prefix(uri)
        self.uri = f"s3://{self._bucket}/{self._prefix}".rstrip("/")
        self._client, self._where = connect(
            self.uri,
            access.get("s3_endpoint"),
            access_key=access_key,
            secret_key=secret_key,
            region=access.get("s3_region"),
        )

    def prepare(self) -> None:
        """Make the bucket where it is missing, prove that it can be written to, expire scratch.

        Other lifecycle rules of the bucket are kept. A server that does not let the rule be set
        gets by without it, with a warning: scratch is then cleared by `assemble` alone.
        """
        with translate_errors(self._where, "prepare the store"):
            if not self._bucket_exists():
                self._make_bucket()
        self.put(PROBE, b"")
        self.delete(PROBE)
        with translate_errors(self._where, "set the lifecycle rule for scratch"):
            try:
                expire_scratch(self._client, self._bucket, self._prefix)
            except S3Error as error:
                if error.response.status not in (403, 405, 501):
                    raise
                logger.warning(
                    "%s: the server does not let scratch expire (%s); clear %s/scratch/ yourself",
                    self._where,
                    error.code,
                    self.uri,
                    extra={
                        "action": "scratch_expiry_not_set",
                        "store": self.uri,
                        "code": error.code,
                    },
                )

    def put(
        self,
        key: str,
        data: Data,
        *,
        content_type: str = "application/octet-stream",
        if_absent: bool = False,
    ) -> bool:
        name = self._name(key)
        content = _joined(data)
        if if_absent:
            if len(content) > MAX_PART_SIZE:
                raise ValueError(f"{key}: {len(content)} bytes are too many to put if absent")
            return self._put_if(_If("If-None-Match", "*"), name, key, content, content_type)
        with translate_errors(self._where, "write", key):
            self._put(name, content, content_type)
        return True

    def get(
        self,
        key: str,
        *,
        start: int = 0,
        length: int | None = None,
        if_match: str | None = None,
    ) -> bytes:
        if start < 0 or (length is not None and length < 0):
            raise ValueError(f"start {start} and length {length} must not be negative")
        name = self._name(key)
        if length == 0:  # to minio, 0 means everything
            self.stat(key)
            return b""
        return self._whole(name, key, start, length or 0, if_match)[0]

    def get_version(self, key: str) -> tuple[bytes, str]:
        return self._whole(self._name(key), key, 0, 0, None)

    def _whole(
        self, name: str, key: str, start: int, length: int, if_match: str | None
    ) -> tuple[bytes, str]:
        """The bytes asked for, and the object's ETag."""
        with translate_errors(self._where, "read", key):
            for tries_left in reversed(range(_READ_TRIES)):
                try:
                    return self._read(name, start, length, if_match)
                except (MaxRetryError, OutOfTime):
                    raise
                except HTTPError:  # broke off half-way, where urllib3 does not try again
                    if not tries_left:
                        raise
                    time.sleep(BACKOFF_FACTOR_S)
        raise AssertionError("unreachable")

    def put_if_match(
        self,
        key: str,
        data: Data,
        version: str,
        *,
        content_type: str = "application/octet-stream",
    ) -> bool:
        content = _joined(data)
        # Without the quotes that HTTP wants: so Amazon's examples have it, and Ceph takes no other.
        condition = _If("If-Match", version or "*")
        return self._put_if(condition, self._name(key), key, content, content_type)

    def stat(self, key: str) -> ObjectInfo:
        name = self._name(key)
        with translate_errors(self._where, "look at", key):
            try:
                found = self._client.stat_object(self._bucket, name)
            except S3Error as error:
                if error.response.status not in (400, 403):
                    raise
                self._read(name, 0, 1, None)  # an answer to HEAD has no body that says why
                raise
        modified = found.last_modified
        return ObjectInfo(
            key=key,
            size_bytes=found.size or 0,
            etag=found.etag or None,  # Ceph gives none for some that were written in parts
            modified=modified.isoformat() if modified else None,
        )

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        check_prefix(prefix)
        with translate_errors(self._where, "list", prefix):
            for found in self._listed(prefix):
                if not found.key.endswith("/"):  # what consoles leave to show an empty folder
                    yield replace(found, key=found.key.removeprefix(self._prefix))

    def folders(self, prefix: str) -> set[str]:
        check_prefix(prefix)
        with translate_errors(self._where, "list", prefix):
            found = self._client.list_objects(self._bucket, prefix=self._prefix + prefix)
            names = (item.object_name.removeprefix(self._prefix + prefix) for item in found)
            return {name.rstrip("/") for name in names if name.endswith("/") and name != "/"}

    def delete(self, key: str) -> None:
        name = self._name(key)
        with translate_errors(self._where, "delete", key):
            try:
                self._client.remove_object(self._bucket, name)
            except S3Error as error:
                if error.code not in MISSING:
                    raise

    def delete_prefix(self, prefix: str) -> int:
        check_prefix(prefix)
        asked = 0

        def doomed() -> Iterator[DeleteObject]:
            nonlocal asked
            for found in self._listed(prefix):
                asked += 1
                yield DeleteObject(found.key)

        with translate_errors(self._where, "delete", prefix):
            try:
                for failure in self._client.remove_objects(self._bucket, doomed()):
                    if not failure.name:
                        doing, said = f"delete {prefix}", failure.message
                        raise named(self._where, doing, failure.code, said=said)
                    # Ceph answers UnknownError for an object that is just being overwritten. Alone,
                    # it is deleted, or says what is wrong.
                    self._client.remove_object(self._bucket, failure.name)
            except S3Error as error:
                # Ceph 16 lets many be deleted at once only by who may delete anything.
                if error.code != "AccessDenied":
                    raise
                names = [found.key for found in self._listed(prefix)]
                for name in names:
                    self._client.remove_object(self._bucket, name)
                asked = len(names)
        return asked

    def presigned_get(self, key: str, *, expires_s: int = 3600) -> str:
        name = self._name(key)
        with translate_errors(self._where, "make a link to", key):
            return self._client.presigned_get_object(
                self._bucket, name, expires=timedelta(seconds=expires_s)
            )

    def _name(self, key: str) -> str:
        check_key(key)
        return self._prefix + key

    def _listed(self, prefix: str) -> Iterator[ObjectInfo]:
        """What lies there, by names in the bucket: the store's own prefix included."""
        for found in self._client.list_objects(
            self._bucket, prefix=self._prefix + prefix, recursive=True
        ):
            modified = found.last_modified
            yield ObjectInfo(
                key=found.object_name,
                size_bytes=found.size or 0,
                etag=found.etag or None,
                # Of whole seconds, as `stat` has it.
                modified=modified.replace(microsecond=0).isoformat() if modified else None,
            )

    def _put(self, name: str, content: bytes, content_type: str, **options: Any) -> None:
        # One request an object: in parts, minio-py starts three threads for each object above
        # 5 MiB, a worker killed half-way leaves its parts behind, and Ceph ignores If-None-Match.
        self._client.put_object(
            self._bucket,
            name,
            io.BytesIO(content),
            len(content),
            content_type=content_type,
            part_size=MAX_PART_SIZE,
            **options,
        )

    def _put_if(
        self, condition: Sse, name: str, key: str, content: bytes, content_type: str
    ) -> bool:
        """Whether it was written, as the condition held."""
        token = uuid.uuid4().hex
        with translate_errors(self._where, "write", key):
            for _ in range(_CONFLICT_TRIES):
                try:
                    self._put(
                        name, content, content_type, sse=condition, metadata={_PUT_TOKEN: token}
                    )
                except S3Error as error:
                    if error.code == "ConditionalRequestConflict":
                        continue  # another write or delete is under way; Amazon says: try again
                    if error.code in MISSING - {"NoSuchBucket"}:
                        return False
                    if error.code != "PreconditionFailed":
                        raise
                    # Where the answer to an earlier try was lost, what is there may be our own.
                    return _was_retried(error) and self._put_token(name) == token
                return True
        return False

    def _put_token(self, name: str) -> str | None:
        try:
            metadata = self._client.stat_object(self._bucket, name).metadata
        except S3Error as error:
            if error.code not in MISSING:
                raise
            return None
        return metadata.get(_PUT_TOKEN) if metadata else None

    def _read(self, name: str, start: int, length: int, if_match: str | None) -> tuple[bytes, str]:
        # The client adds to the headers that it is given.
        headers: dict[str, Any] | None = {"If-Match": f'"{if_match}"'} if if_match else None
        try:
            response = self._client.get_object(
                self._bucket, name, offset=start, length=length, request_headers=headers
            )
        except S3Error as error:
            if error.code == "PreconditionFailed":
                raise ObjectChanged(
                    f"{self._where}: {name} was replaced while it was read"
                ) from error
            if error.code != "InvalidRange":
                raise
            return b"", ""  # the object ends before `start`
        try:
            return response.read(), (response.headers.get("ETag") or "").strip('"')
        finally:
            response.close()
            response.release_conn()

    def _bucket_exists(self) -> bool:
        try:
            return self._client.bucket_exists(self._bucket)
        except S3Error as error:
            if error.response.status != 403:
                raise
            return True  # keys may be allowed to write but not to look; writing will tell

    def _make_bucket(self) -> None:
        try:
            self._client.make_bucket(self._bucket)
        except ValueError as error:  # old buckets may have names that new ones may not
            raise UsageError(f"{self.uri} cannot be made: {error}") from error
        except S3Error as error:
            if error.code not in _BUCKET_IS_THERE:
                raise


class _If(Sse):
    """A condition on a put: an encryption is the one public way to add a bare header.

    `put_object(metadata=…)` renames what it does not know to `X-Amz-Meta-…`.
    """

    def __init__(self, header: str, value: str) -> None:
        self._header, self._value = header, value

    def headers(self) -> dict[str, str]:
        return {self._header: self._value}


def _bucket_and_prefix(uri: str) -> tuple[str, str]:
    """`s3://bucket/some/prefix/` -> `bucket`, `some/prefix/`; the prefix may be empty."""
    bucket, key = bucket_and_key(uri)
    prefix = key.strip("/")
    if not bucket:
        raise UsageError(f"{uri} names no bucket; write s3://bucket/prefix")
    try:
        check_bucket_name(bucket)
        if prefix:
            check_key(prefix)
    except ValueError as error:
        raise UsageError(f"{uri} is not a store: {error}") from error
    return bucket, f"{prefix}/" if prefix else ""


def _joined(data: Data) -> bytes:
    return b"".join(data) if isinstance(data, tuple) else bytes(data)


def _was_retried(error: S3Error) -> bool:
    retries = error.response.retries
    return retries is not None and bool(retries.history)
