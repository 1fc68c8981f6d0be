"""What a folder adds to the contract of a store."""

import contextlib
import errno
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipfleet.errors import StoreDenied, StoreError, StoreFull
from clipfleet.store import Store, open_store
from clipfleet.store.base import SCRATCH_DAYS
from tests.integration.test_stores import MIB, keys, put_many
from tests.support.records import CLIP


def test_a_folder_is_listed_while_it_is_read(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_many(folder_store, [f"metas/{n}/x" for n in range(50)])
    opened = []
    scandir = os.scandir

    def counted(path: Path) -> "os._ScandirIterator[str]":
        opened.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counted)
    listing = folder_store.list("")
    next(listing)

    assert len(opened) == 3  # the root, metas/, and the first of the fifty


def test_deleting_a_prefix_removes_the_folders_it_empties(folder_store: Store) -> None:
    put_many(folder_store, ["scratch/a/b/1", "scratch/a/c/2", "metas/x"])
    folder_store.delete("scratch/a/c/2")

    folder_store.delete_prefix("scratch/a/")

    assert sorted(path.name for path in Path(folder_store.uri).iterdir()) == [".tmp", "metas"]


def test_a_finished_write_leaves_no_temporary_file(folder_store: Store) -> None:
    folder_store.put("a", b"1")
    folder_store.put("a", b"2", if_absent=True)
    folder_store.put("b", b"3", if_absent=True)

    assert list(Path(folder_store.uri, ".tmp").iterdir()) == []


def test_preparing_clears_what_dead_writers_left_over_an_hour_ago(folder_store: Store) -> None:
    temps = Path(folder_store.uri, ".tmp")
    (temps / "old").write_bytes(b"half a pack")
    (temps / "new").write_bytes(b"half a pack")
    os.utime(temps / "old", (time.time() - 3700,) * 2)

    folder_store.prepare()

    assert [path.name for path in temps.iterdir()] == ["new"]


def test_unfinished_writes_are_not_listed(folder_store: Store) -> None:
    Path(folder_store.uri, ".tmp", "unfinished").write_bytes(b"half a pack")

    assert keys(folder_store, "") == []
    assert folder_store.delete_prefix("") == 0


@pytest.mark.parametrize("if_absent", [False, True])
@pytest.mark.parametrize("key", ["metas/v0", "metas/v0/a.json/below"])
def test_an_object_where_a_folder_is_or_the_reverse_is_refused(
    folder_store: Store, key: str, if_absent: bool
) -> None:
    folder_store.put("metas/v0/a.json", b"x")

    with pytest.raises(StoreError, match="or the other way round"):
        folder_store.put(key, b"x", if_absent=if_absent)


def test_a_key_too_long_for_the_file_system_is_refused(folder_store: Store) -> None:
    with pytest.raises(ValueError, match="shorten it"):
        folder_store.put("metas/" + "x" * 300, b"x")


def test_a_file_given_as_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"a file")

    with pytest.raises(StoreError, match=r"out: a file is where a folder must be"):
        open_store(str(tmp_path / "out")).prepare()


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[bool]:
    """A tmpfs on `folder`; False where this user or container may not mount."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def refuse_to_write(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fsync(fd: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)


def test_a_full_disk_is_said_to_be_full_and_keeps_the_old_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(str(tmp_path))
    with mounted(tmp_path, "size=1m") as really:
        store.prepare()
        store.put("metas/a", b"old")
        if not really:
            refuse_to_write(monkeypatch, errno.ENOSPC)

        with pytest.raises(StoreFull, match=r"metas/a: no space left .*; free some"):
            store.put("metas/a", b"x" * 2 * MIB)

        assert store.get("metas/a") == b"old"
        assert list((tmp_path / ".tmp").iterdir()) == []


def test_a_read_only_folder_is_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mounted(tmp_path, "ro") as really:
        if not really:
            refuse_to_write(monkeypatch, errno.EROFS)

        with pytest.raises(StoreDenied, match="make the folder writable"):
            open_store(str(tmp_path)).prepare()


def test_a_folder_that_who_emptied_it_did_not_come_to_goes_with_the_next_look(
    folder_store: Store, tmp_path: Path
) -> None:
    folder_store.put("scratch/clip/hash/plan.json", b"x")
    folder = next(tmp_path.rglob("plan.json")).parent
    shutil.rmtree(folder)  # and its own folder would be next

    folder_store.delete_prefix("scratch/clip/hash/")

    assert not folder.parent.exists()


def test_scratch_of_every_set_expires_and_what_was_written_to_since_stays(
    folder_store: Store,
) -> None:
    old = [f"scratch/{at}{CLIP}/{'0' * 16}/plan.json" for at in ("", "v2/")]
    fresh = [f"scratch/{at}{CLIP}/{'1' * 16}/plan.json" for at in ("", "v2/")]
    put_many(folder_store, [*old, *fresh])
    for key in old:
        long_ago = time.time() - SCRATCH_DAYS * 24 * 3600 - 60
        os.utime(Path(folder_store.uri, key).parent, (long_ago, long_ago))
    os.utime(Path(folder_store.uri, "scratch", "v2", CLIP), (0, 0))  # no hash was begun since

    folder_store.prepare()

    assert sorted(item.key for item in folder_store.list("scratch/")) == sorted(fresh)
