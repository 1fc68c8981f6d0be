"""Where clips come from: files, folders, S3, https, manifests and lists, as one stream."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from clipfleet import keys
from clipfleet.errors import (
    ClipfleetError,
    ObjectArchived,
    StoreDenied,
    StoreUnavailable,
    UsageError,
)
from clipfleet.files import open_file
from clipfleet.presigned import shown
from clipfleet.records import ManifestLine
from clipfleet.settings import Settings
from clipfleet.store import ObjectInfo, Store
from clipfleet.store.download import PIECE_BYTES, download
from producer.addresses import Addresses, ClipRefused, checked_length, with_address
from producer.folders import ANYTHING, walk
from producer.globs import Glob, fixed_start, is_glob, split_root
from producer.named import NamedPlaces
from producer.problems import Problems
from producer.rows import Rows
from producer.spool import SpoolFull
from producer.tables import Table, is_table
from producer.variants import Variants

# Files of other kinds in a folder are passed over; a file that is named is always taken.
VIDEO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("mp4", "m4v", "mov", "mkv", "webm", "avi", "ts", "mts", "m2ts"),
        *("mpg", "mpeg", "flv", "wmv", "ogv", "3gp", "mxf"),
    )
)

_RANGE_BYTES = PIECE_BYTES


def find_clips(
    arguments: Iterable[str],
    settings: Settings,
    *,
    variants: Variants,
    problems: Problems,
    clip_column: str | None = None,
    stdin: IO[bytes] | None = None,
    named: NamedPlaces | None = None,
    follow_links: bool = True,
) -> Iterator[ManifestLine]:
    """The clips that the arguments name, as they are found; one that is named twice comes twice.

    An argument is a file; a folder, searched whole; a pattern for either, such as `day*/**/*.mp4`;
    an S3 object; an S3 listing, where it ends in a slash or names a bucket alone; an https:// URL;
    a manifest, by its name (`tables.is_table`); or "-", a list on `stdin` (the process's, if None).
    Sizes are known of files and of what was listed or asked for in S3, not of what a manifest names
    elsewhere. `named` is told of the places that the arguments name. Without `follow_links`, links
    in folders are passed over. Each argument that names none, or cannot be read, is a problem, and
    so is each such row. Raises `StoreUnavailable`, `StoreDenied` and `SpoolFull`: the rest would be
    no whole.
    """
    search = _Search(
        settings,
        variants,
        problems,
        clip_column,
        stdin,
        Addresses(os.curdir),
        NamedPlaces() if named is None else named,
        follow_links,
    )
    for argument in arguments:
        before, names_any = len(problems), False
        try:
            for line in search.expand(argument):
                names_any = True
                yield line
        except (StoreUnavailable, StoreDenied, SpoolFull):
            raise
        except ClipfleetError as error:
            problems.add(str(error))
        except OSError as error:
            problems.add(f"{argument}: {error.strerror or error}")
        if not names_any and len(problems) == before:
            problems.add(f"{argument}: {_nothing_in(argument)}")


def _nothing_in(argument: str) -> str:
    if argument == "-" or is_table(argument):
        return "it names no clip"
    return "no video file fits it" if is_glob(argument) else "there is no video file in it"


@dataclass(frozen=True)
class _Search:
    settings: Settings
    variants: Variants
    problems: Problems
    clip_column: str | None
    stdin: IO[bytes] | None
    here: Addresses
    named: NamedPlaces
    follow_links: bool

    def expand(self, argument: str) -> Iterator[ManifestLine]:
        """What one argument names. Raises `ClipfleetError`, `OSError`."""
        if argument == "-":
            self.named.add_path(os.curdir)
            table = self._table("standard input", self.stdin or sys.stdin.buffer, os.curdir)
            return table.listed()
        if argument.startswith("s3://"):
            return self._s3(argument)
        if argument.lower().startswith(("http://", "https://", "file:")):
            source, size = self.here.find(argument)
            self.named.add(source)
            return iter([with_address(_line(source, size), argument)])
        return self._path(os.path.expanduser(argument), argument)  # noqa: PTH111 - Path's raises

    def _path(self, path: str, argument: str) -> Iterator[ManifestLine]:
        if "\0" in path:
            raise ClipRefused(f"{argument}: there is no such file or folder")
        if Path(path).is_dir():
            self.named.add_path(path)
            yield from self._files(self._walk(path, wanted=_is_video))
        elif Path(path).is_file():
            # What a manifest names beside it was named with it; what it names elsewhere was not.
            self.named.add_path(os.path.split(path)[0] if is_table(path) else path)
            yield from self._file(path)
        elif Path(path).exists():
            raise ClipRefused(f"{argument}: neither a file nor a folder")
        elif is_glob(path):
            root, glob = split_root(path)
            self.named.add_path(root)
            yield from self._files(self._walk(root, wanted=_is_listed, glob=glob))
        else:
            raise ClipRefused(f"{argument}: there is no such file or folder")

    def _walk(
        self, folder: str, *, wanted: Callable[[str], bool], glob: Glob = ANYTHING
    ) -> Iterator[str]:
        return walk(
            Path(folder), self.problems, wanted=wanted, glob=glob, follow_links=self.follow_links
        )

    def _files(self, paths: Iterable[str]) -> Iterator[ManifestLine]:
        for path in paths:
            try:
                yield from self._file(path)
            except OSError as error:  # such as one that went as the folder was read
                self.problems.add(f"{path}: {error.strerror or error}")
            except UsageError as error:
                self.problems.add(str(error))

    def _file(self, path: str) -> Iterator[ManifestLine]:
        if not is_table(path):
            yield _line(*self.here.file(path))
            return
        with open_file(Path(path)) as file:
            yield from self._table(path, file, str(Path(path).parent)).clips()

    def _s3(self, url: str) -> Iterator[ManifestLine]:
        bucket, _, key = url.removeprefix("s3://").partition("/")
        self.named.add_s3(bucket, key, whole=is_table(key) or is_glob(key))
        store = self.settings.open_store(f"s3://{bucket}")
        listed: Iterator[ObjectInfo]
        if not key or key.endswith("/"):
            listed = (item for item in store.list(key) if _is_video(item.key))
        elif is_glob(key) and not store.exists(key):
            glob = Glob(key)
            listed = (
                item
                for item in store.list(fixed_start(key))
                if _is_listed(item.key) and glob.matches(item.key)
            )
        else:
            listed = iter([store.stat(key)])
        for item in listed:
            uri = f"s3://{bucket}/{item.key}"
            try:
                if is_table(item.key):
                    yield from self._s3_table(store, uri, item)
                else:
                    yield _line(checked_length(uri), item.size_bytes)
            except (UsageError, ObjectArchived) as error:
                self.problems.add(str(error))

    def _s3_table(self, store: Store, uri: str, item: ObjectInfo) -> Iterator[ManifestLine]:
        with tempfile.TemporaryFile() as file:
            download(store, item.key, file, piece_bytes=_RANGE_BYTES)
            yield from self._table(uri, file, uri.rpartition("/")[0]).clips()

    def _table(self, name: str, file: IO[bytes], place: str) -> Table:
        rows = Rows(Addresses(place), self.variants, clip_column=self.clip_column)
        return Table(
            name=name,
            file=file,
            rows=rows,
            problems=self.problems,
            memory_bytes=self.settings.manifest_memory_bytes,
        )


def _is_video(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES  # noqa: PTH122 - of each of millions


def _is_listed(name: str) -> bool:
    return _is_video(name) or is_table(name)


def _line(source: str, num_bytes: int | None) -> ManifestLine:
    return ManifestLine(clip_uuid=keys.clip_uuid(source), source=source, num_bytes=num_bytes)


def local_path(line: ManifestLine) -> Path | None:
    """The clip's path on this machine, or None for one that lies elsewhere."""
    parts = urlsplit(line.source)
    if parts.scheme != "file":
        return None
    return Path(os.fsdecode(unquote_to_bytes(parts.path)))  # a name need not be UTF-8


def short_name(source: str) -> str:
    """The clip's name as people know it."""
    return unquote(shown(source).rstrip("/").rpartition("/")[2])
