"""Clips that are named on standard input, one a line."""

import bz2
import gzip
import os
from pathlib import Path

import pytest

from tests.support.found_clips import find, names, write
from tests.unit.test_sources import folder

__all__ = ["folder"]


def test_standard_input_names_a_clip_a_line_relative_to_here(folder: Path) -> None:
    write(folder / "a.mp4")
    write(folder / "with space.mp4")

    found = find("-", stdin=b"a.mp4\n\nwith space.mp4\r\ns3://bucket/b.mp4")

    assert names(found) == ["a.mp4", "with space.mp4", "b.mp4"]
    assert found.problems == []


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX only")
def test_standard_input_may_name_files_that_are_not_utf_8(folder: Path) -> None:
    path = write(folder / os.fsdecode(b"caf\xe9.mp4"))

    assert find("-", stdin=b"caf\xe9.mp4\n") == find(path)


def test_a_line_of_json_on_standard_input_is_a_row_of_a_manifest(folder: Path) -> None:
    write(folder / "a.mp4")

    (clip,) = find("-", stdin=b'{"file": "a.mp4", "span": [1, 2], "label": "cat"}').clips

    assert (clip.span, clip.metadata) == ((1.0, 2.0), {"label": "cat"})


def test_a_line_that_names_no_clip_is_a_problem_with_its_number(folder: Path) -> None:
    write(folder / "a.mp4")

    found = find("-", stdin=b"a.mp4\ngone.mp4\n{oh\n.\n")

    assert names(found) == ["a.mp4"]
    assert [problem.partition(":")[0] for problem in found.problems] == [
        "standard input, line 2",
        "standard input, line 3",
        "standard input, line 4",
    ]


@pytest.mark.parametrize("line", [b"\xff", b"file:///\xff", b"s3://b/\xff", b"https://a.org/\xff"])
def test_bytes_that_are_no_letters_are_a_problem_where_no_file_has_them(
    folder: Path, line: bytes
) -> None:
    found = find("-", stdin=line)

    assert found.clips == []
    assert [problem.startswith("standard input, line 1: ") for problem in found.problems] == [True]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (bz2.compress(b"a.mp4\n"), "packed with bzip2"),
        (b"PAR1\x15\0\x15", "Parquet"),
        (b"ARROW1\0\0\xff", "an Arrow file"),
    ],
    ids=["bzip2", "Parquet", "Arrow"],
)
def test_standard_input_that_is_no_text_is_a_problem(data: bytes, what: str) -> None:
    (problem,) = find("-", stdin=data).problems

    assert problem.startswith(f"standard input: it is {what}")


@pytest.mark.parametrize("name", ["PAR1.mp4", "BZhang.mp4", "BZh91.mp4", "ARROW1.mp4"])
def test_a_list_may_begin_with_a_clip_named_like_another_format(folder: Path, name: str) -> None:
    write(folder / name)

    assert names(find("-", stdin=f"{name}\n".encode())) == [name]


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(b"a.mp4\n" * 100, mtime=0)[:-6],
        gzip.compress(b"a.mp4\n", mtime=0)[:12] + b"\xff" * 20,
        b"\x1f\x8b\0none",
        b"\x28\xb5\x2f\xfdnone",
    ],
    ids=["cut short", "damaged", "no gzip", "no zstd"],
)
def test_standard_input_that_cannot_be_unpacked_is_a_problem(packed: bytes) -> None:
    (problem,) = find("-", stdin=packed).problems

    assert problem.startswith("standard input: it cannot be unpacked (")


def test_empty_standard_input_is_a_problem(folder: Path) -> None:
    assert find("-").problems == ["-: it names no clip"]
