"""The places that a command names, which its clips may be copied from (`clipfleet.sources`)."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from urllib.parse import quote_from_bytes

from clipfleet.records import ManifestLine
from clipfleet.sources import AllowedSources
from producer.globs import fixed_start
from producer.problems import Problems

# A list of files may be without end, and every worker reads the places.
MOST_PLACES = 1000


class NamedPlaces:
    """Folders, files, prefixes and addresses, in the order they are named; the first thousand."""

    def __init__(self) -> None:
        self._places: dict[str, None] = {}
        self.allowed = AllowedSources(())

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def add(self, place: str) -> None:
        """Add a URI; one that is no place, such as with `..` in it, covers nothing."""
        if len(self._places) < MOST_PLACES and place not in self._places:
            with suppress(ValueError):
                self.allowed.add(place)
                self._places[place] = None

    def add_path(self, path: str) -> None:
        """Add a file or a folder, by the path that it has with all links followed."""
        real = os.path.realpath(path or os.curdir)
        self.add(f"file://{quote_from_bytes(os.fsencode(real))}")

    def add_s3(self, bucket: str, key: str, *, whole: bool) -> None:
        """Add an object or a listing; `whole`: of a manifest or a pattern, what it lies in."""
        place = fixed_start(key).rpartition("/")[0] if whole else key.rstrip("/")
        self.add(f"s3://{bucket}/{place}".rstrip("/"))


def note_not_uploaded(
    clips: Iterable[ManifestLine], allowed: AllowedSources, problems: Problems
) -> Iterator[ManifestLine]:
    """The clips; each that lies outside of what is `allowed` at their end is a problem."""
    outside: dict[str, None] = {}
    for line in clips:
        if len(outside) < MOST_PLACES and not allowed.covers(line.source):
            outside[line.source] = None
        yield line
    for source in outside:
        if not allowed.covers(source):
            problems.add(
                f"{source}: not copied to clips/, for it lies outside of what was named; give its "
                "place in the setting allowed_sources (CLIPFLEET_ALLOWED_SOURCES)"
            )
