"""Which keys a store takes: one rule for all stores, so that objects can move between them."""

from clipfleet.errors import StoreError

TEMP_FOLDER = ".tmp"
"""Where a folder store keeps unfinished writes; no key may lie there."""

_MOVES = frozenset((".", ".."))
_NO_NAMES = _MOVES | {""}


class KeyRefused(StoreError, ValueError):
    """The key cannot name an object."""


def bucket_and_key(uri: str) -> tuple[str, str]:
    """What follows the scheme: the bucket's name, and the key as it is; both may be empty."""
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key


def check_key(key: str, *, prefix: bool = False) -> None:
    """Raises `KeyRefused` unless `key` is a relative path, such as `metas/v0/x.json`.

    Of a `prefix`, which may end mid-name, the folders alone must be those of such a path.
    """
    _check_text(key)
    parts = key.split("/")[: -1 if prefix else None]
    if not _NO_NAMES.isdisjoint(parts):
        raise KeyRefused(f"{key!r} has an empty, '.' or '..' part; write it like metas/v0/x.json")
    if parts[:1] == [TEMP_FOLDER]:
        raise KeyRefused(f"{key!r} lies where unfinished writes are kept; choose another name")


def check_prefix(prefix: str) -> None:
    """Raises `KeyRefused` unless some key can start with `prefix`; it may end mid-name."""
    check_key(prefix, prefix=True)


def check_foreign_key(key: str) -> None:
    """Raises `KeyRefused` unless an object that others wrote can be asked for by this key.

    S3 takes any text: `a//b`, `/b` and `a/b` are three objects.
    """
    _check_text(key)
    if not _MOVES.isdisjoint(key.split("/")):
        raise KeyRefused(
            f"{key!r} has a '.' or '..' part, which is lost on the way to a server; "
            "give the object another key"
        )


def _check_text(key: str) -> None:
    if "\0" in key:
        raise KeyRefused(f"{key!r} holds a NUL character; leave it out")
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise KeyRefused(f"{key!r} is not valid Unicode; rename it") from error
