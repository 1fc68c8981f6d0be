"""Clips that are named by patterns."""

import os
from pathlib import Path

import pytest

from tests.support.found_clips import find, names, write
from tests.unit.test_sources import folder

__all__ = ["folder"]


GLOBS = {
    "*.mp4": ["a.mp4"],
    "**/*.mp4": ["a.mp4", "b.mp4", "c.mp4"],
    "day1/*": ["b.mp4"],
    "day1/**": ["b.mp4", "c.mp4"],
    "day?/deep/*.mp4": ["c.mp4"],
    "day[12]/deep/[!x].mp4": ["c.mp4"],
    "./da*/b.*": ["b.mp4"],
    "**/deep/**/c.mp4": ["c.mp4"],
    "day1/../*.mp4": ["a.mp4"],
}


@pytest.mark.parametrize("pattern", GLOBS)
def test_a_pattern_that_the_shell_left_names_the_videos_that_fit_it(
    folder: Path, pattern: str
) -> None:
    for name in ("a.mp4", "day1/b.mp4", "day1/deep/c.mp4", "day1/notes.txt", ".hid/d.mp4"):
        write(folder / name)

    assert find(pattern) == find(*(folder.rglob(name).__next__() for name in GLOBS[pattern]))


def test_a_pattern_from_the_root_names_what_fits_it(folder: Path) -> None:
    write(folder / "day1" / "a.mp4")

    assert names(find(f"{folder}/*/*.mp4")) == ["a.mp4"]


def test_folders_that_a_pattern_does_not_lead_to_are_not_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "clips" / "day1" / "a.mp4")
    write(folder / "clips" / "deep" / "er" / "b.mp4")
    read: list[str] = []
    scandir = os.scandir

    def note(path: str) -> object:
        read.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", note)

    assert names(find("clips/day*/*.mp4")) == ["a.mp4"]
    assert read == ["clips", "clips/day1"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(folder: Path) -> None:
    write(folder / "[ab].mp4")
    write(folder / "a.mp4")

    assert names(find("[ab].mp4")) == ["[ab].mp4"]


def test_a_pattern_that_nothing_fits_is_a_problem_that_names_it(folder: Path) -> None:
    write(folder / "a.txt")

    assert find("*.mp4").problems == ["*.mp4: no video file fits it"]


def test_a_pattern_may_name_manifests(folder: Path) -> None:
    write(folder / "a.mp4")
    write(folder / "lists" / "1.jsonl", b'{"clip": "../a.mp4"}')

    assert find("lists/*") == find("a.mp4")
