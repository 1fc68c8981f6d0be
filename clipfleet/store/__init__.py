"""Where results land: a folder or an S3 bucket, behind one interface."""

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from clipfleet.errors import UsageError
from clipfleet.store.base import ObjectInfo, Store

if TYPE_CHECKING:
    from clipfleet.store.bucket import Bucket

__all__ = ["ObjectInfo", "Store", "open_bucket", "open_store"]


def open_store(
    uri: str,
    *,
    s3_endpoint: str | None = None,
    s3_access_key: str | None = None,
    s3_secret_key: str | None = None,
    s3_region: str | None = None,
) -> Store:
    """The store at `uri`: `s3://bucket/prefix`, a folder's path, or its `file:` URL.

    Touches neither disk nor network yet; `Store.prepare` does. The `s3_` arguments matter for
    `s3://` only; `s3_endpoint` is a URL, Amazon's when None. Raises `UsageError`.
    """
    scheme = _scheme(uri)
    if scheme == "s3":
        from clipfleet.store.s3 import S3Store  # a user of folders never pays for minio

        access_key, secret_key = _keys(uri, s3_access_key, s3_secret_key)
        return S3Store(
            uri,
            endpoint=s3_endpoint,
            access_key=access_key,
            secret_key=secret_key,
            region=s3_region,
        )
    from clipfleet.store.folder import FolderStore

    if scheme == "file":
        return FolderStore(_path_of_file_url(uri))
    if scheme is not None or not uri.strip() or "\0" in uri:
        raise UsageError(
            f"{uri!r} is not a store: give s3://bucket/prefix, a folder's path, or file:///folder"
        )
    return FolderStore(Path(uri).expanduser())


def open_bucket(
    name: str,
    *,
    s3_endpoint: str | None = None,
    s3_access_key: str | None = None,
    s3_secret_key: str | None = None,
    s3_region: str | None = None,
) -> "Bucket":
    """The bucket that others fill, to be read; as `open_store`. Raises `UsageError`."""
    from clipfleet.store.bucket import Bucket

    uri = f"s3://{name}"
    access_key, secret_key = _keys(uri, s3_access_key, s3_secret_key)
    return Bucket(
        uri, endpoint=s3_endpoint, access_key=access_key, secret_key=secret_key, region=s3_region
    )


def _keys(uri: str, access_key: str | None, secret_key: str | None) -> tuple[str, str]:
    if not access_key or not secret_key:
        raise UsageError(
            f"{uri} needs credentials: set CLIPFLEET_S3_ACCESS_KEY and CLIPFLEET_S3_SECRET_KEY"
        )
    return access_key, secret_key


def _scheme(uri: str) -> str | None:
    """The URL's scheme; None for a path, colons and all."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://|(file):", uri, re.IGNORECASE)
    return (match[1] or match[2]).lower() if match else None


def _path_of_file_url(url: str) -> Path:
    path = url[len("file:") :]
    if path.startswith("//"):
        host, slash, rest = path[2:].partition("/")
        if host not in ("", "localhost"):
            raise UsageError(
                f"{url} names the host {host}; write file:///folder for a local folder"
            )
        path = slash + rest
    path = unquote(path)
    if not path.startswith("/") or "\0" in path:
        raise UsageError(f"{url} is not a folder's URL; write file:///folder")
    return Path(path)
