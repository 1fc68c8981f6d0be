"""What is taken, what is passed over, and what is said of it, where clips are looked for."""

import os
from pathlib import Path
from typing import Literal
from unicodedata import normalize

import pytest

from clipfleet import keys
from clipfleet_producer.cli.clip_names import clip_uuids
from clipfleet_producer.sources.uris import short_name
from tests.support.found_clips import find, names, write

Form = Literal["NFC", "NFD"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is also the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


FOLDER = (
    *("a.VOB", "b.asf", "c.3g2", "d.divx", "e.f4v", "f.qt", "g.m2v", "h.264", "i.mp4"),
    *("notes.srt", "more.SRT", "cover.jpg", "README", "._i.mp4", "__MACOSX/i.mp4", ".Trash/j.mp4"),
)


def test_a_folder_gives_every_kind_of_video_and_the_rest_is_counted(folder: Path) -> None:
    for name in FOLDER:
        write(folder / name)

    found = find(folder)

    assert names(found) == [*FOLDER[:9]]
    assert found.passed == {"hidden": 3, ".srt": 2, ".jpg": 1, "without an ending": 1}
    assert found.problems == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_what_is_no_file_is_counted(folder: Path) -> None:
    write(folder / "a.mp4")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "gone.mp4").symlink_to("nowhere.mp4")

    assert find(folder).passed == {"dead links": 1, "special files": 1}


def test_links_that_are_not_followed_are_counted(folder: Path) -> None:
    write(folder / "clips" / "a.mp4")
    write(folder / "more" / "b.mp4")
    (folder / "clips" / "b.mp4").symlink_to(folder / "more" / "b.mp4")
    (folder / "clips" / "more").symlink_to(folder / "more")

    found = find("clips", follow_links=False)

    assert (names(found), found.passed) == (["a.mp4"], {"links": 2})


def test_a_folder_of_no_videos_is_a_problem_that_says_what_is_in_it(folder: Path) -> None:
    for name in ("a.jpg", "b.jpg", ".c.mp4"):
        write(folder / "pictures" / name)

    assert find("pictures").problems == [
        "pictures: there is no video file in it; passed over: 2 .jpg, 1 hidden; "
        "to take such files, name them, by a pattern with the ending ('*.xyz') or a list"
    ]


def test_source_code_and_music_are_not_taken_for_videos(folder: Path) -> None:
    write(folder / "app.ts", b"export const G = 1;\n" * 900)
    write(folder / "go.mod", b"module example.org/x\n")
    write(folder / "a.ts", (b"G" + bytes(187)) * 20)

    found = find(folder)

    assert names(found) == ["a.ts"]
    assert found.passed == {".ts without video": 1, ".mod without video": 1}


@pytest.mark.parametrize("pattern", ["*.xyz", "./*.xyz", "**/a.xyz", "[a]*.xyz"])
def test_a_pattern_with_an_ending_takes_files_that_end_so(folder: Path, pattern: str) -> None:
    write(folder / "a.xyz")

    assert names(find(pattern)) == ["a.xyz"]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("*", "no video file fits it; passed over: 1 .xyz; to take such files, name them"),
        ("d*", "no video file fits it; passed over: 1 folder; for what is in folders, end"),
        ("*.mp4", "no video file fits it; B.MP4 would, but for capital and small letters"),
        ("*.{mp4,mkv}", "no video file fits it; braces mean nothing in a pattern"),
        ("*.mkv", "no video file fits it"),
    ],
)
def test_a_pattern_that_gives_nothing_says_why(folder: Path, pattern: str, said: str) -> None:
    write(folder / "a.xyz")
    if pattern != "*":
        write(folder / "day1" / "B.MP4")
        write(folder / "B.MP4")

    (problem,) = find(pattern).problems

    assert problem.startswith(f"{pattern}: {said}")


def test_letters_are_the_reason_whatever_else_lies_there(folder: Path) -> None:
    write(folder / "day1" / "B.MP4")
    write(folder / "day1" / "._B.MP4")
    write(folder / ".day0" / "C.mp4")

    (problem,) = find("**/*.mp4").problems

    assert "day1/B.MP4 would, but for capital and small letters" in problem


@pytest.mark.parametrize("disk", ["NFC", "NFD"])
@pytest.mark.parametrize("asked", ["NFC", "NFD"])
@pytest.mark.parametrize("argument", ["Köln/é.mp4", "Köln", "K*n/é*", "Köln/*.mp4", "list.csv"])
def test_names_are_found_however_their_accents_are_spelled(
    folder: Path, disk: Form, asked: Form, argument: str
) -> None:
    path = write(folder / normalize(disk, "Köln") / normalize(disk, "é.mp4"))
    write(folder / "list.csv", normalize(asked, "clip\nKöln/é.mp4\n").encode())

    found = find(normalize(asked, argument))

    assert (found.problems, [clip.source for clip in found.clips]) == ([], [path.as_uri()])


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("S3://bucket/a.mp4", "s3://bucket/a.mp4"),
        ("s3a://bucket/a.mp4", "s3://bucket/a.mp4"),
        ("s3n://bucket/a//b.mp4", "s3://bucket/a//b.mp4"),
        ("s3://bucket//a.mp4", "s3://bucket//a.mp4"),
        ("s3://bucket/a b?c#d%20+e.mp4 ", "s3://bucket/a b?c#d%20+e.mp4 "),
    ],
)
def test_an_object_is_named_by_its_bucket_and_its_key_as_it_is(
    folder: Path, text: str, source: str
) -> None:
    found = find("-", stdin=text.encode())

    assert (found.problems, [clip.source for clip in found.clips]) == ([], [source])


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("gs://bucket/a.mp4", "https://storage.googleapis.com"),
        ("az://container/a.mp4", "give https:// addresses"),
        ("abfss://c@account.dfs.core.windows.net/", "give https:// addresses"),
        ("hdfs://host/a.mp4", "clips are files, or lie at s3:// or https:// addresses"),
        ("s3://bucket/../a.mp4", "'..' part"),
        ("s3://bucket/a/./b.mp4", "'.' or"),
    ],
)
def test_an_address_that_is_not_read_says_what_to_do(folder: Path, address: str, said: str) -> None:
    (problem,) = find("-", stdin=address.encode()).problems

    assert address in problem
    assert said in problem


@pytest.mark.parametrize("address", ["gs://bucket/a.mp4", "az://c/", "hdfs://host/day1"])
def test_an_argument_of_another_cloud_is_a_problem_that_says_what_to_do(address: str) -> None:
    (problem,) = find(address).problems

    assert problem.startswith(f"{address}: ")
    assert "no such file" not in problem


@pytest.mark.parametrize("scheme", ["s3", "S3", "s3a", "s3n"])
def test_an_object_is_shown_by_every_spelling_of_its_scheme(scheme: str) -> None:
    assert clip_uuids(f"{scheme}://bucket/a//b.mp4")[0] == keys.clip_uuid("s3://bucket/a//b.mp4")


@pytest.mark.parametrize(
    ("source", "name"),
    [("s3://b/d/p%20c.mp4", "p%20c.mp4"), ("file:///d/p%20c.mp4", "p c.mp4")],
)
def test_a_key_is_said_as_it_is(source: str, name: str) -> None:
    assert short_name(source) == name
