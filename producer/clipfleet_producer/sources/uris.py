"""What a text that names one clip means: a path, or a file:, s3:// or https:// address."""

import os
import re
import stat
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote_from_bytes, unquote, urlsplit

from pydantic import SecretStr

from clipfleet.errors import UsageError
from clipfleet.files import mtime_of
from clipfleet.messages import MAX_SOURCE_BYTES, SURELY_SHORT, source_bytes
from clipfleet.presigned import bare, is_signed, shown
from clipfleet.records import ManifestLine
from clipfleet.sources import file_uri, path_of
from clipfleet.store.object_key import KeyRefused, bucket_and_key, check_foreign_key
from clipfleet_producer.sources.problems import short
from clipfleet_producer.sources.spellings import one_spelling, path_on_disk

_LONGEST_TEXT = 8192  # twice the longest path; a source may be much shorter still
# What an address of any kind begins with, and no path does.
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://|(file):", re.IGNORECASE)
_S3_SCHEMES = ("s3", "s3a", "s3n")  # the others are Hadoop's and Spark's for the same
_OTHER_CLOUDS = {
    "gs": "clips in Google Cloud Storage are read through its S3 side: write s3://, and set "
    "CLIPFLEET_S3_ENDPOINT=https://storage.googleapis.com and HMAC keys",
    **dict.fromkeys(
        ("az", "abfs", "abfss", "wasb", "wasbs", "adl"),
        "Azure's storage is not read; give https:// addresses, or copy the clips to S3 or a disk",
    ),
}
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_FOLDERS_KEPT = 4096


class ClipRefused(UsageError):
    """No clip can be taken from this. Those of one `kind` are told as one problem."""

    def __init__(self, message: str, *, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind or message


class Address(NamedTuple):
    """A clip's source URI; of a file here also its size in bytes, and when it was last changed."""

    source: str
    num_bytes: int | None = None
    mtime: str | None = None


class Addresses:
    """Reads texts that name a clip each, as they stand in `place`: a folder, or s3://bucket/prefix.

    Relative paths are relative to it.
    """

    def __init__(self, place: str) -> None:
        self._in_s3 = place.startswith("s3://")
        self._place = place if self._in_s3 else os.path.join(os.getcwd(), place)  # noqa: PTH109, PTH118
        # Following the links of a path takes longer than all the rest of a manifest's line.
        self._folder_uri = lru_cache(_FOLDERS_KEPT)(_folder_uri)

    def find(self, text: str) -> Address:
        """What a text names. Raises `ClipRefused`.

        Objects in S3 are not asked for: a manifest may name millions of them. Of an https address
        it is what names the clip (`presigned.bare`).
        """
        if len(text) > _LONGEST_TEXT:
            raise ClipRefused(f"{short(text)}: no clip has an address of {len(text):,} characters")
        if is_s3(text):
            return Address(checked_length(_s3(text)))
        scheme = SCHEME.match(text)
        if scheme is None:
            if self._in_s3 and not text.startswith("/"):
                return Address(checked_length(_s3(self._beside(text))))
            return self._local(text, text)
        name = (scheme[1] or scheme[2]).lower()
        if name == "https":
            return Address(checked_length(bare(_https(text))))
        if name == "file":
            return self._local(text, _path_of(text))
        if name == "http":
            raise ClipRefused(
                f"{short(text)}: with http:// anyone on the way could put another clip in its "
                "place; use https://"
            )
        said = _OTHER_CLOUDS.get(name, "clips are files, or lie at s3:// or https:// addresses")
        raise ClipRefused(f"{short(text)}: {said}")

    def file(self, path: str) -> Address:
        """A file, with links followed. Raises `ClipRefused`, `OSError`."""
        path = os.path.join(self._place, path)  # noqa: PTH118 - `Path` takes several times as long
        if not path.isascii():
            path = one_spelling(path_on_disk(path))
        folder, name = os.path.split(path)
        if name in ("", ".", ".."):
            raise ClipRefused("it is a folder, where a clip is wanted")
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            path = os.path.realpath(path, strict=True)
            folder, name = os.path.split(path)
            found = os.lstat(path)
        if stat.S_ISDIR(found.st_mode):
            raise ClipRefused("it is a folder, where a clip is wanted")
        if not stat.S_ISREG(found.st_mode):
            raise ClipRefused("neither a file nor a folder")
        uri = self._folder_uri(folder) + quote_from_bytes(os.fsencode(name))
        uri = uri if len(uri) <= SURELY_SHORT else checked_length(uri)
        return Address(uri, found.st_size, mtime_of(found))

    def _beside(self, text: str) -> str:
        bucket, folder = bucket_and_key(self._place)
        names = folder.removesuffix("/").split("/") if folder else []
        # Unlike `posixpath.normpath` this keeps empty parts: keys may have some.
        for name in text.split("/"):
            if name == ".." and names and names[-1] != "..":
                names.pop()
            elif name != ".":
                names.append(name)
        return f"s3://{bucket}/{'/'.join(names)}"

    def _local(self, text: str, path: str) -> Address:
        if self._in_s3:  # whoever wrote it there need not be one who may read files here
            raise ClipRefused(
                f"{short(text)}: a manifest in S3 names no files of this machine; "
                "download the manifest, or name clips in S3"
            )
        try:
            return self.file(path)
        except ClipRefused as error:
            raise ClipRefused(f"{short(text)}: {error}") from None
        except OSError as error:
            said = "there is no such file" if isinstance(error, FileNotFoundError) else None
            raise ClipRefused(f"{short(text)}: {said or error.strerror}") from None
        except ValueError:  # a NUL, or half a letter
            raise ClipRefused(f"{short(text)}: no file can have this name") from None


def with_address(line: ManifestLine, text: str) -> ManifestLine:
    """The line of the clip that `text` names, with all of the address where it is presigned."""
    if not is_signed(text):
        return line
    return line.model_copy(update={"presigned": True, "address": SecretStr(text)})


def _folder_uri(folder: str) -> str:
    real = os.path.realpath(folder)
    return file_uri(real if real == "/" else f"{real}/")


def checked_length(source: str) -> str:
    """The source itself. Raises `ClipRefused` where it is too long for a message."""
    if len(source) > SURELY_SHORT and source_bytes(source) > MAX_SOURCE_BYTES:
        name = short(unquote(shown(source).rstrip("/").rpartition("/")[2]), 255)
        raise ClipRefused(
            f"{name}: its URI takes {source_bytes(source):,} bytes, over the limit of "
            f"{MAX_SOURCE_BYTES:,} (a letter beyond ASCII takes 6 to 12); shorten its path"
        )
    return source


def is_s3(text: str) -> bool:
    """Whether the text is an address in S3."""
    if text.startswith("s3://"):
        return True
    scheme = SCHEME.match(text)
    return scheme is not None and scheme[1] is not None and scheme[1].lower() in _S3_SCHEMES


def read_s3(text: str) -> tuple[str, str]:
    """(bucket, key) of an address in S3; the key as it is, or empty. Raises `ClipRefused`."""
    bucket, key = bucket_and_key(text)
    if not _BUCKET.fullmatch(bucket):
        raise ClipRefused(f"{short(text)}: {short(bucket, 70)!r} is no bucket's name")
    return bucket, key


def _s3(text: str) -> str:
    bucket, key = read_s3(text)
    if not key or key.endswith("/"):
        raise ClipRefused(f"{short(text)}: it names a prefix, where a clip is wanted")
    try:
        check_foreign_key(key)
    except KeyRefused as error:
        raise ClipRefused(f"{short(text)}: {short(error, 300)}") from None
    return f"s3://{bucket}/{key}"


def _https(text: str) -> str:
    """The address, if it is one of a file and tells no secret that would end up in records."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ClipRefused(f"{short(text)}: write spaces and letters beyond ASCII as %XX")
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise ClipRefused(f"{short(text)}: not an address ({error})") from None
    if not parts.hostname or parts.path in ("", "/"):
        raise ClipRefused(f"{short(text)}: it names no file of a host")
    if "@" in parts.netloc:
        host = parts.netloc.rpartition("@")[2]
        raise ClipRefused(
            f"https://…@{short(host)}: it holds a password, which would end up in records"
        )
    if "#" in text:
        raise ClipRefused(f"{short(text)}: leave out what is behind #; a part of a clip is a span")
    return text


def _path_of(text: str) -> str:
    """The path that a file: address means."""
    try:
        parts = urlsplit(text)
        path = path_of(text)
    except ValueError as error:  # also for bytes that are no letters
        raise ClipRefused(f"{short(text)}: not an address ({error})") from None
    if parts.netloc.lower() not in ("", "localhost"):
        raise ClipRefused(f"{short(text)}: it names another machine; write file:///path")
    if not parts.path.startswith("/") or parts.query or parts.fragment:
        raise ClipRefused(f"{short(text)}: write file:///path, with ? and # as %3F and %23")
    return path


def local_path(line: ManifestLine) -> Path | None:
    """The clip's path on this machine, or None for one that lies elsewhere."""
    return Path(path_of(line.source)) if urlsplit(line.source).scheme == "file" else None


def short_name(source: str) -> str:
    """The clip's name as people know it."""
    name = shown(source).rstrip("/").rpartition("/")[2]
    return name if source.startswith("s3:") else unquote(name)  # a key is no URL
