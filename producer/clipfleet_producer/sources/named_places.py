"""The places that a command names, which its clips may be copied from (`clipfleet.sources`)."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice

from clipfleet.records import ManifestLine
from clipfleet.sources import AllowedSources, file_uri
from clipfleet_producer.sources.problems import Problems
from clipfleet_producer.sources.spellings import one_spelling

# A list of files may be without end, and every worker reads the places.
MOST_PLACES = 1000


class NamedPlaces:
    """Folders, files, prefixes and addresses, in the order they are named; the first thousand.

    Links of paths are followed, and what is no place is left out, once somebody asks: most runs
    copy nothing.
    """

    def __init__(self) -> None:
        self._named: dict[str, None] = {}  # whole paths and URIs
        self._places: dict[str, None] = {}
        self._allowed = AllowedSources(())
        self._looked_at = 0

    def __iter__(self) -> Iterator[str]:
        """Their URIs."""
        self._look()
        return iter(self._places)

    def covers(self, source: str) -> bool:
        """Whether a clip's URI lies in one of them."""
        self._look()
        return self._allowed.covers(source)

    def add(self, place: str) -> None:
        """Add a URI; one that is no place, such as with `..` in it, covers nothing."""
        if len(self._named) < MOST_PLACES:
            self._named[place] = None

    def add_path(self, path: str) -> None:
        """Add a file or a folder; an empty path is the working folder."""
        if len(self._named) < MOST_PLACES:
            self._named[os.path.abspath(path)] = None  # noqa: PTH100

    def add_s3(self, bucket: str, place: str) -> None:
        """Add an object, or all below a folder: empty, or with its slash."""
        uri = f"s3://{bucket}/{place}"
        # The slash means something behind an empty part alone: `a//` is another folder than `a/`.
        self.add(uri if place and uri.endswith("//") else uri.removesuffix("/"))

    def _look(self) -> None:
        for place in islice(self._named, self._looked_at, None):
            self._looked_at += 1
            if place.startswith("/"):
                place = file_uri(one_spelling(os.path.realpath(place)))
            with suppress(ValueError):
                self._allowed.add(place)
                self._places[place] = None


def note_not_uploaded(
    clips: Iterable[ManifestLine], allowed: AllowedSources | NamedPlaces, problems: Problems
) -> Iterator[ManifestLine]:
    """The clips; each that is outside of what is `allowed` once all were found is a problem."""
    outside: dict[str, None] = {}
    for line in clips:
        if len(outside) < MOST_PLACES and not allowed.covers(line.source):
            outside[line.source] = None
        yield line
    for source in outside:
        if not allowed.covers(source):
            problems.add(
                f"{source}: not copied to clips/, for it is outside of what was named; give its "
                "place in the setting allowed_sources (CLIPFLEET_ALLOWED_SOURCES)"
            )
