"""What the file system says, as errors of a store."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clipfleet.errors import ObjectMissing, StoreDenied, StoreError, StoreFull, StoreUnavailable
from clipfleet.store.object_key import KeyRefused

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}
_NAME_TAKEN = {errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ELOOP}
NOT_THERE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


@contextmanager
def missing_object(path: Path) -> Iterator[None]:
    """That there is no such file, as `ObjectMissing`."""
    try:
        yield
    except NOT_THERE as error:
        raise ObjectMissing(f"{path}: there is no object under this key") from error


@contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """What the file system says, as an error of ours with the path and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise StoreFull(
                f"{path}: no space left ({error.strerror}); free some, or raise the quota"
            ) from error
        if error.errno in _NOT_ALLOWED:
            raise StoreDenied(
                f"{path}: not allowed ({error.strerror}); make the folder writable for this user"
            ) from error
        if error.errno in _NAME_TAKEN:
            raise StoreError(
                f"{path}: a file is where a folder must be, or the other way round (links below "
                "the root are not followed); move it away"
            ) from error
        if error.errno == errno.ENAMETOOLONG:
            raise KeyRefused(f"{path}: longer than the file system takes; shorten it") from error
        raise StoreUnavailable(
            f"{path}: {error.strerror}; check the disk, then try again"
        ) from error
