"""The contract of a store, on a folder and on a real S3 server.

What it promises of puts with a condition is in `test_conditional_puts.py`.
"""

import os
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clipfleet.errors import ObjectMissing, StoreError
from clipfleet.store import Store, open_store
from clipfleet.store.base import PROBE
from tests.support.s3_server import S3Server

MIB = 1024 * 1024
UNUSUAL_KEYS = [
    "metas/v0/with space.json",
    "metas/v0/plus+percent%20and&amp;.json",
    "previews/Größe/0_255.webp",
    "previews/猫/😀 🎬.webp",
    "scratch/quote\"s'<x>#?/a",
]
REFUSED_KEYS = [
    "",
    "/etc/passwd",
    "../outside",
    "metas/../../outside",
    "metas/./x",
    "metas//x",
    "metas/",
    "nul\0byte",
    ".tmp/unfinished",
    "half a \ud83d pair",
]


def keys(store: Store, prefix: str) -> list[str]:
    return sorted(found.key for found in store.list(prefix))


def put_many(store: Store, names: list[str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: store.put(name, b"x"), names))


def test_what_is_put_is_what_is_read(store: Store) -> None:
    store.put("metas/v0/a.json", b'{"valid": true}', content_type="application/json")

    assert store.get("metas/v0/a.json") == b'{"valid": true}'
    assert store.stat("metas/v0/a.json").size_bytes == 15


def test_an_empty_object_comes_back_empty(store: Store) -> None:
    store.put("empty", b"")

    assert store.get("empty") == b""
    assert store.get("empty", length=10) == b""
    assert store.stat("empty").size_bytes == 0


def test_an_object_of_12_mib_comes_back_whole(store: Store) -> None:
    data = os.urandom(12 * MIB)

    store.put("big", memoryview(data))

    assert store.get("big") == data
    assert store.stat("big").size_bytes == 12 * MIB


def test_an_object_may_be_put_in_parts(store: Store) -> None:
    store.put("parts", (b"one", memoryview(b"-two"), b"", b"-three"))

    assert store.get("parts") == b"one-two-three"


@pytest.mark.parametrize("key", UNUSUAL_KEYS)
def test_unusual_keys_are_kept_as_they_are(store: Store, key: str) -> None:
    store.put(key, key.encode())

    assert store.get(key) == key.encode()
    assert keys(store, "") == [key]
    assert store.delete_prefix(key) == 1


def test_overwriting_replaces_the_whole_object(store: Store) -> None:
    store.put("metas/v0/a.json", b"a long first version")

    assert store.put("metas/v0/a.json", b"short")

    assert store.get("metas/v0/a.json") == b"short"


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        pytest.param(0, 3, b"012", id="the first three"),
        pytest.param(4, 3, b"456", id="the middle"),
        pytest.param(7, None, b"789", id="to the end"),
        pytest.param(8, 100, b"89", id="more than there is"),
        pytest.param(10, 5, b"", id="at the end"),
        pytest.param(50, None, b"", id="past the end"),
        pytest.param(4, 0, b"", id="none"),
    ],
)
def test_a_range_is_read(store: Store, start: int, length: int | None, expected: bytes) -> None:
    store.put("digits", b"0123456789")

    assert store.get("digits", start=start, length=length) == expected


@pytest.mark.parametrize(("start", "length"), [(-1, None), (0, -1)])
def test_a_negative_range_is_refused(store: Store, start: int, length: int | None) -> None:
    with pytest.raises(ValueError, match="negative"):
        store.get("digits", start=start, length=length)


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda store, key: store.get(key), id="get"),
        pytest.param(lambda store, key: store.get(key, start=3, length=0), id="get nothing of it"),
        pytest.param(lambda store, key: store.stat(key), id="stat"),
    ],
)
@pytest.mark.parametrize("key", ["nothing/here", "metas", "metas/v0/a.json/below"])
def test_a_missing_object_is_said_to_be_missing(
    store: Store, key: str, read: Callable[[Store, str], object]
) -> None:
    store.put("metas/v0/a.json", b"x")

    with pytest.raises(ObjectMissing, match=key):
        read(store, key)


def test_exists_tells_objects_from_nothing(store: Store) -> None:
    store.put("metas/v0/a.json", b"x")

    assert store.exists("metas/v0/a.json")
    assert not store.exists("metas/v0/b.json")
    assert not store.exists("metas/v0")


@pytest.mark.parametrize("key", REFUSED_KEYS)
def test_a_key_that_leaves_the_store_is_refused(store: Store, key: str) -> None:
    for use in (
        lambda: store.put(key, b"x"),
        lambda: store.get(key),
        lambda: store.stat(key),
        lambda: store.delete(key),
        lambda: store.presigned_get(key),
    ):
        with pytest.raises(ValueError) as refusal:
            use()
        assert isinstance(refusal.value, StoreError)


@pytest.mark.parametrize("prefix", ["/", "../", "metas/../x", ".tmp/"])
def test_a_prefix_that_leaves_the_store_is_refused(store: Store, prefix: str) -> None:
    with pytest.raises(ValueError):
        keys(store, prefix)
    with pytest.raises(ValueError):
        store.delete_prefix(prefix)


def test_2500_objects_are_listed_by_the_start_of_their_keys(store: Store) -> None:
    wanted = [f"previews/ab{n % 5}/{n} é+.webp" for n in range(2500)]
    put_many(store, [*wanted, "previews/a", "previews/b/x", "prev", "metas/ab"])

    assert keys(store, "previews/ab") == sorted(wanted)
    assert len(keys(store, "previews/ab3/")) == 500
    assert keys(store, "previews/ab3") == keys(store, "previews/ab3/")
    assert len(keys(store, "")) == 2504


def test_a_listing_says_how_large_the_objects_are(store: Store) -> None:
    store.put("a/one", b"1")
    store.put("a/three", b"333")

    assert {found.key: found.size_bytes for found in store.list("a/")} == {"a/one": 1, "a/three": 3}


def test_a_prefix_without_objects_lists_nothing(store: Store) -> None:
    assert keys(store, "nothing/here/") == []
    assert keys(store, "") == []


def test_folders_are_the_names_up_to_the_next_slash_of_all_that_lies_below(store: Store) -> None:
    assert store.folders("runs/") == set()

    put_many(store, ["runs/a/run.json", "runs/a/list/0", "runs/B b/x/y", "runs/file", "run/z/q"])

    assert store.folders("runs/") == {"a", "B b"} == Store.folders(store, "runs/")
    assert store.folders("runs/a/") == {"list"}


def test_a_reader_never_sees_a_mix_of_two_writes(store: Store) -> None:
    size = 3 * MIB
    store.put("object", b"\0" * size)
    written = threading.Event()

    def write() -> None:
        try:
            for value in range(1, 25):
                store.put("object", bytes([value]) * size)
        finally:
            written.set()

    seen = set()
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while not written.is_set():
            data = store.get("object")
            assert data == data[:1] * size
            seen.add(data[0])
        writing.result()
    assert len(seen) > 2


def test_a_deleted_object_is_gone_and_deleting_it_again_is_harmless(store: Store) -> None:
    store.put("a/b", b"x")

    store.delete("a/b")
    store.delete("a/b")
    store.delete("never/there")

    assert not store.exists("a/b")


def test_delete_prefix_counts_what_it_removes_and_leaves_the_neighbours(store: Store) -> None:
    put_many(store, ["scratch/ab/1", "scratch/ab/x/2", "scratch/abc", "scratch/b", "scratchy"])

    assert store.delete_prefix("scratch/ab") == 3
    assert store.delete_prefix("scratch/ab") == 0

    assert keys(store, "") == ["scratch/b", "scratchy"]


def test_delete_prefix_removes_more_objects_than_one_request_holds(store: Store) -> None:
    put_many(store, [f"scratch/{n}" for n in range(1050)])

    assert store.delete_prefix("scratch/") == 1050

    assert keys(store, "") == []


def test_putting_survives_a_delete_of_the_same_prefix(store: Store) -> None:
    deleted = threading.Event()

    def put_until_deleted(writer: int) -> None:
        while not deleted.is_set():
            assert store.put(f"scratch/clip/{writer}/pack", b"x")
            assert store.put(f"scratch/clip/claim-{uuid.uuid4()}", b"x", if_absent=True)

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(put_until_deleted, writer) for writer in range(2)]
        try:
            for _ in range(60):
                store.delete_prefix("scratch/")
        finally:
            deleted.set()
        for writer in writers:
            writer.result()


def test_anyone_can_read_a_presigned_link(store: Store) -> None:
    store.put("previews/größe x/😀.webp", b"picture")

    link = store.presigned_get("previews/größe x/😀.webp", expires_s=60)

    assert link.isascii()
    with urllib.request.urlopen(link, timeout=10) as response:
        assert response.read() == b"picture"


def test_preparing_again_changes_nothing(store: Store) -> None:
    store.put("metas/v0/a.json", b"x")

    store.prepare()

    assert keys(store, "") == ["metas/v0/a.json"]


def test_a_folder_is_prepared_while_others_empty_its_scratch(tmp_path: Path) -> None:
    stores = [open_store(str(tmp_path / "out")) for _ in range(8)]

    def prepare(store: Store) -> None:
        for _ in range(100):
            store.prepare()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(prepare, stores))


def test_a_store_can_be_prepared_by_several_workers_at_once(
    tmp_path: Path, s3_server: S3Server
) -> None:
    bucket = f"prepared-{uuid.uuid4()}"
    stores = [open_store(str(tmp_path / "out")) for _ in range(4)]
    stores += [s3_server.store(f"s3://{bucket}") for _ in range(4)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda store: store.prepare(), stores))

    assert all(store.put("a", b"x") for store in stores)


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda store: store.put("a", b"x"), id="put"),
        pytest.param(lambda store: store.get("a"), id="get"),
        pytest.param(lambda store: store.get_version("a"), id="get_version"),
        pytest.param(lambda store: store.put_if_match("a", b"x", "v"), id="put_if_match"),
        pytest.param(lambda store: list(store.list("")), id="list"),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_store_that_was_never_made_is_said_to_be_missing(
    tmp_path: Path, s3_server: S3Server, kind: str, use: Callable[[Store], object]
) -> None:
    store = (
        open_store(str(tmp_path / "nowhere"))
        if kind == "folder"
        else s3_server.store("s3://no-such-bucket/out")
    )

    with pytest.raises(ObjectMissing):
        use(store)
    assert not (tmp_path / "nowhere").exists()


def test_what_a_process_that_died_as_it_prepared_left_is_gone_with_the_next(store: Store) -> None:
    store.put(PROBE, b"")

    store.prepare()

    assert [item.key for item in store.list("scratch/")] == []
