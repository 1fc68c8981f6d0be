"""What an S3 server or the network on the way to it says, as errors of a store."""

from collections.abc import Iterator
from contextlib import contextmanager

from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import HTTPError, MaxRetryError

from clipfleet.connections import OutOfTime
from clipfleet.errors import (
    ObjectArchived,
    ObjectMissing,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnavailable,
)

MISSING = {"NoSuchKey", "NoSuchBucket", "ResourceNotFound"}
_DENIED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AllAccessDisabled"}
_EXPIRED = {"ExpiredToken", "TokenRefreshRequired", "InvalidToken", "RequestExpired"}
_BUSY = {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout"}
_FULL = {"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"}
_WRONG_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed"}

SET_ENDPOINT = "check CLIPFLEET_S3_ENDPOINT, and that the server runs"
_SET_KEYS = (
    "check CLIPFLEET_S3_ACCESS_KEY and CLIPFLEET_S3_SECRET_KEY, and what they may do in this bucket"
)


@contextmanager
def translate_errors(where: str, doing: str, key: str = "") -> Iterator[None]:
    """What the server or the network says, as an error of ours with the address and the remedy."""
    doing = f"{doing} {key}".strip()
    try:
        yield
    except S3Error as error:
        raise named(
            where, doing, error.code or "", status=error.response.status, said=error.message
        ) from error
    except ServerError as error:
        raise named(where, doing, str(error), status=error.status_code) from error
    except (InvalidResponseError, HTTPError) as error:
        raise _unreachable(where, doing, error) from error
    except MinioException as error:
        raise StoreError(f"{where}: cannot {doing}: {_line(error)}") from error


def named(
    where: str,
    doing: str,
    code: str,
    *,
    status: int = 0,
    said: str | None = None,
) -> StoreError:
    """The error of ours for what a server answers: S3's code, HTTP's status, the server's words."""
    because = f"{code}: {_line(said)}" if said and said != code else code
    message = f"{where}: cannot {doing}: {because}"
    if code == "NoSuchBucket":
        return ObjectMissing(f"{message}; prepare the store, or correct the bucket's name")
    if code in MISSING or status == 404:
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
    return StoreError(f"{message}; {SET_ENDPOINT}")


def _unreachable(where: str, doing: str, error: Exception) -> StoreUnavailable:
    cause: object = error
    if isinstance(error, MaxRetryError) and error.reason:
        cause = error.reason
    if isinstance(error, OutOfTime):
        cause = "its answer takes longer than such a request may"
    return StoreUnavailable(f"{where}: cannot {doing}: {_line(cause)}; {SET_ENDPOINT}")


def _line(said: object) -> str:
    return " ".join(str(said).split())[:300]
