"""Where results land: a folder or an S3 bucket, behind one interface."""

import re
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Unpack

from clipfleet.errors import UsageError
from clipfleet.store.base import Access, ObjectInfo, Store

if TYPE_CHECKING:
    from clipfleet.store.bucket import Bucket

__all__ = ["STORE_FORMS", "ObjectInfo", "Store", "open_bucket", "open_store"]

# Each kind by the scheme of its URLs: how its address is written, and its class, which is imported
# once one is opened: a user of folders never pays for minio.
_KINDS = {
    "file": ("a folder", "clipfleet.store.folder:FolderStore"),
    "s3": ("s3://BUCKET[/PREFIX]", "clipfleet.store.s3:S3Store"),
}
STORE_FORMS = ", or ".join(form for form, _ in _KINDS.values())


def open_store(uri: str, **access: Unpack[Access]) -> Store:
    """The store at `uri`, a folder's path or a URL.

    Touches neither disk nor network yet; `Store.prepare` does. Raises `UsageError`.
    """
    scheme = _scheme(uri)
    if scheme not in _KINDS or not uri.strip() or "\0" in uri:
        raise UsageError(f"{uri!r} is not a store: give {STORE_FORMS}")
    found: Store = resolve_name(_KINDS[scheme][1])(uri, **access)
    return found


def open_bucket(name: str, **access: Unpack[Access]) -> "Bucket":
    """The bucket that others fill, to be read; as `open_store`. Raises `UsageError`."""
    from clipfleet.store.bucket import Bucket

    return Bucket(f"s3://{name}", **access)


def _scheme(uri: str) -> str:
    """The URL's scheme; that of files for a path, colons and all."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://|file:", uri, re.IGNORECASE)
    return (match[1] or "file").lower() if match else "file"
