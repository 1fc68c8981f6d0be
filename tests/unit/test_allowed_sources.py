"""Which places clips may come from."""

import json
import os
from pathlib import Path

import pytest

from clipfleet.errors import SourceUnreadable, UsageError
from clipfleet.settings import read_settings
from clipfleet.sources import AllowedSources
from clipfleet_producer.runs import model

COVERED = [
    ("s3://bucket", "s3://bucket/a.mp4"),
    ("s3://bucket/", "s3://bucket/deep/a.mp4"),
    ("s3://bucket/day1", "s3://bucket/day1/a.mp4"),
    ("s3://bucket/day1/", "s3://bucket/day1/a.mp4"),
    ("s3://bucket/odd?#.mp4", "s3://bucket/odd?#.mp4"),
    ("https://host", "https://host/a.mp4"),
    ("https://host", "https://host:443/a.mp4?token=1"),
    ("https://HOST/pub/", "https://host/pub/a%20b.mp4"),
    ("https://host/get?id=5", "https://host/get?id=5"),
    ("/srv/clips", "file:///srv/clips/a.mp4"),
    ("file:///srv/with%20space", "file:///srv/with%20space/a.mp4"),
    ("/srv/clips/a.mp4", "file:///srv/clips/a.mp4"),
    ("/", "file:///srv/clips/a.mp4"),
]
NOT_COVERED = [
    ("s3://bucket", "s3://bucket2/a.mp4"),
    ("s3://bucket/day1", "s3://bucket/day10/a.mp4"),
    ("s3://bucket/day1", "s3://bucket/day1/../private/a.mp4"),
    ("s3://bucket", "https://bucket/a.mp4"),
    ("https://host", "https://host.example.org/a.mp4"),
    ("https://host", "https://host:8443/a.mp4"),
    ("https://host", "http://host/a.mp4"),
    ("https://host", "https://host@evil.example.org/a.mp4"),
    ("https://host/pub", "https://host/public/a.mp4"),
    ("https://host/pub", "https://host/pub/../private/a.mp4"),
    ("https://host/pub", "https://host/pub/%2e%2e/private/a.mp4"),
    ("https://host/pub", "https://host/pub%2f..%2fprivate/a.mp4"),
    ("https://host/pub", "https://host/pub\\..\\private/a.mp4"),
    ("https://host/get?id=5", "https://host/get?id=6"),
    ("/srv/clips", "file:///srv/clips2/a.mp4"),
    ("/srv/clips", "file:///srv/clips/../private/a.mp4"),
    ("/srv/clips", "file:///srv/clips/%2e%2e/private/a.mp4"),
    ("/srv/clips", "file://elsewhere/srv/clips/a.mp4"),
    ("/srv/clips/a.mp4", "file:///srv/clips/b.mp4"),
    ("/srv/clips", "ftp://srv/clips/a.mp4"),
    ("/srv/clips", "https://[oh/a.mp4"),
]


@pytest.mark.parametrize(("place", "source"), COVERED)
def test_what_lies_in_a_place_is_covered(place: str, source: str) -> None:
    assert AllowedSources([place]).covers(source)


@pytest.mark.parametrize(("place", "source"), NOT_COVERED)
def test_what_lies_beside_a_place_is_not(place: str, source: str) -> None:
    assert not AllowedSources([place]).covers(source)


def test_of_no_place_nothing_is_covered() -> None:
    assert not AllowedSources([]).covers("s3://bucket/a.mp4")


def test_a_file_is_where_it_lies_once_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "clips" / "a.mp4").symlink_to(tmp_path / "secret")
    (tmp_path / "alias").symlink_to(tmp_path / "clips")
    (tmp_path / "clips" / "b.mp4").write_bytes(b"x")
    allowed = AllowedSources([str(tmp_path / "alias")])

    assert allowed.covers_path(str(tmp_path / "alias" / "b.mp4"))
    assert not allowed.covers_path(str(tmp_path / "clips" / "a.mp4"))


@pytest.mark.parametrize("proc", [True, False], ids=["as Linux says", "elsewhere"])
def test_a_link_that_is_changed_once_the_file_is_open_makes_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proc: bool
) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "secret").write_bytes(b"x")
    path = tmp_path / "clips" / "a.mp4"
    path.symlink_to(tmp_path / "secret")
    if not proc:
        monkeypatch.setattr(os, "readlink", lambda path: (_ for _ in ()).throw(OSError()))

    with path.open("rb") as file:
        path.unlink()
        path.write_bytes(b"a clip")

        allowed = AllowedSources([str(tmp_path / "clips")])
        assert not allowed.covers_open_file(str(path), file.fileno())

    with path.open("rb") as file:
        assert allowed.covers_open_file(str(path), file.fileno())


@pytest.mark.parametrize("place", ["clips", "", "http://host", "s3://", "https://", "ftp://a/b"])
def test_a_setting_that_names_no_place_is_refused_with_what_to_write(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIPFLEET_ALLOWED_SOURCES", json.dumps(["/srv/clips", place]))

    with pytest.raises(UsageError, match=r"CLIPFLEET_ALLOWED_SOURCES.*is no place for clips"):
        read_settings()


def test_a_feeder_stages_only_what_its_machine_allows(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "secret.mp4").write_bytes(b"x")
    (tmp_path / "clips" / "a.mp4").write_bytes(b"a clip")
    allowed = AllowedSources([str(tmp_path / "clips")])

    assert model._read(tmp_path / "clips" / "a.mp4", allowed)[0] == b"a clip"
    with pytest.raises(SourceUnreadable, match=r"secret\.mp4 \(setting allowed_sources"):
        model._read(tmp_path / "secret.mp4", allowed)
