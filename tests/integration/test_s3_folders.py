"""What an s3:// address names that is no object's: a folder, or nothing; what is passed over."""

import pytest

from tests.support.clip_bucket import ClipBucket
from tests.support.found_clips import find
from tests.support.s3_server import S3Server

STREAM = (b"G" + bytes(187)) * 20

HELD = {
    "day1/a.mp4": b"clip",
    "day1/deep/b.MKV": b"clip",
    "day10/c.mp4": b"clip",
    "day2.mp4": b"clip",
    "one": b"clip",
    "sign": b"",  # as some programs write it beside a folder
    "sign/a.mp4": b"clip",
    "both": b"clip",
    "both/a.mp4": b"clip",
    "marked/": b"",
    "marked/a.mp4": b"clip",
    "hid/._a.mp4": b"x",
    "hid/__MACOSX/a.mp4": b"x",
    "hid/.Trash/a.mp4": b"x",
    "hid/@eaDir/a.mp4": b"x",
    "hid/a.mp4": b"x",
    "code/app.ts": b"let G = 1\n" * 900,
    "code/index.d.ts": b"",
    "code/live.ts": STREAM,
    "code/live.txt": b"x",
    "pictures/a.jpg": b"x",
    "pictures/b.xyz": b"x",
    "e\u0301te\u0301/a.mp4": b"clip",
}


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> ClipBucket:
    bucket = ClipBucket(s3_server)
    for key, data in HELD.items():
        bucket.put(key, data)
    return bucket


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("day1", ["day1/a.mp4", "day1/deep/b.MKV"]),
        ("day1/", ["day1/a.mp4", "day1/deep/b.MKV"]),
        ("day1/deep", ["day1/deep/b.MKV"]),
        ("day*/", ["day1/a.mp4", "day1/deep/b.MKV", "day10/c.mp4"]),
        ("one", ["one"]),
        ("sign", ["sign/a.mp4"]),
        ("both", ["both"]),
        ("marked", ["marked/a.mp4"]),
        ("hid/.Trash", ["hid/.Trash/a.mp4"]),
        ("hid/.Trash/", ["hid/.Trash/a.mp4"]),
        ("hid/__MACOSX/*", ["hid/__MACOSX/a.mp4"]),
        ("hid/._a.mp4", ["hid/._a.mp4"]),
        ("pictures/*.xyz", ["pictures/b.xyz"]),
        ("\u00e9t\u00e9", ["e\u0301te\u0301/a.mp4"]),
        ("\u00e9t\u00e9/a.mp4", ["e\u0301te\u0301/a.mp4"]),
        ("\u00e9*/*.mp4", ["e\u0301te\u0301/a.mp4"]),
    ],
)
def test_a_name_is_an_object_or_else_a_folder_with_or_without_its_slash(
    bucket: ClipBucket, name: str, found: list[str]
) -> None:
    assert bucket.keys(name) == found


@pytest.mark.parametrize("scheme", ["S3", "s3a", "s3n", "S3A"])
def test_every_spelling_of_the_scheme_gives_the_same_clips(bucket: ClipBucket, scheme: str) -> None:
    named = find(f"{scheme}://{bucket.name}/day1", settings=bucket.settings)

    assert named.clips == bucket.find("day1").clips
    assert len(named.clips) == 2


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("day", ["day2.mp4", "day1/", "day10/"]),
        ("day2", ["day2.mp4"]),
        ("day2.mp4/", ["day2.mp4"]),
        ("nowhere", []),
        ("nowhere/", []),
    ],
)
def test_a_name_of_nothing_is_a_problem_that_says_what_begins_so(
    bucket: ClipBucket, name: str, near: list[str]
) -> None:
    said = f"{bucket.url}/{name}: there is no object and no folder of this name"
    if near:
        said += f"; did you mean {' or '.join(f'{bucket.url}/{each}' for each in near)}?"

    assert bucket.find(name).problems == [said]


def test_an_empty_bucket_is_a_problem(s3_server: S3Server) -> None:
    empty = ClipBucket(s3_server)

    assert empty.find("").problems == [f"{empty.url}/: there is nothing in it"]


def test_a_bucket_that_is_not_there_is_a_problem_that_says_so(bucket: ClipBucket) -> None:
    gone = f"{bucket.url}-not"
    for name in (gone, f"{gone}/", f"{gone}/a", f"{gone}/*.mp4"):
        (problem,) = find(name, settings=bucket.settings).problems

        assert "NoSuchBucket" in problem, name


@pytest.mark.parametrize(
    ("name", "passed"),
    [
        ("hid/", {"hidden": 4}),
        ("marked/", {"folder markers": 1}),
        ("code/", {".ts without video": 2, ".txt": 1}),
        ("code/*", {".ts without video": 2, ".txt": 1}),
        ("code/*.ts", {}),
        ("pictures/*", {".jpg": 1, ".xyz": 1}),
    ],
)
def test_what_is_passed_over_is_counted(
    bucket: ClipBucket, name: str, passed: dict[str, int]
) -> None:
    assert bucket.find(name).passed == passed


def test_a_bucket_gives_its_videos_and_a_count_of_the_rest(bucket: ClipBucket) -> None:
    found = bucket.find("")

    assert found.problems == []
    assert {clip.source.removeprefix(f"{bucket.url}/") for clip in found.clips} == {
        *("day1/a.mp4", "day1/deep/b.MKV", "day10/c.mp4", "day2.mp4", "sign/a.mp4", "both/a.mp4"),
        *("marked/a.mp4", "hid/a.mp4", "code/live.ts", "e\u0301te\u0301/a.mp4"),
    }
    assert found.passed == {
        "hidden": 4,
        "without an ending": 3,
        ".ts without video": 2,
        "folder markers": 1,
        ".txt": 1,
        ".jpg": 1,
        ".xyz": 1,
    }
