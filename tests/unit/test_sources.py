"""Where clips come from."""

import os
from pathlib import Path

import pytest

from clipfleet import keys
from clipfleet.settings import read_settings
from producer.sources import Found, find_clips, local_path, short_name

pytestmark = pytest.mark.unit

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


def find(*arguments: Path | str) -> Found:
    """What the arguments name."""
    return find_clips(map(str, arguments), read_settings())


def write(path: Path, data: bytes = b"clip") -> Path:
    """A file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def names(found: Found) -> list[str]:
    """The names of the clips that were found."""
    return [short_name(clip.source) for clip in found.clips]


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
    for name in ("a.mp4", "notes.txt", "a.mp4.part", "mp4", "a.jpg"):
        write(folder / name)

    found = find(folder)

    assert (names(found), found.problems) == (["a.mp4"], [])


def test_a_named_file_of_another_kind_is_taken(folder: Path) -> None:
    assert names(find(write(folder / "notes.txt"))) == ["notes.txt"]


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
    from clipfleet.records import ManifestLine

    line = ManifestLine(clip_uuid=keys.clip_uuid("s3://b/a.mp4"), source="s3://b/a.mp4")

    assert local_path(line) is None


def test_a_link_to_a_folder_is_followed_and_a_loop_of_links_ends(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.mp4").write_bytes(b"a")
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "link").symlink_to(elsewhere)
    (elsewhere / "loop").symlink_to(folder)
    found = find_clips([str(folder)], read_settings())
    assert [clip.source for clip in found.clips] == [(elsewhere / "a.mp4").as_uri()]
    assert found.problems == []
