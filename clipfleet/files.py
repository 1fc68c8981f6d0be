"""Opening files whose names come from others."""

import errno
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

_NO_FILE = {errno.ENXIO, errno.ENODEV}  # what opening a socket or a device raises


class NotAFile(OSError):
    """The path is a pipe, a device or a socket."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EINVAL, "it is a pipe, a device or a socket, not a file", str(path))


def mtime(file: BinaryIO) -> str:
    """When an open file was last changed: ISO 8601, UTC."""
    return mtime_of(os.fstat(file.fileno()))


def mtime_of(found: os.stat_result) -> str:
    """When a file of this status was last changed: ISO 8601, UTC."""
    return datetime.fromtimestamp(found.st_mtime, UTC).isoformat()


def open_file(path: Path) -> BinaryIO:
    """The file, open for reading. Never waits, as opening a pipe would, for a writer.

    It is checked once it is open, since the path may have been replaced meanwhile. Raises
    `NotAFile`, and what `open` raises.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise NotAFile(path) from None
        raise
    try:
        mode = os.fstat(number).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise NotAFile(path)
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise
