"""A client of an S3 server: its address, and connections to it that keep a deadline."""

from urllib.parse import urlsplit

import urllib3
from minio import Minio

from clipfleet.connections import Pools, tls_context
from clipfleet.errors import UsageError
from clipfleet.store.s3_errors import SET_ENDPOINT

_AMAZON = "https://s3.amazonaws.com"
_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 60
# A request with all its tries, and one second more for so many bytes of its body.
_REQUEST_S = 120.0
_SLOWEST_BYTES_PER_S = 256 * 1024
_POOL_CONNECTIONS = 32
_RETRIES = 4  # with the backoff below: after 0, 0.6, 1.2 and 2.4 s
BACKOFF_FACTOR_S = 0.3
_BACKOFF_JITTER_S = 0.2


def connect(
    uri: str, endpoint: str | None, *, access_key: str, secret_key: str, region: str | None
) -> tuple[Minio, str]:
    """A client, and where it finds the store `uri`, for messages. Raises `UsageError`.

    `endpoint` is a URL such as `http://127.0.0.1:9000`; Amazon's when None. `region` None asks the
    server. A request that meets a server error or no server is tried again for about 5 s; one that
    a server draws out is broken off after two minutes, and one more for every 15 MiB of its body.
    """
    address, secure = _endpoint(endpoint or _AMAZON)
    where = f"{uri} at {address}"
    try:
        client = Minio(
            urlsplit(address).netloc,
            access_key=access_key,
            secret_key=secret_key,
            secure=secure,
            region=region,
            http_client=_http_client(secure=secure),
        )
    except ValueError as error:
        raise UsageError(f"{where}: {error}; {SET_ENDPOINT}") from error
    return client, where


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
            f"CLIPFLEET_S3_ENDPOINT is {url!r}; write it like http://127.0.0.1:9000 or {_AMAZON}"
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
            backoff_factor=BACKOFF_FACTOR_S,
            backoff_jitter=_BACKOFF_JITTER_S,
            status_forcelist=(500, 502, 503, 504),
            allowed_methods=None,  # the one POST here, deleting many, can be repeated like the rest
            raise_on_status=False,  # the last answer says more than "too many 503"
            respect_retry_after_header=False,  # it may ask for hours
        ),
    )
