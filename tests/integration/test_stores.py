"""The contract of a store, on a folder and on a real S3 server, and what each adds to it."""

import contextlib
import errno
import os
import socket
import subprocess
import threading
import time
import traceback
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from minio import Minio
from minio.helpers import md5sum_hash

from clipfleet.errors import (
    ObjectMissing,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from clipfleet.store import Store, open_store
from tests.integration.conftest import BUCKET, open_s3
from tests.s3_server import S3Server

pytestmark = pytest.mark.integration

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


def test_put_if_absent_keeps_what_is_there(store: Store) -> None:
    assert store.put("claims/a", b"first", if_absent=True)
    assert not store.put("claims/a", b"second", if_absent=True)

    assert store.get("claims/a") == b"first"


def test_put_if_absent_keeps_what_is_there_above_the_size_of_a_part(store: Store) -> None:
    assert store.put("claims/a", b"1" * 6 * MIB, if_absent=True)
    assert not store.put("claims/a", b"2" * 6 * MIB, if_absent=True)

    assert store.get("claims/a") == b"1" * 6 * MIB


def test_of_eight_threads_putting_if_absent_exactly_one_wins(store: Store) -> None:
    start = threading.Barrier(8)

    def claim(key: str, claimant: int) -> bool:
        start.wait()
        return store.put(key, str(claimant).encode(), if_absent=True)

    with ThreadPoolExecutor(8) as pool:
        for round_ in range(15):
            key = f"claims/{round_}"
            won = list(pool.map(claim, [key] * 8, range(8)))
            assert won.count(True) == 1
            assert store.get(key) == str(won.index(True)).encode()


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


def test_a_store_can_be_prepared_by_several_workers_at_once(
    tmp_path: Path, s3_server: S3Server
) -> None:
    bucket = f"prepared-{uuid.uuid4()}"
    stores = [open_store(str(tmp_path / "out")) for _ in range(4)]
    stores += [open_s3(s3_server, f"s3://{bucket}") for _ in range(4)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda store: store.prepare(), stores))

    assert all(store.put("a", b"x") for store in stores)


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda store: store.put("a", b"x"), id="put"),
        pytest.param(lambda store: store.get("a"), id="get"),
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
        else open_s3(s3_server, "s3://no-such-bucket/out")
    )

    with pytest.raises(ObjectMissing):
        use(store)
    assert not (tmp_path / "nowhere").exists()


# On a folder


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


# On S3


def admin(server: S3Server) -> Minio:
    return Minio(
        server.endpoint.removeprefix("http://"),
        access_key=server.access_key,
        secret_key=server.secret_key,
        secure=False,
    )


def lifecycle_rules(server: S3Server, bucket: str) -> dict[str, str]:
    """The bucket's rules as the server tells them, by id."""
    response = admin(server)._execute("GET", bucket, query_params={"lifecycle": ""})
    text = response.data.decode().replace(' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', "")
    rules = ET.fromstring(text).findall("Rule")
    return {rule.findtext("ID") or "": ET.tostring(rule, "unicode") for rule in rules}


def set_lifecycle(server: S3Server, bucket: str, rules: str) -> None:
    body = f"<LifecycleConfiguration>{rules}</LifecycleConfiguration>".encode()
    admin(server)._execute(
        "PUT",
        bucket,
        body=body,
        headers={"Content-MD5": md5sum_hash(body) or ""},
        query_params={"lifecycle": ""},
    )


def test_preparing_makes_the_bucket(s3_server: S3Server) -> None:
    bucket = f"made-{uuid.uuid4()}"

    open_s3(s3_server, f"s3://{bucket}/out").prepare()

    assert admin(s3_server).bucket_exists(bucket)


def test_preparing_makes_scratch_expire_after_seven_days(s3_server: S3Server) -> None:
    bucket = f"expiring-{uuid.uuid4()}"

    open_s3(s3_server, f"s3://{bucket}/out").prepare()
    open_s3(s3_server, f"s3://{bucket}").prepare()

    assert lifecycle_rules(s3_server, bucket) == {
        name: f"<Rule><ID>{name}</ID><Filter><Prefix>{prefix}</Prefix></Filter>"
        "<Status>Enabled</Status><Expiration><Days>7</Days></Expiration></Rule>"
        for name, prefix in [
            ("clipfleet-scratch", "scratch/"),
            ("clipfleet-scratch out/", "out/scratch/"),
        ]
    }


def test_preparing_keeps_the_rules_of_others(s3_server: S3Server) -> None:
    bucket = f"shared-{uuid.uuid4()}"
    admin(s3_server).make_bucket(bucket)
    set_lifecycle(
        s3_server,
        bucket,
        "<Rule><ID>prefix outside filter</ID><Prefix>logs/</Prefix><Status>Enabled</Status>"
        "<Expiration><Days>3</Days></Expiration></Rule>"
        "<Rule><ID>tagged</ID><Filter><And><Prefix>t/</Prefix><Tag><Key>k</Key><Value>v</Value>"
        "</Tag></And></Filter><Status>Disabled</Status><NoncurrentVersionExpiration>"
        "<NoncurrentDays>9</NoncurrentDays></NoncurrentVersionExpiration></Rule>",
    )
    before = lifecycle_rules(s3_server, bucket)

    open_s3(s3_server, f"s3://{bucket}").prepare()

    after = lifecycle_rules(s3_server, bucket)
    assert after.pop("clipfleet-scratch")
    assert after == before


def test_preparing_puts_an_outdated_rule_right(s3_server: S3Server) -> None:
    bucket = f"outdated-{uuid.uuid4()}"
    store = open_s3(s3_server, f"s3://{bucket}")
    store.prepare()
    wanted = lifecycle_rules(s3_server, bucket)
    set_lifecycle(s3_server, bucket, wanted["clipfleet-scratch"].replace(">7<", ">700<"))

    store.prepare()

    assert lifecycle_rules(s3_server, bucket) == wanted


def test_a_presigned_link_expires(s3_store: Store) -> None:
    s3_store.put("a", b"x")
    link = s3_store.presigned_get("a", expires_s=1)

    time.sleep(2.1)

    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(link, timeout=10)
    with refusal.value as response:
        assert response.code == 403


@pytest.mark.parametrize("wrong", ["s3_access_key", "s3_secret_key"])
def test_wrong_credentials_are_denied_and_not_repeated(s3_server: S3Server, wrong: str) -> None:
    credentials = {"s3_access_key": s3_server.access_key, "s3_secret_key": s3_server.secret_key}
    credentials[wrong] = "wrong-but-still-private"
    store = open_store(f"s3://{BUCKET}/out", s3_endpoint=s3_server.endpoint, **credentials)

    for use in (store.prepare, lambda: store.get("a"), lambda: store.put("a", b"x")):
        with pytest.raises(StoreDenied, match="CLIPFLEET_S3_SECRET_KEY") as denial:
            use()
        assert s3_server.endpoint in str(denial.value)
        assert BUCKET in str(denial.value)
        assert len(str(denial.value).splitlines()) == 1
        told = "".join(traceback.format_exception(denial.value))
        assert credentials["s3_secret_key"] not in told


def test_a_refused_port_is_unavailable_within_ten_seconds(s3_server: S3Server) -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{nobody_listens.getsockname()[1]}"
        store = open_s3(s3_server, "s3://bucket/out", endpoint=endpoint)
        began = time.monotonic()

        with pytest.raises(StoreUnavailable) as error:
            store.prepare()

    assert time.monotonic() - began < 10
    assert f"s3://bucket/out at {endpoint}: cannot prepare the store" in str(error.value)
    assert "Connection refused; check CLIPFLEET_S3_ENDPOINT" in str(error.value)


def test_objects_outlive_a_killed_server(s3_server: S3Server, s3_store: Store) -> None:
    written = {f"metas/{n}": os.urandom(100_000) for n in range(20)}
    for key, data in written.items():
        s3_store.put(key, data)

    s3_server.restart()

    assert {found.key: s3_store.get(found.key) for found in s3_store.list("")} == written


def test_a_write_waits_for_a_server_that_is_back_soon(s3_server: S3Server, s3_store: Store) -> None:
    with ThreadPoolExecutor(1) as pool:
        s3_server.kill()
        try:
            writing = pool.submit(s3_store.put, "a", b"x")
            time.sleep(0.5)
        finally:
            s3_server.restart()

        assert writing.result()
    assert s3_store.get("a") == b"x"


def test_a_server_whose_disk_stood_still_answers_again(
    s3_server: S3Server, s3_store: Store
) -> None:
    """Of the test's server itself: with leases of half a second it sometimes did not."""
    with ThreadPoolExecutor(24) as pool:
        for _ in range(3):
            with s3_server.disk_standing_still():
                writing = [pool.submit(s3_store.put, f"a/{n}", b"x") for n in range(24)]
                time.sleep(0.8)

            assert all(one.result(timeout=30) for one in writing)
