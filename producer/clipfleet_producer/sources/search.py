"""Where clips come from: files, folders, S3, https, manifests and lists, as one stream."""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from clipfleet import keys
from clipfleet.errors import (
    ClipfleetError,
    ObjectArchived,
    StoreDenied,
    StoreUnavailable,
    UsageError,
)
from clipfleet.files import open_file
from clipfleet.records import ManifestLine
from clipfleet.settings import Settings
from clipfleet.store import ObjectInfo, Store
from clipfleet.store.download import PIECE_BYTES, download
from clipfleet_producer.sources.folders import first_bytes, walk
from clipfleet_producer.sources.globs import is_glob, split_root
from clipfleet_producer.sources.manifests.rows import Rows
from clipfleet_producer.sources.manifests.tables import Table, is_table
from clipfleet_producer.sources.named_places import NamedPlaces
from clipfleet_producer.sources.overrides import OptionOverrides
from clipfleet_producer.sources.passed_over import PassedOver
from clipfleet_producer.sources.problems import Problems, short
from clipfleet_producer.sources.selection import Selection
from clipfleet_producer.sources.spellings import path_on_disk
from clipfleet_producer.sources.spool import SpoolFull
from clipfleet_producer.sources.uris import (
    SCHEME,
    Address,
    Addresses,
    ClipRefused,
    checked_length,
    is_s3,
    read_s3,
    with_address,
)

_RANGE_BYTES = PIECE_BYTES


def find_clips(
    arguments: Iterable[str],
    settings: Settings,
    *,
    variants: OptionOverrides,
    problems: Problems,
    columns: Mapping[str, str] | None = None,
    stdin: IO[bytes] | None = None,
    named: NamedPlaces | None = None,
    passed: PassedOver | None = None,
    follow_links: bool = True,
) -> Iterator[ManifestLine]:
    """The clips that the arguments name, as they are found; one that is named twice comes twice.

    An argument is a file; a folder, searched whole; a pattern for files, such as `day*/**/*.mp4`;
    an S3 object, folder or pattern; an https:// URL; a manifest, by its name (`tables.is_table`);
    or "-", a list on `stdin` (the process's, if None). Sizes are known of files and of what was
    listed or asked for in S3, not of what a manifest names elsewhere. `named` is told of the places
    that the arguments name, `passed` of what lies there and is not taken (`Selection`). Without
    `follow_links`, links in folders are passed over. Each argument that names none, or cannot be
    read, is a problem, and so is each such row. Raises `StoreUnavailable`, `StoreDenied` and
    `SpoolFull`: the rest would be no whole.
    """
    search = _Search(
        settings,
        variants,
        problems,
        columns or {},
        stdin,
        Addresses(os.curdir),
        NamedPlaces() if named is None else named,
        follow_links,
    )
    for argument in arguments:
        selection = Selection()
        try:
            yield from search.found(argument, selection)
        finally:
            if passed is not None:
                passed.merge(selection.passed)


def _nothing_in(argument: str, selection: Selection) -> str:
    if argument == "-" or is_table(argument):
        return "it names no clip"
    said = "no video file fits it" if selection.glob else "there is no video file in it"
    if selection.passed:
        said += f"; passed over: {selection.passed}"
        if remedy := selection.passed.remedy():
            said += f"; {remedy}"
    if selection.almost:
        said += f"; {short(selection.almost)} would, but for capital and small letters"
    elif selection.glob and "{" in argument and not selection.passed:
        said += "; braces mean nothing in a pattern: give one for each"
    return said


@dataclass(frozen=True)
class _Search:
    settings: Settings
    variants: OptionOverrides
    problems: Problems
    columns: Mapping[str, str]
    stdin: IO[bytes] | None
    here: Addresses
    named: NamedPlaces
    follow_links: bool

    def found(self, argument: str, selection: Selection) -> Iterator[ManifestLine]:
        """What one argument names. That it names nothing, or cannot be read, is a problem."""
        before, names_any = len(self.problems), False
        try:
            for line in self.expand(argument, selection):
                names_any = True
                yield line
        except (StoreUnavailable, StoreDenied, SpoolFull):
            raise
        except ClipfleetError as error:
            self.problems.add(str(error))
        except OSError as error:
            self.problems.add(f"{argument}: {error.strerror or error}")
        if not names_any and len(self.problems) == before:
            self.problems.add(f"{argument}: {_nothing_in(argument, selection)}")

    def expand(self, argument: str, selection: Selection) -> Iterator[ManifestLine]:
        """What one argument names. Raises `ClipfleetError`, `OSError`."""
        if argument == "-":
            self.named.add_path(os.curdir)
            table = self._table("standard input", self.stdin or sys.stdin.buffer, os.curdir)
            return table.listed()
        if SCHEME.match(argument):
            if is_s3(argument):
                return self._s3(argument, selection)
            found = self.here.find(argument)
            self.named.add(found.source)
            return iter([with_address(_line(found), argument)])
        path = os.path.expanduser(argument)  # noqa: PTH111 - Path's raises
        if not path.isascii():
            path = path_on_disk(path)
        return self._path(path, argument, selection)

    def _path(self, path: str, argument: str, selection: Selection) -> Iterator[ManifestLine]:
        if "\0" in path:
            raise ClipRefused(f"{argument}: there is no such file or folder")
        if Path(path).is_dir():
            self.named.add_path(path)
            yield from self._files(self._walk(path, selection))
        elif Path(path).is_file():
            # What a manifest names beside it was named with it; what it names elsewhere was not.
            self.named.add_path(os.path.split(path)[0] if is_table(path) else path)
            yield from self._file(path)
        elif Path(path).exists():
            raise ClipRefused(f"{argument}: neither a file nor a folder")
        elif is_glob(path):
            root, selection.glob = split_root(path)
            root = path_on_disk(root)
            self.named.add_path(root)
            yield from self._files(self._walk(root, selection))
        else:
            raise ClipRefused(f"{argument}: there is no such file or folder")

    def _walk(self, folder: str, selection: Selection) -> Iterator[str]:
        top = Path(folder)
        paths = walk(top, self.problems, selection, follow_links=self.follow_links)
        return selection.by_content(paths, str, first_bytes)

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
            yield _line(self.here.file(path))
            return
        with open_file(Path(path)) as file:
            yield from self._table(path, file, str(Path(path).parent)).clips()

    def _s3(self, url: str, selection: Selection) -> Iterator[ManifestLine]:
        from clipfleet_producer.sources.s3 import (
            find_objects,  # who names files alone never pays for minio
        )

        name, key = read_s3(url)
        bucket = self.settings.open_bucket(name)
        found = find_objects(bucket, key, self.problems, selection)
        place = found.place
        self.named.add_s3(name, place[: place.rfind("/") + 1] if is_table(place) else place)
        for item in found.objects:
            uri = f"{bucket.uri}/{item.key}"
            try:
                if is_table(item.key):
                    yield from self._s3_table(bucket, uri, item)
                else:
                    address = Address(checked_length(uri), item.size_bytes, item.modified)
                    yield _line(address, etag=item.etag)
            except (UsageError, ObjectArchived) as error:
                self.problems.add(str(error))

    def _s3_table(self, store: Store, uri: str, item: ObjectInfo) -> Iterator[ManifestLine]:
        with tempfile.TemporaryFile() as file:
            download(store, item.key, file, piece_bytes=_RANGE_BYTES)
            yield from self._table(uri, file, uri[: uri.rfind("/") + 1]).clips()

    def _table(self, name: str, file: IO[bytes], place: str) -> Table:
        rows = Rows(
            Addresses(place),
            self.variants,
            columns=self.columns,
            note=lambda text: self.problems.note(f"{name}: {text}"),
        )
        return Table(
            name=name,
            file=file,
            rows=rows,
            problems=self.problems,
            memory_bytes=self.settings.manifest_memory_bytes,
        )


def _line(found: Address, *, etag: str | None = None) -> ManifestLine:
    return ManifestLine(
        clip_uuid=keys.clip_uuid(found.source),
        source=found.source,
        num_bytes=found.num_bytes,
        etag=etag,
        mtime=None if etag else found.mtime,
    )
