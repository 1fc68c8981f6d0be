"""The files below a folder: in order, hidden ones passed over, links to folders followed once."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from producer.globs import Glob
from producer.problems import Problems

ANYTHING = Glob("**")


def walk(
    folder: Path,
    problems: Problems,
    *,
    wanted: Callable[[str], bool],
    glob: Glob = ANYTHING,
    follow_links: bool = True,
) -> Iterator[str]:
    """The paths of files whose names are `wanted`, and whose paths below `folder` fit `glob`.

    Folders that cannot be read are passed over, with a problem each; links, without one, unless
    they are followed.
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
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and glob.leads_to(start + name)
        )
        for name in sorted(files):
            if wanted(name) and not name.startswith(".") and glob.matches(start + name):
                path = os.path.join(root, name)  # noqa: PTH118 - a folder may hold millions
                if not follow_links and os.path.islink(path):  # noqa: PTH114
                    continue
                if os.path.isfile(path):  # noqa: PTH113
                    yield path
