"""Which places clips may come from: folders, prefixes of buckets, hosts.

A clip's address comes from others: a row of a manifest, a link in a folder, a message. Where a
place is allowed, so is all that lies below it, by the path that a file has once every link on the
way to it is followed.
"""

import os
from collections.abc import Iterable
from urllib.parse import SplitResult, quote_from_bytes, unquote, unquote_to_bytes, urlsplit

from clipfleet.errors import ClipError
from clipfleet.presigned import bare, shown
from clipfleet.store.object_key import bucket_and_key

_HOW = "give a folder's whole path, s3://BUCKET[/PREFIX] or https://HOST[/PATH]"

Parts = tuple[str, ...]


class SourceNotAllowed(ClipError):
    """The clip lies outside of the places that clips may come from."""


class AllowedSources:
    """Places that clips may come from. Raises `ValueError` where one of `places` is none.

    A place is a folder or a file (its path or `file:` URL, links followed now), `s3://BUCKET` with
    or without a prefix or key, or `https://HOST` with or without a path; one with a query is that
    address alone, whatever its signature.
    """

    def __init__(self, places: Iterable[str]) -> None:
        self._places: set[Parts] = set()
        for place in places:
            self.add(place)

    def add(self, place: str) -> None:
        """Allow one more. Raises `ValueError`."""
        parts = _parts(place if "://" in place or place.startswith("file:") else _uri(place))
        if parts is None:
            raise ValueError(f"{shown(place)!r} is no place for clips; {_HOW}")
        if parts[0] == "file":
            parts = _parts(_uri(os.path.realpath("/" + "/".join(parts[1:]))))
            assert parts is not None
        self._places.add(parts)

    def covers(self, source: str) -> bool:
        """Whether a clip's URI lies in one of the places. A file's is taken to have no links."""
        parts = _parts(source)
        if parts is None:
            return False
        if parts[-1].startswith("?"):  # what an address asks for is no part of where it lies
            if parts in self._places:
                return True
            parts = parts[:-1]
        return any(parts[:depth] in self._places for depth in range(1, len(parts) + 1))

    def covers_path(self, path: str) -> bool:
        """Whether the path, with links followed as they are now, lies in one of the places."""
        return self.covers(_uri(os.path.realpath(path)))

    def covers_open_file(self, path: str, file_no: int) -> bool:
        """Whether the file that was opened by this path, and no other, lies in one of the places.

        Links that are changed meanwhile make no difference.
        """
        try:
            # Where the kernel says that the open file lies.
            real = os.readlink(f"/proc/self/fd/{file_no}")  # noqa: PTH115 - of any bytes
        except OSError:  # no Linux
            real = os.path.realpath(path)
            try:
                if not os.path.samestat(os.lstat(real), os.fstat(file_no)):
                    return False
            except OSError:
                return False
        return self.covers(_uri(real))


def not_allowed(name: str) -> SourceNotAllowed:
    """The error of a clip that may not be read, by its address or path."""
    return SourceNotAllowed(
        f"the clip lies outside of the places that clips may come from: {shown(name)} "
        "(setting allowed_sources, CLIPFLEET_ALLOWED_SOURCES)"
    )


def check_allowed(source: str, allowed: AllowedSources | None) -> None:
    """Raises `SourceNotAllowed` where the URI lies in none of the places; None allows any."""
    if allowed is not None and not allowed.covers(source):
        raise not_allowed(source)


def file_uri(path: str) -> str:
    """The URI of a whole path; names need not be UTF-8."""
    return f"file://{quote_from_bytes(os.fsencode(path))}"


def path_of(uri: str) -> str:
    """The path that a `file:` URI means. Raises `ValueError` where it is no address."""
    return os.fsdecode(unquote_to_bytes(urlsplit(uri).path))


def _uri(path: str) -> str:
    return file_uri(os.path.expanduser(path))  # noqa: PTH111 - Path's raises


def _parts(uri: str) -> Parts | None:
    """The scheme, the bucket or the host, and the names on the way down; None of what is no place.

    Of an https address with a query, that comes last, with its question mark.
    """
    try:
        found = urlsplit(bare(uri))
        scheme = found.scheme
        names = _names(uri, found)
    except ValueError:
        return None
    if not {".", ".."}.isdisjoint(names):
        return None
    return None if scheme != "file" and not names[0] else (scheme, *names)


def _names(uri: str, found: SplitResult) -> list[str]:
    """Raises `ValueError` where it is no address of the three kinds."""
    if found.scheme == "s3":  # a key may hold what means something elsewhere, such as ? and #
        bucket, key = bucket_and_key(uri)
        return [bucket, *(key.removesuffix("/").split("/") if key else ())]  # a//b is not a/b
    if found.scheme == "file":
        path = path_of(uri)
        if found.netloc not in ("", "localhost") or not path.startswith("/"):
            raise ValueError(uri)
        return [name for name in path.split("/") if name]
    if found.scheme != "https" or "@" in found.netloc or found.fragment:
        raise ValueError(uri)
    host = f"{found.hostname or ''}:{found.port or 443}" if found.hostname else ""
    names = [name for name in unquote(found.path).replace("\\", "/").split("/") if name]
    return [host, *names, *([f"?{found.query}"] if found.query else [])]
