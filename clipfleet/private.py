"""Folders and files that another user of this machine could have put something else in place of."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from clipfleet.errors import UsageError


def make_private(folder: Path, *, below: Path) -> None:
    """Make the folder, and those between it and `below`, so that only this user may enter.

    `below` itself is made where it is missing. Raises `UsageError` where one of the others is there
    and is a link, a file, another user's, or open to others.
    """
    below.mkdir(parents=True, exist_ok=True)
    path = below
    for name in folder.relative_to(below).parts:
        path = path / name
        try:
            path.mkdir(mode=0o700, exist_ok=True)
            found = path.lstat()
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror or error}; move it away") from None
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
        if not ours or found.st_mode & 0o077:
            raise UsageError(
                f"{path} is not a folder that is this user's alone (mode 0700); move it away"
            )


def append_to(log: Path) -> BinaryIO:
    """A log, opened for appending; a new one is readable by this user alone.

    Raises `UsageError` where a link, symbolic or hard, or anything but a file has its name.
    """
    try:
        file = open(log, "ab", opener=_open_own)  # noqa: SIM115
    except OSError as error:
        raise UsageError(f"{log} cannot be written: {error.strerror}; move it away") from None
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        file.close()
        raise UsageError(f"{log} is a link or no file; move it away")
    return file


def _open_own(path: str, flags: int) -> int:
    # A pipe that nobody reads would be waited for.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)


def no_link(path: str, flags: int) -> int:
    """An opener for `open` of files whose names others know beforehand: a link is an `OSError`."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)
