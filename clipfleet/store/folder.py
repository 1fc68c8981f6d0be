"""A folder as the store: each object is a file under the root."""

import fcntl
import hashlib
import os
import stat
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Unpack
from urllib.parse import unquote

from clipfleet.errors import ObjectChanged, ObjectMissing, StoreUnavailable, UsageError
from clipfleet.keys import SCRATCH
from clipfleet.store import tree
from clipfleet.store.base import PROBE, SCRATCH_DAYS, Access, Data, ObjectInfo, Store
from clipfleet.store.folder_errors import NOT_THERE, missing_object, translate_errors
from clipfleet.store.object_key import TEMP_FOLDER, check_key, check_prefix

_STALE_TEMP_AGE_S = 3600
_PLACE_TRIES = 100
_LOCKED_S, _LOCKS = 30.0, "locks"


class FolderStore(Store):
    """Objects are files under `root`, which `prepare` makes.

    Works on a shared file system too, as long as it has hard links (put-if-absent is `link`).
    A key and a longer key below it (`a` and `a/b`) cannot both be objects here. Links below the
    root are followed nowhere: they are no objects, and no folders of any (`tree`).
    """

    is_remote = False
    frame_encoding = "raw"

    def __init__(self, uri: str, **access: Unpack[Access]) -> None:
        self._root = _path(uri).absolute()
        self.uri = str(self._root)

    def prepare(self) -> None:
        with translate_errors(self._root):
            self._root.mkdir(parents=True, exist_ok=True)
            with tree.opened(self.uri, [TEMP_FOLDER], make=True) as temps:
                _clear_stale_temps(temps)
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
        temp = f"{os.getpid()}-{uuid.uuid4().hex}"
        with translate_errors(path):
            if if_absent and self._is_there(key):
                return False
            with self._temp_folder() as temps:
                try:
                    with open(temp, "xb", opener=_within(temps)) as file:
                        file.writelines(data if isinstance(data, tuple) else (data,))
                        file.flush()
                        os.fsync(file.fileno())
                    return self._place(temps, temp, key, if_absent=if_absent)
                finally:
                    with suppress(FileNotFoundError):
                        os.unlink(temp, dir_fd=temps)

    def get(
        self,
        key: str,
        *,
        start: int = 0,
        length: int | None = None,
        if_match: str | None = None,
    ) -> bytes:
        if start < 0 or (length is not None and length < 0):
            raise ValueError(f"start {start} and length {length} must not be negative")
        path = self._path(key)
        *folders, name = key.split("/")
        with (
            translate_errors(path),
            missing_object(path),
            tree.opened(self.uri, folders) as at,
            open(tree.open_file(at, name), "rb") as file,  # noqa: PTH123
        ):
            if if_match is not None and _etag(os.fstat(file.fileno())) != if_match:
                raise ObjectChanged(f"{path}: it was replaced while it was read")
            file.seek(start)
            return file.read() if length is None else file.read(length)

    def get_version(self, key: str) -> tuple[bytes, str]:
        data = self.get(key)
        return data, hashlib.sha256(data).hexdigest()

    def put_if_match(
        self,
        key: str,
        data: Data,
        version: str,
        *,
        content_type: str = "application/octet-stream",
    ) -> bool:
        with self._locked(key):
            try:
                if self.get_version(key)[1] != version:
                    return False
            except ObjectMissing:
                return False
            return self.put(key, data, content_type=content_type)

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        """Alone among those who write over what they read; the lock goes with its process."""
        name = hashlib.sha256(key.encode()).hexdigest()[:2]  # few files, that are never removed
        path = self._root / TEMP_FOLDER / _LOCKS / name
        with (
            translate_errors(path),
            self._temp_folder(_LOCKS) as at,
            open(name, "ab", opener=_within(at)) as file,
        ):
            until = time.monotonic() + _LOCKED_S
            while not _lock(file):
                if time.monotonic() > until:
                    raise StoreUnavailable(f"{path} stays locked; see what holds it, try again")
                time.sleep(0.01)
            yield

    def stat(self, key: str) -> ObjectInfo:
        path = self._path(key)
        *folders, name = key.split("/")
        with translate_errors(path), missing_object(path), tree.opened(self.uri, folders) as at:
            return _info(key, tree.stat_file(at, name))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        check_prefix(prefix)
        *folders, name_start = prefix.split("/")
        with translate_errors(self._root.joinpath(*folders)):
            if not self._root.is_dir():
                raise ObjectMissing(_root_missing(self._root))
            with suppress(*NOT_THERE), tree.opened(self.uri, folders) as at:
                yield from _walk(at, folders, name_start)

    def folders(self, prefix: str) -> set[str]:
        check_prefix(prefix)
        *folders, _ = prefix.split("/")
        with (
            translate_errors(self._root / prefix),
            suppress(*NOT_THERE),
            tree.opened(self.uri, folders) as at,
        ):
            return {e.name for e in tree.entries(at) if e.is_dir(follow_symlinks=False)}
        return set()

    def delete(self, key: str) -> None:
        *folders, name = key.split("/")
        with (
            translate_errors(self._path(key)),
            suppress(*NOT_THERE),
            tree.opened(self.uri, folders) as at,
        ):
            os.unlink(name, dir_fd=at)

    def delete_prefix(self, prefix: str) -> int:
        """Remove every object whose key starts with `prefix`, and the folders that this empties."""
        check_prefix(prefix)
        *folders, name_start = prefix.split("/")
        removed = 0
        with translate_errors(self._root.joinpath(*folders)):
            with suppress(*NOT_THERE), tree.opened(self.uri, folders) as at:
                # Some file systems skip entries when a folder changes while it is read.
                while found := tree.remove(at, name_start, but="" if folders else TEMP_FOLDER):
                    removed += found
            # Also where there was none: who removed it may have died before it came to those above.
            self._remove_empty_upwards(folders)
        return removed

    def presigned_get(self, key: str, *, expires_s: int = 3600) -> str:
        return self._path(key).as_uri()

    def _path(self, key: str) -> Path:
        check_key(key)
        return self._root / key

    def _is_there(self, key: str) -> bool:
        *folders, name = key.split("/")
        try:
            with tree.opened(self.uri, folders) as at:
                tree.stat_file(at, name)
        except NOT_THERE:
            return False
        return True

    @contextmanager
    def _temp_folder(self, *below: str) -> Iterator[int]:
        with ExitStack() as stack:
            # The root itself is not made: where it is missing, a disk may not be mounted.
            try:
                temps = stack.enter_context(tree.opened(self.uri, [TEMP_FOLDER, *below], make=True))
            except FileNotFoundError as error:
                raise ObjectMissing(_root_missing(self._root)) from error
            yield temps

    def _expire_scratch(self) -> None:
        """Remove clips' scratch that nothing was written to for days, as S3's lifecycle does."""
        oldest = time.time() - SCRATCH_DAYS * 24 * 3600
        with suppress(*NOT_THERE), tree.opened(self.uri, [SCRATCH.rstrip("/")]) as scratch:
            _expire(scratch, oldest)

    def _place(self, temps: int, temp: str, key: str, *, if_absent: bool) -> bool:
        """Give the finished file its name, again if `delete_prefix` takes the folder away."""
        *folders, name = key.split("/")
        sync = _outlives_power(key)
        for _ in range(_PLACE_TRIES):
            try:
                with tree.opened(self.uri, folders, make=True, sync=sync) as at:
                    if if_absent:
                        if not _link(temp, temps, name, at):
                            return False
                    else:
                        os.replace(temp, name, src_dir_fd=temps, dst_dir_fd=at)
                    if sync:
                        tree.sync_folder(at)
                    return True
            except FileNotFoundError:
                continue
        raise StoreUnavailable(
            f"{self._root / key}: its folder keeps vanishing; see what removes it, try again"
        )

    def _remove_empty_upwards(self, folders: Sequence[str]) -> None:
        for depth in reversed(range(len(folders))):
            with suppress(*NOT_THERE), tree.opened(self.uri, [*folders[:depth]]) as at:
                if not tree.remove_if_empty(at, folders[depth]):
                    return


def _expire(at: int, oldest: float) -> None:
    """Remove the folders below that have no folders in them and did not change since `oldest`."""
    for entry in [*tree.entries(at)]:
        with suppress(FileNotFoundError), tree.below(at, entry.name) as folder:
            if folder is None:
                continue
            if any(inner.is_dir(follow_symlinks=False) for inner in tree.entries(folder)):
                _expire(folder, oldest)
            elif entry.stat(follow_symlinks=False).st_mtime < oldest:
                tree.remove(at, entry.name)


def _lock(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _outlives_power(key: str) -> bool:
    """Whether the object's name must be on disk before it counts as written.

    Without, a loss of power may take back a record or a run's head that others already saw; of
    what lies in scratch, a clip that misses it is done again. A folder's sync costs as much as a
    file's, and most of what is written is scratch.
    """
    return not key.startswith(SCRATCH)


def _link(temp: str, temps: int, name: str, at: int) -> bool:
    """Link the finished file unless there is one of that name; whether it was."""
    try:
        os.link(temp, name, src_dir_fd=temps, dst_dir_fd=at, follow_symlinks=False)
    except FileExistsError:
        found = os.stat(name, dir_fd=at, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            raise
        if stat.S_ISREG(found.st_mode):
            return False
        os.unlink(name, dir_fd=at)  # a link or a pipe is no object, and in the way of one
        return _link(temp, temps, name, at)
    return True


def _clear_stale_temps(temps: int) -> None:
    """Remove what writers that died left behind. A live one touches its file all the time."""
    oldest = time.time() - _STALE_TEMP_AGE_S
    for entry in tree.entries(temps):
        if entry.name == _LOCKS:
            continue
        with suppress(FileNotFoundError):
            if entry.stat(follow_symlinks=False).st_mtime < oldest:
                os.unlink(entry.name, dir_fd=temps)


def _walk(at: int, folders: Sequence[str], name_start: str = "") -> Iterator[ObjectInfo]:
    for entry in tree.entries(at):
        if not entry.name.startswith(name_start) or (not folders and entry.name == TEMP_FOLDER):
            continue
        with suppress(FileNotFoundError):  # deleted since the folder was read
            if entry.is_dir(follow_symlinks=False):
                with tree.below(at, entry.name) as folder:
                    if folder is not None:
                        yield from _walk(folder, [*folders, entry.name])
            elif entry.is_file(follow_symlinks=False):
                key = "/".join((*folders, entry.name))
                yield _info(key, entry.stat(follow_symlinks=False))


def _info(key: str, found: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key=key, size_bytes=found.st_size, etag=_etag(found))


def _etag(found: os.stat_result) -> str:
    return f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"


def _within(at: int) -> Callable[[str, int], int]:
    return lambda name, flags: os.open(name, flags, 0o666, dir_fd=at)


def _root_missing(root: Path) -> str:
    return f"{root}: this folder does not exist; prepare the store, or mount its disk"


def _path(uri: str) -> Path:
    """The folder that a path or a `file:` URL names. Raises `UsageError`."""
    if not uri.lower().startswith("file:"):
        return Path(uri).expanduser()
    path = uri[len("file:") :]
    if path.startswith("//"):
        host, slash, rest = path[2:].partition("/")
        if host not in ("", "localhost"):
            raise UsageError(
                f"{uri} names the host {host}; write file:///folder for a local folder"
            )
        path = slash + rest
    path = unquote(path)
    if not path.startswith("/") or "\0" in path:
        raise UsageError(f"{uri} is not a folder's URL; write file:///folder")
    return Path(path)
