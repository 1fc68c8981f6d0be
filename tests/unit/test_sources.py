"""Where clips come from."""

import os
from itertools import islice
from pathlib import Path

import pytest

from clipfleet import keys
from clipfleet.options import Options
from clipfleet.records import ManifestLine
from clipfleet.settings import read_settings
from clipfleet_producer.sources.overrides import OptionOverrides
from clipfleet_producer.sources.problems import Problems
from clipfleet_producer.sources.search import find_clips
from clipfleet_producer.sources.uris import local_path, short_name
from tests.support.found_clips import Found, find, names, write

WEIRD_NAMES = [
    "with space.mp4",
    "hash#tag.mp4",
    "per%20cent.mp4",
    "100%.mp4",
    "question?.mp4",
    "new\nline.mp4",
    "emoji \U0001f600.mp4",
    "Größe.mp4",
    "back\\slash.mp4",
    "quote\"s'.mp4",
    "semi;colon:.mp4",
    "[brackets].mp4",
    "-dash.mp4",
    "tab\t.mp4",
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is also the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_named_file_is_a_clip_with_its_uri_uuid_and_size(folder: Path) -> None:
    path = write(folder / "a.mp4", b"12345")

    (clip,) = find(path).clips

    assert clip.source == path.as_uri()
    assert clip.clip_uuid == keys.clip_uuid(path.as_uri())
    assert clip.num_bytes == 5


def test_a_file_named_relatively_is_the_same_clip(folder: Path) -> None:
    path = write(folder / "sub" / "a.mp4")

    assert find("sub/../sub/a.mp4").clips == find(path).clips


def test_a_folder_is_searched_whole_and_in_order(folder: Path) -> None:
    for name in ("b.mp4", "a.mkv", "sub/deep/c.webm", "sub/d.MOV"):
        write(folder / name)

    assert names(find(folder)) == ["a.mkv", "b.mp4", "d.MOV", "c.webm"]


def test_files_of_other_kinds_in_a_folder_are_passed_over(folder: Path) -> None:
    for name in ("a.mp4", "notes.xyz", "a.mp4.part", "mp4", "a.jpg"):
        write(folder / name)

    found = find(folder)

    assert (names(found), found.problems) == (["a.mp4"], [])


def test_a_named_file_of_another_kind_is_taken(folder: Path) -> None:
    assert names(find(write(folder / "notes.xyz"))) == ["notes.xyz"]


def test_hidden_files_and_folders_in_a_folder_are_passed_over(folder: Path) -> None:
    for name in ("a.mp4", ".b.mp4", ".trash/c.mp4"):
        write(folder / name)

    assert names(find(folder)) == ["a.mp4"]


def test_a_named_hidden_file_is_taken(folder: Path) -> None:
    assert names(find(write(folder / ".b.mp4"))) == [".b.mp4"]


def test_a_missing_path_is_a_problem_that_names_it(folder: Path) -> None:
    found = find("nowhere.mp4")

    assert found == Found(clips=[], problems=["nowhere.mp4: there is no such file or folder"])


def test_an_empty_folder_is_a_problem_that_names_it(folder: Path) -> None:
    (folder / "empty").mkdir()

    assert find("empty").problems == ["empty: there is no video file in it"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_a_problem_that_names_it(folder: Path) -> None:
    os.mkfifo(folder / "pipe.mp4")

    assert find("pipe.mp4").problems == ["pipe.mp4: neither a file nor a folder"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_in_a_folder_is_passed_over(folder: Path) -> None:
    write(folder / "a.mp4")
    os.mkfifo(folder / "pipe.mp4")

    assert names(find(folder)) == ["a.mp4"]


def test_a_link_in_a_folder_that_leads_nowhere_is_passed_over(folder: Path) -> None:
    write(folder / "a.mp4")
    (folder / "gone.mp4").symlink_to("nowhere.mp4")

    assert names(find(folder)) == ["a.mp4"]


@pytest.mark.parametrize("argument", ["x" * 300, "a\0b", "~nobody-of-that-name/a.mp4"])
def test_a_path_that_cannot_exist_is_a_problem_that_names_it(folder: Path, argument: str) -> None:
    found = find(argument)

    assert found.clips == []
    assert [problem.startswith(f"{argument}: ") for problem in found.problems] == [True]


def test_a_clip_whose_uri_is_too_long_for_a_message_is_a_problem_that_names_it(
    folder: Path,
) -> None:
    deep = "/".join(["猫" * 80] * 3)  # 9 characters of URI for each
    write(folder / "a.mp4")
    write(folder / deep / "b.mp4")

    found = find(folder)

    assert names(found) == ["a.mp4"]
    assert [problem.partition(":")[0] for problem in found.problems] == ["b.mp4"]


def test_a_problem_leaves_the_other_arguments_clips(folder: Path) -> None:
    found = find("nowhere.mp4", write(folder / "a.mp4"))

    assert (names(found), len(found.problems)) == (["a.mp4"], 1)


def test_a_clip_named_twice_is_one_clip_and_no_problem(folder: Path) -> None:
    path = write(folder / "a.mp4")

    found = find(path, folder, "./a.mp4")

    assert (names(found), found.problems) == (["a.mp4"], [])


def test_a_link_to_a_clip_is_that_clip(folder: Path) -> None:
    path = write(folder / "a.mp4")
    (folder / "b.mp4").symlink_to(path)

    assert len(find(folder).clips) == 1


@pytest.mark.parametrize("name", WEIRD_NAMES)
def test_a_clip_of_any_name_is_found_again_by_its_uri(folder: Path, name: str) -> None:
    path = write(folder / name)

    (clip,) = find(folder).clips

    assert local_path(clip) == path


@pytest.mark.parametrize("name", WEIRD_NAMES)
def test_a_clips_uri_is_one_line_of_ascii(folder: Path, name: str) -> None:
    write(folder / name)

    (clip,) = find(folder).clips

    assert clip.source.isascii()
    assert clip.source.isprintable()


@pytest.mark.parametrize("name", WEIRD_NAMES)
def test_a_clips_short_name_is_its_files(folder: Path, name: str) -> None:
    write(folder / name)

    assert names(find(folder)) == [name]


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX only")
def test_a_clip_whose_name_is_not_utf_8_is_found_again_by_its_uri(folder: Path) -> None:
    path = write(folder / os.fsdecode(b"caf\xe9.mp4"))

    (clip,) = find(folder).clips

    assert local_path(clip) == path


def test_a_clip_in_a_bucket_has_no_path_here() -> None:
    line = ManifestLine(clip_uuid=keys.clip_uuid("s3://b/a.mp4"), source="s3://b/a.mp4")

    assert local_path(line) is None


def test_a_link_to_a_folder_is_followed_and_a_loop_of_links_ends(folder: Path) -> None:
    clip = write(folder / "elsewhere" / "a.mp4")
    (folder / "clips").mkdir()
    (folder / "clips" / "link").symlink_to(folder / "elsewhere")
    (folder / "elsewhere" / "loop").symlink_to(folder / "clips")

    found = find("clips")

    assert [clip.source for clip in found.clips] == [clip.as_uri()]
    assert found.problems == []


def test_a_folder_that_cannot_be_read_is_a_problem_that_leaves_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "a.mp4")
    (folder / "closed").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:  # root, whom tests may run as, may read any folder
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)

    found = find(folder)

    assert names(found) == ["a.mp4"]
    assert found.problems == [f"{folder}/closed: Permission denied"]


def test_clips_come_as_they_are_found_before_the_next_argument_is_looked_at(folder: Path) -> None:
    write(folder / "a.mp4")
    asked = iter(["a.mp4", "b.mp4"])
    lines = find_clips(
        asked, read_settings(), variants=OptionOverrides(Options()), problems=Problems()
    )

    (clip,) = islice(lines, 1)

    assert short_name(clip.source) == "a.mp4"
    assert list(asked) == ["b.mp4"]


def test_an_https_url_is_a_clip_of_unknown_size() -> None:
    (clip,) = find("https://example.org/a.mp4?key=1").clips

    assert (clip.source, clip.num_bytes) == ("https://example.org/a.mp4?key=1", None)


URLS = {
    "http://example.org/a.mp4": "use https://",
    "https://user:secret@example.org/a.mp4": "it holds a password",
    "https://example.org/": "it names no file",
    "https:///a.mp4": "it names no file",
    "https://example.org:port/a.mp4": "not an address",
    "https://[example/a.mp4": "not an address",
    "https://example.org/a.mp4#t=0,5": "leave out what is behind #",
    "https://example.org/grö.mp4": "as %XX",
    "https://example.org/a b.mp4": "as %XX",
    "file://elsewhere/a.mp4": "another machine",
    "file:///a.mp4?x": "as %3F",
}


@pytest.mark.parametrize("url", URLS)
def test_an_address_that_is_refused_is_a_problem_that_says_why(url: str) -> None:
    found = find(url)

    assert found.clips == []
    assert [URLS[url] in problem for problem in found.problems] == [True], found.problems


def test_a_password_in_an_address_is_not_told() -> None:
    (problem,) = find("https://user:secret@example.org/a.mp4").problems

    assert "secret" not in problem


def test_a_files_address_is_that_file(folder: Path) -> None:
    path = write(folder / "with space.mp4")

    assert find(path.as_uri()) == find(path)


def test_problems_are_all_counted_and_the_first_hundred_kept(folder: Path) -> None:
    problems = Problems()
    asked = (f"gone{number}.mp4" for number in range(1000))

    list(find_clips(asked, read_settings(), variants=OptionOverrides(Options()), problems=problems))

    assert (len(problems), len(list(problems))) == (1000, 100)
    assert next(iter(problems)).startswith("gone0.mp4: ")


def test_the_same_problem_many_times_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLIPFLEET_S3_ACCESS_KEY", "CLIPFLEET_S3_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    problems = Problems()
    asked = (f"s3://bucket/{number}.mp4" for number in range(1000))

    list(find_clips(asked, read_settings(), variants=OptionOverrides(Options()), problems=problems))

    assert len(problems) == 1000
    (line,) = problems
    assert line.startswith("s3://bucket needs credentials")
    assert line.endswith("(1,000 times)")
