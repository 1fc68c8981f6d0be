"""A folder as the store: each object is a file under the root."""

import errno
import glob
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clipfleet.errors import (
    ObjectMissing,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from clipfleet.store.base import PROBE, Data, ObjectInfo, Store
from clipfleet.store.object_key import TEMP_FOLDER, KeyRefused, check_key, check_prefix

_STALE_TEMP_AGE_S = 3600
SCRATCH_EXPIRES_S = 7 * 24 * 3600
_PLACE_TRIES = 100

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}
_NAME_TAKEN = {errno.EEXIST, errno.EISDIR, errno.ENOTDIR}
_NOT_THERE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class FolderStore(Store):
    """Objects are files under `root`, which `prepare` makes.

    Works on a shared file system too, as long as it has hard links (put-if-absent is `link`).
    A key and a longer key below it (`a` and `a/b`) cannot both be objects here.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._temp_folder = self._root / TEMP_FOLDER
        self.uri = str(self._root)

    def prepare(self) -> None:
        with _named_errors(self._root):
            self._root.mkdir(parents=True, exist_ok=True)
            self._temp_folder.mkdir(exist_ok=True)
            self._clear_stale_temps()
            self._expire_scratch()
        self.put(PROBE, b"")
        self.delete_prefix(PROBE)

    def put(
        self,
        key: str,
        data: Data,
        *,
        content_type: str = "application/octet-stream",
        if_absent: bool = False,
    ) -> bool:
        path = self._path(key)
        temp = self._temp_folder / f"{os.getpid()}-{uuid.uuid4().hex}"
        with _named_errors(path):
            if if_absent and path.is_file():
                return False
            self._make_temp_folder()
            try:
                with temp.open("xb") as file:
                    file.writelines(data if isinstance(data, tuple) else (data,))
                    file.flush()
                    os.fsync(file.fileno())
                return self._place(temp, path, if_absent=if_absent)
            finally:
                temp.unlink(missing_ok=True)

    def get(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        if start < 0 or (length is not None and length < 0):
            raise ValueError(f"start {start} and length {length} must not be negative")
        path = self._path(key)
        with _named_errors(path), _missing(path), path.open("rb") as file:
            file.seek(start)
            return file.read() if length is None else file.read(length)

    def stat(self, key: str) -> ObjectInfo:
        path = self._path(key)
        with _named_errors(path), _missing(path):
            status = path.stat()
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError
        return ObjectInfo(key=key, size_bytes=status.st_size)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        check_prefix(prefix)
        folder, _, name_start = prefix.rpartition("/")
        with _named_errors(self._root / folder):
            if not self._root.is_dir():
                raise ObjectMissing(_root_missing(self._root))
            yield from self._walk(folder, name_start)

    def folders(self, prefix: str) -> set[str]:
        check_prefix(prefix)
        with _named_errors(self._root / prefix):
            return {e.name for e in self._entries(prefix.rstrip("/"), "") if e.is_dir()}

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _named_errors(path):
            try:
                path.unlink()
            except _NOT_THERE:
                return

    def delete_prefix(self, prefix: str) -> int:
        """Remove every object whose key starts with `prefix`, and the folders that this empties."""
        check_prefix(prefix)
        folder, _, name_start = prefix.rpartition("/")
        removed = 0
        with _named_errors(self._root / folder):
            # Some file systems skip entries when a folder changes while it is read.
            while found := self._remove(folder, name_start):
                removed += found
            self._remove_empty_upwards(self._root / folder)
        return removed

    def presigned_get(self, key: str, *, expires_s: int = 3600) -> str:
        return self._path(key).as_uri()

    def _path(self, key: str) -> Path:
        check_key(key)
        return self._root / key

    def _make_temp_folder(self) -> None:
        # The root itself is not made: where it is missing, a disk may not be mounted.
        try:
            self._temp_folder.mkdir(exist_ok=True)
        except FileNotFoundError as error:
            raise ObjectMissing(_root_missing(self._root)) from error

    def _clear_stale_temps(self) -> None:
        """Remove what writers that died left behind. A live one touches its file all the time."""
        oldest = time.time() - _STALE_TEMP_AGE_S
        with os.scandir(self._temp_folder) as entries:
            for entry in entries:
                try:
                    if entry.stat().st_mtime < oldest:
                        Path(entry).unlink()
                except FileNotFoundError:
                    continue

    def _expire_scratch(self) -> None:
        """Remove clips' scratch that nothing was written to for days, as S3's lifecycle does."""
        oldest = time.time() - SCRATCH_EXPIRES_S
        # Not Path.glob, which fails where another empties the folder meanwhile.
        for folder in glob.iglob(f"{glob.escape(str(self._root))}/scratch/*/*"):  # noqa: PTH207
            try:
                if Path(folder).stat().st_mtime < oldest:
                    shutil.rmtree(folder, ignore_errors=True)
            except FileNotFoundError:
                continue

    def _place(self, temp: Path, path: Path, *, if_absent: bool) -> bool:
        """Give the finished file its name, again if `delete_prefix` takes the folder away."""
        for _ in range(_PLACE_TRIES):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except FileNotFoundError:
                continue
            except FileExistsError:
                if path.parent.is_file():
                    raise
                continue
            try:
                if if_absent:
                    path.hardlink_to(temp)
                else:
                    temp.replace(path)
            except FileNotFoundError:
                continue
            except FileExistsError:
                if path.is_dir():
                    raise
                return False
            return True
        raise StoreUnavailable(
            f"{path}: its folder keeps vanishing; see what removes it, try again"
        )

    def _walk(self, folder: str, name_start: str = "") -> Iterator[ObjectInfo]:
        for entry in self._entries(folder, name_start):
            key = _joined(folder, entry.name)
            try:
                if entry.is_dir():
                    yield from self._walk(key)
                elif entry.is_file():
                    yield ObjectInfo(key=key, size_bytes=entry.stat().st_size)
            except FileNotFoundError:  # deleted since the folder was read
                continue

    def _remove(self, folder: str, name_start: str = "") -> int:
        removed = 0
        for entry in self._entries(folder, name_start):
            if entry.is_dir():
                removed += self._remove(_joined(folder, entry.name))
                _remove_if_empty(Path(entry))
                continue
            try:
                Path(entry).unlink()
            except FileNotFoundError:
                continue
            removed += 1
        return removed

    def _entries(self, folder: str, name_start: str) -> "Iterator[os.DirEntry[str]]":
        try:
            scan = os.scandir(self._root / folder)
        except (FileNotFoundError, NotADirectoryError):
            return
        with scan:
            for entry in scan:
                if entry.name.startswith(name_start) and (folder or entry.name != TEMP_FOLDER):
                    yield entry

    def _remove_empty_upwards(self, folder: Path) -> None:
        while folder != self._root and _remove_if_empty(folder):
            folder = folder.parent


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _remove_if_empty(folder: Path) -> bool:
    """Whether the folder is gone now."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # not empty, or another's to keep: an empty folder does no harm
        return False
    return True


def _root_missing(root: Path) -> str:
    return f"{root}: this folder does not exist; prepare the store, or mount its disk"


@contextmanager
def _missing(path: Path) -> Iterator[None]:
    try:
        yield
    except _NOT_THERE as error:
        raise ObjectMissing(f"{path}: there is no object under this key") from error


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Name what the file system says, with the path and the remedy."""
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
                f"{path}: a file is where a folder must be, or the other way round; move it away"
            ) from error
        if error.errno == errno.ENAMETOOLONG:
            raise KeyRefused(f"{path}: longer than the file system takes; shorten it") from error
        raise StoreUnavailable(
            f"{path}: {error.strerror}; check the disk, then try again"
        ) from error
