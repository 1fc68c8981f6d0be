"""Manifests with cells: CSV and TSV."""

import pytest

from clipfleet.errors import UsageError
from tests.support.read_tables import CLIP, Read


def test_csv_names_its_columns_in_its_first_line() -> None:
    data = b'clip,start_s,end_s,label\r\ns3://bucket/a.mp4,1,2.5,"a, ""b""\nc"\r\n'

    (clip,) = Read("m.csv", data).clips

    assert (clip.source, clip.span, clip.metadata) == (CLIP, (1.0, 2.5), {"label": 'a, "b"\nc'})


def test_tsv_has_tabs() -> None:
    (clip,) = Read("m.tsv", b"clip\tlabel\ns3://bucket/a.mp4\tx,y\n").clips

    assert clip.metadata == {"label": "x,y"}


def test_an_empty_cell_is_absent() -> None:
    data = b"clip,span,prompt,options,label,\ns3://bucket/a.mp4,,,,,\n\n"

    (clip,) = Read("m.csv", data).clips

    assert (clip.span, clip.options_hash, clip.metadata) == (None, None, {})


@pytest.mark.parametrize("name", ["m.csv", "m.tsv"])
def test_a_table_without_a_column_for_clips_is_refused_once(name: str) -> None:
    with pytest.raises(
        UsageError, match=f"^{name}: it names no clip: there is nothing in a column"
    ):
        Read(name, b"label\nx\ny\n")


def test_a_table_without_the_column_that_was_asked_for_is_refused() -> None:
    with pytest.raises(UsageError, match=r"has no column where, .*; there is clip$"):
        Read("m.csv", b"clip\ns3://bucket/a.mp4\n", columns={"clip": "where"})


def test_a_table_with_two_columns_of_one_name_is_refused() -> None:
    with pytest.raises(UsageError, match="two columns label"):
        Read("m.csv", b"clip,label,label\ns3://bucket/a.mp4,x,y\n")


HOSTILE_CSV = {
    "too few cells": b"s3://bucket/b.mp4",
    "too many cells": b"s3://bucket/b.mp4,x,y",
    "no UTF-8": b"s3://bucket/\xff.mp4,x",
    "a NUL": b"s3://bucket/\0.mp4,x",
    "a stray quote": b's3://bucket/b.mp4,"x"y',
    "a line of 10 MB": b"s3://bucket/b.mp4," + b"x" * 10_000_000,
    "no clip": b",x",
}


@pytest.mark.parametrize("case", HOSTILE_CSV)
def test_a_hostile_row_of_csv_is_one_problem_and_the_rest_goes_on(case: str) -> None:
    good = CLIP.encode() + b",x\n"

    found = Read("m.csv", b"clip,label\n" + good + HOSTILE_CSV[case] + b"\n" + good)

    assert [clip.source for clip in found.clips] == [CLIP, CLIP]
    (problem,) = found.problems
    assert problem.startswith("m.csv, line 3: ")


def test_a_quote_that_nothing_closes_costs_no_more_than_a_cells_length() -> None:
    good = CLIP.encode() + b",x\n"

    found = Read("m.csv", b'clip,label\ns3://bucket/b.mp4,"x\n' + good * 20_000)

    assert len(found.problems) == 1
    assert len(found.clips) > 10_000


def test_rows_of_csv_that_never_end_are_looked_at_once_each() -> None:
    endless = b'clip\n"x\n' + b'","x\n' * 300_000

    found = Read("m.csv", endless)

    assert found.clips == []
    (problem,) = found.problems
    assert problem.startswith("m.csv, line 2: a quote")
