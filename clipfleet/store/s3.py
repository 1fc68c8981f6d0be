"""A bucket of any S3-compatible server as the store."""

import io
import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from minio.helpers import MAX_PART_SIZE, check_bucket_name, md5sum_hash
from minio.sse import Sse
from urllib3.exceptions import HTTPError, MaxRetryError

from clipfleet.connections import OutOfTime, Pools, tls_context
from clipfleet.errors import (
    ObjectArchived,
    ObjectChanged,
    ObjectMissing,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnavailable,
    UsageError,
)
from clipfleet.store.base import PROBE, Data, ObjectInfo, Store
from clipfleet.store.object_key import check_key, check_prefix

logger = logging.getLogger(__name__)

AMAZON = "https://s3.amazonaws.com"
SCRATCH_DAYS = 7

_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 60
# A request with all its tries, and one second more for so many bytes of its body.
_REQUEST_S = 120.0
_SLOWEST_BYTES_PER_S = 256 * 1024
_POOL_CONNECTIONS = 32
_RETRIES = 4  # with the backoff below: after 0, 0.6, 1.2 and 2.4 s
_BACKOFF_FACTOR_S = 0.3
_BACKOFF_JITTER_S = 0.2
_READ_TRIES = 3
_CONFLICT_TRIES = 3
_PUT_TOKEN = "x-amz-meta-clipfleet-put"
_XML_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

_MISSING = {"NoSuchKey", "NoSuchBucket", "ResourceNotFound"}
_DENIED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AllAccessDisabled"}
_EXPIRED = {"ExpiredToken", "TokenRefreshRequired", "InvalidToken", "RequestExpired"}
_BUSY = {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout"}
_FULL = {"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"}
_BUCKET_IS_THERE = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists", "OperationAborted"}
_WRONG_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed"}

_SET_ENDPOINT = "check CLIPFLEET_S3_ENDPOINT, and that the server runs"
_SET_KEYS = (
    "check CLIPFLEET_S3_ACCESS_KEY and CLIPFLEET_S3_SECRET_KEY, and what they may do in this bucket"
)


class S3Store(Store):
    """Objects lie in a bucket under a prefix. `uri` is `s3://bucket/prefix`, or `s3://bucket`.

    `endpoint` is a URL such as `http://127.0.0.1:9000`; Amazon's when None. `region` None asks the
    server. A request that meets a server error or no server is tried again for about 5 s; one that
    a server draws out is broken off after two minutes, and one more for every 15 MiB of its body.
    """

    def __init__(
        self,
        uri: str,
        *,
        endpoint: str | None,
        access_key: str,
        secret_key: str,
        region: str | None = None,
    ) -> None:
        self._bucket, self._prefix = _bucket_and_prefix(uri)
        self._endpoint, secure = _endpoint(endpoint or AMAZON)
        self.uri = f"s3://{self._bucket}/{self._prefix}".rstrip("/")
        try:
            self._client = Minio(
                urlsplit(self._endpoint).netloc,
                access_key=access_key,
                secret_key=secret_key,
                secure=secure,
                region=region,
                http_client=_http_client(secure=secure),
            )
        except ValueError as error:
            raise UsageError(f"{self._where()}: {error}; {_SET_ENDPOINT}") from error

    def prepare(self) -> None:
        """Make the bucket where it is missing, prove that it can be written to, expire scratch.

        Other lifecycle rules of the bucket are kept. A server that does not let the rule be set
        gets by without it, with a warning: scratch is then cleared by `assemble` alone.
        """
        with self._named_errors("prepare the store"):
            if not self._bucket_exists():
                self._make_bucket()
        self.put(PROBE, b"")
        self.delete(PROBE)
        with self._named_errors("set the lifecycle rule for scratch"):
            try:
                self._expire_scratch()
            except S3Error as error:
                if error.response.status not in (403, 405, 501):
                    raise
                logger.warning(
                    "%s: the server does not let scratch expire (%s); clear %s/scratch/ yourself",
                    self._where(),
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
        content = b"".join(data) if isinstance(data, tuple) else bytes(data)
        if if_absent:
            if len(content) > MAX_PART_SIZE:
                raise ValueError(f"{key}: {len(content)} bytes are too many to put if absent")
            return self._put_if(_If("If-None-Match", "*"), name, key, content, content_type)
        with self._named_errors("write", key):
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
        with self._named_errors("read", key):
            for tries_left in reversed(range(_READ_TRIES)):
                try:
                    return self._read(name, start, length, if_match)
                except (MaxRetryError, OutOfTime):
                    raise
                except HTTPError:  # broke off half-way, where urllib3 does not try again
                    if not tries_left:
                        raise
                    time.sleep(_BACKOFF_FACTOR_S)
        raise AssertionError("unreachable")

    def put_if_match(
        self,
        key: str,
        data: Data,
        version: str,
        *,
        content_type: str = "application/octet-stream",
    ) -> bool:
        content = b"".join(data) if isinstance(data, tuple) else bytes(data)
        # Without the quotes that HTTP wants: so Amazon's examples have it, and Ceph takes no other.
        condition = _If("If-Match", version or "*")
        return self._put_if(condition, self._name(key), key, content, content_type)

    def stat(self, key: str) -> ObjectInfo:
        name = self._name(key)
        with self._named_errors("look at", key):
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
        with self._named_errors("list", prefix):
            for name, size_bytes in self._names(prefix):
                if not name.endswith("/"):  # what consoles leave to show an empty folder
                    yield ObjectInfo(key=name.removeprefix(self._prefix), size_bytes=size_bytes)

    def folders(self, prefix: str) -> set[str]:
        check_prefix(prefix)
        with self._named_errors("list", prefix):
            found = self._client.list_objects(self._bucket, prefix=self._prefix + prefix)
            names = (item.object_name.removeprefix(self._prefix + prefix) for item in found)
            return {name.rstrip("/") for name in names if name.endswith("/") and name != "/"}

    def delete(self, key: str) -> None:
        name = self._name(key)
        with self._named_errors("delete", key):
            try:
                self._client.remove_object(self._bucket, name)
            except S3Error as error:
                if error.code not in _MISSING:
                    raise

    def delete_prefix(self, prefix: str) -> int:
        check_prefix(prefix)
        asked = 0

        def doomed() -> Iterator[DeleteObject]:
            nonlocal asked
            for name, _ in self._names(prefix):
                asked += 1
                yield DeleteObject(name)

        with self._named_errors("delete", prefix):
            try:
                for failure in self._client.remove_objects(self._bucket, doomed()):
                    if not failure.name:
                        raise self._named(f"delete {prefix}", failure.code, said=failure.message)
                    # Ceph answers UnknownError for an object that is just being overwritten. Alone,
                    # it is deleted, or says what is wrong.
                    self._client.remove_object(self._bucket, failure.name)
            except S3Error as error:
                # Ceph 16 lets many be deleted at once only by who may delete anything.
                if error.code != "AccessDenied":
                    raise
                names = [name for name, _ in self._names(prefix)]
                for name in names:
                    self._client.remove_object(self._bucket, name)
                asked = len(names)
        return asked

    def presigned_get(self, key: str, *, expires_s: int = 3600) -> str:
        name = self._name(key)
        with self._named_errors("make a link to", key):
            return self._client.presigned_get_object(
                self._bucket, name, expires=timedelta(seconds=expires_s)
            )

    def _name(self, key: str) -> str:
        check_key(key)
        return self._prefix + key

    def _names(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Names in the bucket, the store's own prefix included, and sizes in bytes."""
        for found in self._client.list_objects(
            self._bucket, prefix=self._prefix + prefix, recursive=True
        ):
            yield found.object_name, found.size or 0

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
        with self._named_errors("write", key):
            for _ in range(_CONFLICT_TRIES):
                try:
                    self._put(
                        name, content, content_type, sse=condition, metadata={_PUT_TOKEN: token}
                    )
                except S3Error as error:
                    if error.code == "ConditionalRequestConflict":
                        continue  # another write or delete is under way; Amazon says: try again
                    if error.code in _MISSING - {"NoSuchBucket"}:
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
            if error.code not in _MISSING:
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
                    f"{self._where()}: {name} was replaced while it was read"
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

    def _expire_scratch(self) -> None:
        """Add the rule to the bucket's lifecycle, or bring it up to date.

        On the XML itself: minio-py's own classes forget what they do not know, such as the old
        `<Prefix>` outside `<Filter>`, and writing such a rule back would expire the whole bucket.
        """
        lifecycle = self._lifecycle()
        wanted = _expiry_rule(self._prefix)
        for rule in lifecycle.findall("Rule"):
            if rule.findtext("ID") == wanted.findtext("ID"):
                if _means(rule) == _means(wanted):
                    return
                lifecycle.remove(rule)
        lifecycle.append(wanted)
        lifecycle.set("xmlns", _XML_NAMESPACE)
        body = ET.tostring(lifecycle)
        self._client._execute(
            "PUT",
            self._bucket,
            body=body,
            headers={"Content-MD5": md5sum_hash(body) or ""},
            query_params={"lifecycle": ""},
        )

    def _lifecycle(self) -> ET.Element:
        try:
            response = self._client._execute("GET", self._bucket, query_params={"lifecycle": ""})
        except S3Error as error:
            if error.code != "NoSuchLifecycleConfiguration":
                raise
            return ET.Element("LifecycleConfiguration")
        lifecycle = ET.fromstring(response.data)
        for element in lifecycle.iter():
            element.tag = element.tag.rpartition("}")[2]
        return lifecycle

    def _where(self) -> str:
        return f"{self.uri} at {self._endpoint}"

    @contextmanager
    def _named_errors(self, doing: str, key: str = "") -> Iterator[None]:
        """Name what the server or the network says, with the address and the remedy."""
        doing = f"{doing} {key}".strip()
        try:
            yield
        except S3Error as error:
            raise self._named(
                doing, error.code or "", status=error.response.status, said=error.message
            ) from error
        except ServerError as error:
            raise self._named(doing, str(error), status=error.status_code) from error
        except (InvalidResponseError, HTTPError) as error:
            raise self._unreachable(doing, error) from error
        except MinioException as error:
            raise StoreError(f"{self._where()}: cannot {doing}: {_line(error)}") from error

    def _named(
        self,
        doing: str,
        code: str,
        *,
        status: int = 0,
        said: str | None = None,
    ) -> StoreError:
        because = f"{code}: {_line(said)}" if said and said != code else code
        message = f"{self._where()}: cannot {doing}: {because}"
        if code == "NoSuchBucket":
            return ObjectMissing(f"{message}; prepare the store, or correct the bucket's name")
        if code in _MISSING or status == 404:
            return ObjectMissing(message)
        if code in _FULL or status == 507:
            return StoreFull(f"{message}; free some space, or raise the quota")
        if code == "RequestTimeTooSkewed":
            return StoreDenied(f"{message}; set this machine's clock")
        if code in _EXPIRED:
            return StoreDenied(f"{message}; the credentials expired: {_SET_KEYS}")
        if code == "InvalidObjectState":
            return ObjectArchived(f"{message}; it is archived: restore it, then try again")
        if code in _WRONG_REGION:
            return StoreError(f"{message}; set CLIPFLEET_S3_REGION to the bucket's region")
        if code in _DENIED or status in (401, 403):
            return StoreDenied(f"{message}; {_SET_KEYS}")
        if code in _BUSY or status >= 500:
            return StoreUnavailable(f"{message}; try again later, or look at the server's log")
        return StoreError(f"{message}; {_SET_ENDPOINT}")

    def _unreachable(self, doing: str, error: Exception) -> StoreUnavailable:
        cause: object = error
        if isinstance(error, MaxRetryError) and error.reason:
            cause = error.reason
        if isinstance(error, OutOfTime):
            cause = "its answer takes longer than such a request may"
        return StoreUnavailable(f"{self._where()}: cannot {doing}: {_line(cause)}; {_SET_ENDPOINT}")


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
    bucket, _, prefix = uri.partition("://")[2].partition("/")
    prefix = prefix.strip("/")
    if not bucket:
        raise UsageError(f"{uri} names no bucket; write s3://bucket/prefix")
    try:
        check_bucket_name(bucket)
        if prefix:
            check_key(prefix)
    except ValueError as error:
        raise UsageError(f"{uri} is not a store: {error}") from error
    return bucket, f"{prefix}/" if prefix else ""


def _endpoint(url: str) -> tuple[str, bool]:
    """The address without a trailing slash, and whether it is TLS."""
    if "@" in url:  # wherever it stands; and not repeated, for the secret's sake
        raise UsageError("CLIPFLEET_S3_ENDPOINT holds credentials; set them as keys instead")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UsageError(f"CLIPFLEET_S3_ENDPOINT is not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        raise UsageError(
            f"CLIPFLEET_S3_ENDPOINT is {url!r}; write it like http://127.0.0.1:9000 or {AMAZON}"
        )
    return f"{parts.scheme}://{parts.netloc}", parts.scheme == "https"


def _http_client(*, secure: bool) -> urllib3.PoolManager:
    return Pools(
        request_s=_REQUEST_S,
        bytes_per_s=_SLOWEST_BYTES_PER_S,
        timeout=urllib3.Timeout(connect=_CONNECT_TIMEOUT_S, read=_READ_TIMEOUT_S),
        maxsize=_POOL_CONNECTIONS,
        block=True,
        ssl_context=tls_context() if secure else None,
        retries=urllib3.Retry(
            total=_RETRIES,
            backoff_factor=_BACKOFF_FACTOR_S,
            backoff_jitter=_BACKOFF_JITTER_S,
            status_forcelist=(500, 502, 503, 504),
            allowed_methods=None,  # the one POST here, deleting many, can be repeated like the rest
            raise_on_status=False,  # the last answer says more than "too many 503"
            respect_retry_after_header=False,  # it may ask for hours
        ),
    )


def _was_retried(error: S3Error) -> bool:
    retries = error.response.retries
    return retries is not None and bool(retries.history)


def _expiry_rule(prefix: str) -> ET.Element:
    """The bucket's rule for one store; stores under other prefixes of the bucket have their own."""
    rule = ET.Element("Rule")
    name = f"clipfleet-scratch {prefix}".strip()[:255]
    ET.SubElement(rule, "ID").text = name
    ET.SubElement(ET.SubElement(rule, "Filter"), "Prefix").text = f"{prefix}scratch/"
    ET.SubElement(rule, "Status").text = "Enabled"
    ET.SubElement(ET.SubElement(rule, "Expiration"), "Days").text = str(SCRATCH_DAYS)
    return rule


def _means(rule: ET.Element) -> tuple[str | None, ...]:
    return tuple(rule.findtext(path) for path in ("Filter/Prefix", "Status", "Expiration/Days"))


def _line(said: object) -> str:
    return " ".join(str(said).split())[:300]
