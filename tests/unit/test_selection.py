"""Which files are taken by their names, and how those that are not are counted."""

import pytest

from clipfleet_producer.sources.endings import DEMUXERS
from clipfleet_producer.sources.globs import Glob
from clipfleet_producer.sources.passed_over import PassedOver
from clipfleet_producer.sources.selection import Selection

COMMON = (
    *(".mp4", ".m4v", ".mov", ".qt", ".f4v", ".3gp", ".3g2", ".3gp2", ".mkv", ".webm", ".avi"),
    *(".divx", ".ts", ".mts", ".m2ts", ".m2t", ".trp", ".tod", ".mpg", ".mpeg", ".mpe", ".vob"),
    *(".mod", ".m1v", ".m2v", ".mpv", ".flv", ".asf", ".wmv", ".ogv", ".ogm", ".ogg", ".mxf"),
    *(".gif", ".nut", ".ivf", ".obu", ".264", ".h264", ".avc", ".265", ".h265", ".hevc", ".mjpg"),
    *(".dv", ".y4m"),
)


@pytest.mark.parametrize("ending", COMMON)
def test_every_ending_that_workers_can_read_is_taken_in_any_letters(ending: str) -> None:
    selection = Selection()

    assert selection.takes(f"a{ending}")
    assert selection.takes(f"clips/A.B{ending.upper()}")
    assert not selection.passed


def test_every_ending_is_in_the_table_once() -> None:
    assert len(DEMUXERS) == len(set(DEMUXERS))
    assert all(ending == ending.lower() for ending in DEMUXERS)


HIDDEN = [
    "._a.mp4",
    ".a.mp4",
    ".Trash/a.mp4",
    ".Trash-1000/files/a.mp4",
    ".ipynb_checkpoints/a.mp4",
    "day1/__MACOSX/day1/a.mp4",
    "@eaDir/a.mp4/SYNOVIDEO.mp4",
    "$RECYCLE.BIN/S-1-5/a.mp4",
    "#recycle/a.mp4",
    "lost+found/a.mp4",
    "System Volume Information/a.mp4",
]


@pytest.mark.parametrize("path", HIDDEN)
@pytest.mark.parametrize("glob", [None, Glob("**"), Glob("**/*.mp4")])
def test_hidden_names_are_passed_over_and_counted_at_any_depth(
    path: str, glob: Glob | None
) -> None:
    selection = Selection(glob)

    assert not selection.takes(path, parts=True)
    assert selection.passed.counts() == {"hidden": 1}


@pytest.mark.parametrize("folder", ["day1/.git", "__MACOSX", "@eaDir"])
def test_hidden_folders_are_not_entered(folder: str) -> None:
    selection = Selection()

    assert not selection.enters(folder)
    assert selection.enters("day1")
    assert selection.passed.counts() == {"hidden": 1}


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        (".hidden*.mp4", ".hidden1.mp4"),
        ("*/.Trash/*.mp4", "x/.Trash/a.mp4"),
        ("__MACOSX/**", "__MACOSX/a.mp4"),
        ("lost*/*.mp4", "lost+found/a.mp4"),
    ],
)
def test_a_hidden_name_that_a_pattern_spells_out_is_taken(glob: str, path: str) -> None:
    selection = Selection(Glob(glob))

    assert selection.takes(path, parts=True)
    assert selection.enters(path.rpartition("/")[0]) or "/" not in path


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("*.xyz", "a.xyz"),
        ("clips/*.bin", "clips/a.bin"),
        ("**/cam?.DAT2", "x/cam1.DAT2"),
        ("*", "lists.jsonl"),
        ("day*/", "day1/deep/a.mp4"),
        ("e\u0301*.mp4", "\u00e9t\u00e9.mp4"),
        ("\u00e9*.mp4", "e\u0301te\u0301.mp4"),
    ],
)
def test_what_a_pattern_names_is_taken(glob: str, path: str) -> None:
    assert Selection(Glob(glob)).takes(path, parts=True)


@pytest.mark.parametrize("glob", ["*", "*.*", "a.[mx][py][4z]", "a.*"])
def test_a_pattern_that_leaves_the_ending_open_takes_videos(glob: str) -> None:
    selection = Selection(Glob(glob))

    assert selection.takes("a.mp4")
    assert not selection.takes("a.xyz")
    assert selection.passed.counts() == {".xyz": 1}


def test_a_file_that_fits_but_for_capital_letters_is_remembered_and_not_taken() -> None:
    selection = Selection(Glob("*.mp4"))

    assert not selection.takes("GOPR1.MP4")
    assert (selection.almost, bool(selection.passed)) == ("GOPR1.MP4", False)


def test_ambiguous_names_are_looked_into_unless_a_pattern_names_their_ending() -> None:
    heads = {"a.ts": b"let x = 1", "b.ts": (b"G" + bytes(187)) * 9, "c.ts": None, "d.mp4": b""}
    asked: list[str] = []

    def head(name: str) -> bytes | None:
        asked.append(name)
        return heads[name]

    selection, outright = Selection(), Selection(Glob("*.ts"))

    assert list(selection.by_content(heads, str, head)) == ["b.ts", "c.ts", "d.mp4"]
    assert asked == ["a.ts", "b.ts", "c.ts"]
    assert selection.passed.counts() == {".ts without video": 1}
    assert list(outright.by_content(heads, str, head)) == list(heads)


def test_counts_are_said_the_most_first_and_the_rest_in_one() -> None:
    passed = PassedOver()
    passed.add(".srt", 12)
    passed.add("hidden", 2)
    passed.add("", 3)

    assert str(passed) == "12 .srt, 3 without an ending, 2 hidden"

    for number in range(9):
        passed.add(f".e{number}")

    assert str(passed).endswith(".e4, and 4 of 4 more kinds")
    assert passed.counts()[".e8"] == 1


def test_names_from_others_fill_no_memory() -> None:
    passed, all_ = PassedOver(), PassedOver()
    for number in range(2000):
        passed.add(f".{number}{'x' * 1000}")
    all_.merge(passed)

    assert len(all_.counts()) == 1001
    assert sum(all_.counts().values()) == 2000
    assert max(map(len, all_.counts())) <= 40
