"""Folders and files below a root, without following a link anywhere on the way.

Who may write in a store could otherwise plant a link there, and have others delete, read or write
what lies elsewhere. Each folder is opened by its name within the one above it, as
`openat(O_NOFOLLOW)` does; the root itself may be a link.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
# A file system that cannot sync a folder says so: some of those over a network.
_CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP}


@contextmanager
def opened(root: str, parts: list[str], *, make: bool = False, sync: bool = False) -> Iterator[int]:
    """A descriptor of the folder `parts` below `root`. Raises `OSError`; ENOTDIR at a link.

    With `make`, folders that are missing are made (never the root); with `sync`, so that they
    outlive a loss of power.
    """
    at = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in parts:
            below = _step(at, name, make=make, sync=sync)
            os.close(at)
            at = below
        yield at
    finally:
        os.close(at)


def _step(at: int, name: str, *, make: bool, sync: bool) -> int:
    try:
        return _folder(at, name)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=at)
        if sync:
            sync_folder(at)
    return _folder(at, name)


def _folder(at: int, name: str) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=at)
    except OSError as error:
        if error.errno == errno.ELOOP:  # what Linux calls ENOTDIR
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name) from error
        raise


def sync_folder(at: int) -> None:
    """Have what the folder lists outlive a loss of power, where its file system can."""
    try:
        os.fsync(at)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def open_file(at: int, name: str) -> int:
    """A descriptor to read the file. Raises `FileNotFoundError` for whatever is no file."""
    try:
        # A pipe would be waited for.
        found = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name) from error
        raise
    if stat.S_ISREG(os.fstat(found).st_mode):
        return found
    os.close(found)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)


def stat_file(at: int, name: str) -> os.stat_result:
    """The file's status. Raises `FileNotFoundError` for whatever is no file."""
    found = os.stat(name, dir_fd=at, follow_symlinks=False)
    if not stat.S_ISREG(found.st_mode):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    return found


def entries(at: int) -> "Iterator[os.DirEntry[str]]":
    """What the folder lists; nothing where it is gone by now. `at` stays open meanwhile."""
    try:
        scan = os.scandir(at)
    except FileNotFoundError:
        return
    with scan:
        yield from scan


@contextmanager
def below(at: int, name: str) -> Iterator[int | None]:
    """A descriptor of a folder within the folder; None where it is gone, or no folder by now."""
    try:
        found = _folder(at, name)
    except (FileNotFoundError, NotADirectoryError):
        yield None
        return
    try:
        yield found
    finally:
        os.close(found)


def remove(at: int, name_start: str = "", *, but: str = "") -> int:
    """Remove all whose names start so, folders with what is in them; returns how many files.

    A link is removed, and what it leads to is not. An entry named `but` stays.
    """
    removed = 0
    for entry in entries(at):
        if not entry.name.startswith(name_start) or entry.name == but:
            continue
        if entry.is_dir(follow_symlinks=False):
            with below(at, entry.name) as folder:
                removed += remove(folder) if folder is not None else 0
            remove_if_empty(at, entry.name)
            continue
        with suppress(FileNotFoundError):
            os.unlink(entry.name, dir_fd=at)
            removed += 1
    return removed


def remove_if_empty(at: int, name: str) -> bool:
    """Whether the folder is gone now."""
    try:
        os.rmdir(name, dir_fd=at)
    except FileNotFoundError:
        return True
    except OSError:  # not empty, or another's to keep: an empty folder does no harm
        return False
    return True
