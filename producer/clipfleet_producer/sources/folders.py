"""The files below a folder: in order, hidden ones passed over, links to folders followed once."""

import os
from collections.abc import Iterator
from pathlib import Path

from clipfleet.files import open_file
from clipfleet_producer.sources.first_bytes import LOOKED_AT_BYTES
from clipfleet_producer.sources.passed_over import DEAD_LINKS, LINKS, SPECIAL
from clipfleet_producer.sources.problems import Problems
from clipfleet_producer.sources.selection import Selection


def walk(
    folder: Path, problems: Problems, selection: Selection, *, follow_links: bool = True
) -> Iterator[str]:
    """The paths of the files below `folder` that `selection` takes by name.

    Each folder that cannot be read is a problem. Links that are not followed, and what is no
    regular file, are counted as passed over.
    """

    def note(error: OSError) -> None:
        problems.add(f"{error.filename}: {error.strerror}")

    top = str(folder)
    seen: set[str] = set()
    for root, folders, files in os.walk(top, followlinks=follow_links, onerror=note):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        below = os.path.relpath(root, top)
        start = "" if below == "." else f"{below}/"
        folders[:] = sorted(name for name in folders if selection.enters(start + name))
        if not follow_links:
            linked = sum(os.path.islink(os.path.join(root, name)) for name in folders)  # noqa: PTH114, PTH118
            selection.passed.add(LINKS, linked)
        for name in sorted(files):
            if selection.takes(start + name):
                path = os.path.join(root, name)  # noqa: PTH118 - a folder may hold millions
                if not follow_links and os.path.islink(path):  # noqa: PTH114
                    selection.passed.add(LINKS)
                elif os.path.isfile(path):  # noqa: PTH113
                    yield path
                else:
                    dead = os.path.islink(path)  # noqa: PTH114
                    selection.passed.add(DEAD_LINKS if dead else SPECIAL)


def first_bytes(path: str) -> bytes | None:
    """What the file begins with; None where that cannot be read."""
    try:
        with open_file(Path(path)) as file:
            return file.read(LOOKED_AT_BYTES)
    except OSError:
        return None
