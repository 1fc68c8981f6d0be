"""A folder store follows no link that somebody planted in it, and keeps what it wrote."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clipfleet.errors import ObjectChanged, ObjectMissing, StoreError
from clipfleet.store import Store, open_store
from tests.integration.test_stores import keys


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder outside the store with files in it."""
    folder = tmp_path / "elsewhere"
    (folder / "deep").mkdir(parents=True)
    (folder / "x.json").write_bytes(b"theirs")
    (folder / "deep" / "y").write_bytes(b"theirs")
    return folder


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def plant(store: Store, key: str, target: Path) -> Path:
    """A link in the store's folder, as whoever may write there can make one."""
    link = Path(store.uri, key)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)
    return link


def test_clearing_scratch_removes_a_link_and_not_what_it_leads_to(
    folder_store: Store, elsewhere: Path
) -> None:
    link = plant(folder_store, "scratch/c/h/frames", elsewhere)
    folder_store.put("scratch/c/h/part", b"x")

    assert folder_store.delete_prefix("scratch/c/h/") == 2

    assert not link.is_symlink()
    assert files(elsewhere) == ["deep/y", "x.json"]


@pytest.mark.parametrize("key", ["scratch", "scratch/c", "scratch/c/h"])
def test_a_folder_that_is_a_link_is_not_cleared(
    folder_store: Store, elsewhere: Path, key: str
) -> None:
    plant(folder_store, key, elsewhere)

    folder_store.delete_prefix("scratch/c/h/")

    assert files(elsewhere) == ["deep/y", "x.json"]


@pytest.mark.parametrize("key", ["scratch", "scratch/c", "scratch/c/h"])
def test_scratch_that_expires_is_cleared_without_following_links(
    folder_store: Store, elsewhere: Path, key: str
) -> None:
    plant(folder_store, key, elsewhere)
    (elsewhere / "h").mkdir()
    (elsewhere / "h" / "z").write_bytes(b"theirs")
    for folder in (elsewhere, elsewhere / "deep", elsewhere / "h"):
        os.utime(folder, (time.time() - 30 * 24 * 3600,) * 2)

    with_link = open_store(folder_store.uri)
    if key == "scratch":
        with pytest.raises(StoreError, match="links below the root are not followed"):
            with_link.prepare()
    else:
        with_link.prepare()

    assert files(elsewhere) == ["deep/y", "h/z", "x.json"]


@pytest.mark.parametrize("if_absent", [False, True])
@pytest.mark.parametrize("key", ["metas", "metas/v0", ".tmp"])
def test_nothing_is_written_through_a_link(
    folder_store: Store, elsewhere: Path, key: str, if_absent: bool
) -> None:
    if key == ".tmp":
        Path(folder_store.uri, key).rmdir()
    plant(folder_store, key, elsewhere)

    with pytest.raises(StoreError, match="links below the root are not followed"):
        folder_store.put("metas/v0/x.json", b"ours", if_absent=if_absent)

    assert files(elsewhere) == ["deep/y", "x.json"]


@pytest.mark.parametrize("if_absent", [False, True])
def test_a_link_under_an_objects_name_gives_way_to_the_object(
    folder_store: Store, elsewhere: Path, if_absent: bool
) -> None:
    plant(folder_store, "metas/v0/x.json", elsewhere / "x.json")

    assert folder_store.put("metas/v0/x.json", b"ours", if_absent=if_absent)

    assert folder_store.get("metas/v0/x.json") == b"ours"
    assert (elsewhere / "x.json").read_bytes() == b"theirs"


READS: dict[str, Callable[[Store], object]] = {
    "get": lambda store: store.get("metas/v0/x.json"),
    "stat": lambda store: store.stat("metas/v0/x.json"),
}


@pytest.mark.parametrize("key", ["metas", "metas/v0", "metas/v0/x.json"])
@pytest.mark.parametrize("read", READS)
def test_nothing_is_read_or_listed_through_a_link(
    folder_store: Store, elsewhere: Path, read: str, key: str
) -> None:
    (elsewhere / "v0").mkdir()
    (elsewhere / "v0" / "x.json").write_bytes(b"theirs")
    plant(folder_store, key, elsewhere / "x.json" if key.endswith("x.json") else elsewhere)

    with pytest.raises(ObjectMissing):
        READS[read](folder_store)

    assert not folder_store.exists("metas/v0/x.json")
    assert keys(folder_store, "metas/") == []


def test_a_link_is_deleted_and_what_it_leads_to_stays(folder_store: Store, elsewhere: Path) -> None:
    link = plant(folder_store, "active/r1.json", elsewhere / "x.json")

    folder_store.delete("active/r1.json")

    assert not link.is_symlink()
    assert (elsewhere / "x.json").exists()


def test_a_pipe_under_an_objects_name_is_no_object_and_nobody_waits_for_it(
    folder_store: Store,
) -> None:
    Path(folder_store.uri, "active").mkdir()
    os.mkfifo(Path(folder_store.uri, "active", "r1.json"))

    with pytest.raises(ObjectMissing):
        folder_store.get("active/r1.json")

    assert keys(folder_store, "active/") == []


def test_stale_temporary_files_are_cleared_without_following_links(
    folder_store: Store, elsewhere: Path
) -> None:
    link = plant(folder_store, ".tmp/old", elsewhere / "x.json")
    long_ago = (time.time() - 7200,) * 2
    os.utime(link, long_ago, follow_symlinks=False)
    os.utime(elsewhere / "x.json", long_ago)

    folder_store.prepare()

    assert not link.is_symlink()
    assert (elsewhere / "x.json").exists()


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    store = open_store(str(tmp_path / "out"))
    store.prepare()

    store.put("metas/v0/a.json", b"x")

    assert files(tmp_path / "disk") == ["metas/v0/a.json"]
    assert keys(store, "") == ["metas/v0/a.json"]


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of what is synced to disk, in order."""
    paths: list[str] = []
    fsync = os.fsync

    def note(fd: int) -> None:
        paths.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", note)
    return paths


@pytest.mark.parametrize("if_absent", [False, True])
def test_a_records_name_is_on_disk_with_the_folders_made_for_it(
    folder_store: Store, synced: list[str], if_absent: bool
) -> None:
    root = folder_store.uri

    folder_store.put("metas/v0/a.json", b"x", if_absent=if_absent)

    file, *folders = synced
    assert file.startswith(f"{root}/.tmp/")
    assert folders == [root, f"{root}/metas", f"{root}/metas/v0"]


def test_only_the_bytes_of_what_lies_in_scratch_are_synced(
    folder_store: Store, synced: list[str]
) -> None:
    folder_store.put("scratch/c/h/part", b"x")

    assert len(synced) == 1


def test_an_object_that_was_replaced_is_told_by_its_etag(folder_store: Store) -> None:
    folder_store.put("a", b"first")
    first = folder_store.stat("a").etag
    folder_store.put("a", b"other")

    with pytest.raises(ObjectChanged):
        folder_store.get("a", if_match=first)

    assert folder_store.get("a", if_match=folder_store.stat("a").etag) == b"other"
