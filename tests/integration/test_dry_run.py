"""`--dry-run` says what lies in the folders and is no clip."""

import json
from pathlib import Path

import pytest

from tests.support.cli_here import run_here
from tests.support.found_clips import write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two clips, one of them empty, and what lies about."""
    write(tmp_path / "clips" / "a.VOB")
    write(tmp_path / "clips" / "empty.mp4", b"")
    for name in ("a.srt", "b.srt", "._a.VOB", "__MACOSX/a.VOB", "app.ts", "x.\x1b[31mred"):
        write(tmp_path / "clips" / name, b"text")
    return tmp_path


def dry_run(folder: Path, *flags: str, code: int = 0) -> str:
    env = {"HOME": str(folder), "CLIPFLEET_STORE": str(folder / "out"), "COLUMNS": "200"}
    done = run_here(["submit", *flags], env=env, cwd=folder)
    assert done.returncode == code, done.stdout
    return done.stdout


def test_a_dry_run_counts_what_is_passed_over_by_ending(folder: Path) -> None:
    said = dry_run(folder, "clips", "--dry-run")

    assert r"Passed over: 2 .srt, 2 hidden, 1 .\x1b[31mred, 1 .ts without video." in said
    assert "2 clips: 0 are done already (0 with errors), 2 would be fed" in said
    assert "1 of them are empty" in said


def test_a_dry_run_for_machines_is_one_object(folder: Path) -> None:
    said = json.loads(dry_run(folder, "clips", "gone.mp4", "--dry-run", "--json", code=3))

    assert said["clips"] == said["to_feed"] == 2
    assert said["passed_over"] == {
        **{".srt": 2, "hidden": 2, ".ts without video": 1},
        ".\x1b[31mred": 1,
    }
    assert said["problems"] == ["gone.mp4: there is no such file or folder"]
    assert (said["empty"], said["bytes"], said["seconds"]) == (1, 4, None)


def test_a_dry_run_says_how_manifests_are_read(folder: Path) -> None:
    rows = "clips/a.VOB,1,3\ngone.mp4,1,3\n"
    write(folder / "m.csv", f"path,start,end\n{rows}".encode())

    said = dry_run(folder, "m.csv", "--dry-run", code=3)
    asked = dry_run(folder, "m.csv", "--dry-run", "--column", "start_s=", code=3)
    counted = json.loads(dry_run(folder, "m.csv", "--dry-run", "--json", code=3))

    assert "m.csv: column start is read as start_s, end is read as end_s" in said
    assert "2 rows of manifests, 1 of them wrong" in said
    assert "m.csv, line 3: gone.mp4: there is no such file" in said
    assert "is read as" not in asked
    assert (counted["rows"], counted["wrong_rows"], len(counted["notes"])) == (2, 1, 1)


def test_a_column_flag_that_means_nothing_is_refused(folder: Path) -> None:
    said = dry_run(folder, "m.csv", "--dry-run", "--column", "begin=x", code=2)

    assert "--column begin: write it as NAME=COLUMN, where NAME is one of clip, span" in said
