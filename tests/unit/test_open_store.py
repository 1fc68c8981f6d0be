"""Which store a URI opens."""

import subprocess
import sys
from pathlib import Path

import pytest

from clipfleet.errors import UsageError
from clipfleet.store import Store, open_store
from clipfleet.store.folder import FolderStore
from clipfleet.store.s3 import S3Store


def open_s3(uri: str, endpoint: str | None = None) -> Store:
    return open_store(
        uri, s3_endpoint=endpoint, s3_access_key="key", s3_secret_key="very-private-secret"
    )


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("/data/out", "/data/out"),
        ("/data/out/", "/data/out"),
        ("/data/a:b", "/data/a:b"),
        ("file:///data/out", "/data/out"),
        ("file:/data/out", "/data/out"),
        ("file://localhost/data/out", "/data/out"),
        ("file:///data/with%20space%23", "/data/with space#"),
        ("FILE:///data/out", "/data/out"),
    ],
)
def test_a_path_or_a_file_url_opens_a_folder(uri: str, folder: str) -> None:
    store = open_store(uri)

    assert isinstance(store, FolderStore)
    assert store.uri == folder


def test_a_relative_path_is_taken_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert open_store("out/here").uri == str(tmp_path / "out" / "here")


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")

    assert open_store("~/out").uri == "/home/me/out"


def test_opening_a_folder_touches_nothing(tmp_path: Path) -> None:
    open_store(str(tmp_path / "out"))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket/a/b", "s3://bucket/a/b"),
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ("S3://bucket/a", "s3://bucket/a"),
    ],
)
def test_an_s3_uri_opens_a_bucket(uri: str, told: str) -> None:
    store = open_s3(uri, "http://127.0.0.1:9000")

    assert isinstance(store, S3Store)
    assert store.uri == told


def test_without_an_endpoint_s3_is_amazons() -> None:
    store = open_store(
        "s3://bucket/out", s3_access_key="key", s3_secret_key="secret", s3_region="eu-west-1"
    )

    link = store.presigned_get("a")

    assert link.startswith("https://bucket.s3.eu-west-1.amazonaws.com/out/a?")


def test_a_store_says_whether_it_is_remote_and_how_frames_lie_in_it() -> None:
    folder, bucket = open_store("out"), open_s3("s3://bucket/out")

    assert (folder.is_remote, folder.frame_encoding) == (False, "raw")
    assert (bucket.is_remote, bucket.frame_encoding) == (True, "zstd")


@pytest.mark.parametrize("uri", ["gs://bucket/out", "https://host/out", "redis://host", "", "  "])
def test_anything_else_is_refused_naming_what_is_accepted(uri: str) -> None:
    with pytest.raises(UsageError, match=r"give a folder, or s3://BUCKET\[/PREFIX\]"):
        open_store(uri)


@pytest.mark.parametrize("uri", ["file://host/share", "file:relative", "file://"])
def test_a_file_url_of_another_host_or_no_folder_is_refused(uri: str) -> None:
    with pytest.raises(UsageError, match="write file:///folder"):
        open_store(uri)


@pytest.mark.parametrize(("access_key", "secret_key"), [(None, None), ("key", None), (None, "s")])
def test_s3_without_keys_names_both_settings(
    access_key: str | None, secret_key: str | None
) -> None:
    with pytest.raises(UsageError, match="CLIPFLEET_S3_ACCESS_KEY and CLIPFLEET_S3_SECRET_KEY"):
        open_store("s3://bucket/out", s3_access_key=access_key, s3_secret_key=secret_key)


@pytest.mark.parametrize("uri", ["s3://", "s3:///out", "s3://b", "s3://bucket/a/../b"])
def test_an_s3_uri_without_a_sound_bucket_and_prefix_is_refused(uri: str) -> None:
    with pytest.raises(UsageError, match="s3://"):
        open_s3(uri, "http://127.0.0.1:9000")


@pytest.mark.parametrize(
    "endpoint",
    ["127.0.0.1:9000", "ftp://host", "http://", "http://[", "http://host/path", "http://host:port"],
)
def test_an_endpoint_that_is_no_http_url_is_refused(endpoint: str) -> None:
    with pytest.raises(UsageError, match="CLIPFLEET_S3_ENDPOINT"):
        open_s3("s3://bucket/out", endpoint)


def test_credentials_in_the_endpoint_are_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="CLIPFLEET_S3_ENDPOINT") as refusal:
        open_s3("s3://bucket/out", "http://me:hunter2@host:9000")

    assert "hunter2" not in str(refusal.value)


def test_opening_a_folder_does_not_import_minio() -> None:
    code = (
        "import sys; from clipfleet.store import open_store; open_store('out'); "
        "sys.exit('minio' in sys.modules or 'urllib3' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
