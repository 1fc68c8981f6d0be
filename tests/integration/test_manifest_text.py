"""Manifests as spreadsheets, editors and databases save them: read, or refused by what they are."""

import csv
import gzip
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from clipfleet_producer.sources.manifests.csv_rows import csv_rows
from clipfleet_producer.sources.manifests.json_rows import element_rows
from clipfleet_producer.sources.manifests.table_text import open_text
from clipfleet_producer.sources.manifests.tables import is_listed_table, is_table
from clipfleet_producer.sources.manifests.text_rows import MAX_LINE_BYTES
from tests.support.manifests import take

ROW = ("a.mp4", (1.5, 3.0), {"label": "grün"})
TABLE = "clip,start_s,end_s,label\r\na.mp4,1.5,3,grün\r\n"

TEXTS: dict[str, tuple[str, bytes]] = {
    "semicolons": ("m.csv", "clip;start_s;end_s;label\na.mp4;1,5;3;grün\n".encode("utf-8-sig")),
    "semicolons and quotes": (
        "m.csv",
        '"clip";"start_s";"end_s";"label"\n"a.mp4";"1,5";"3";"grün"\n'.encode(),
    ),
    "tabs": ("m.csv", TABLE.replace(",", "\t").encode()),
    "bars": ("m.csv", TABLE.replace(",", "|").encode()),
    "commas in TSV": ("m.tsv", TABLE.encode()),
    "sep=": ("m.csv", f"sep=;\r\n{TABLE.replace(',', ';')}".encode()),
    "sep= a tab": ("m.csv", b"sep=\t\r\n" + TABLE.replace(",", "\t").encode()),
    "sep= in quotes": ("m.csv", f'"sep=|"\r\n{TABLE.replace(",", "|")}'.encode()),
    "sep= of text, a mark": ("m.txt", f"sep=|\r\n{TABLE.replace(',', '|')}".encode("utf-8-sig")),
    "sep= and a mark": ("m.csv", f"sep=,\r\n{TABLE}".encode("utf-8-sig")),
    "UTF-16 and tabs": ("m.csv", TABLE.replace(",", "\t").encode("utf-16")),
    "UTF-16, the other order": ("m.csv", b"\xfe\xff" + TABLE.encode("utf-16-be")),
    "UTF-16 without a mark": ("m.csv", TABLE.encode("utf-16-le")),
    "UTF-32": ("m.csv", TABLE.encode("utf-32")),
    "lines that end in CR": ("m.csv", TABLE.replace("\r\n", "\r").encode()),
    "empty lines first": ("m.csv", f"\r\n\r\n{TABLE}".encode()),
    "spaces after commas": (
        "m.csv",
        'label, start_s, end_s, clip\ngrün, 1.5, 3, "a.mp4"\n'.encode(),
    ),
    "padded rows": ("m.csv", TABLE.replace("grün\r", "grün,,,\r").encode()),
    "gzip": ("m.csv.gz", gzip.compress(TABLE.encode())),
    "gzip by another name": ("m.csv", gzip.compress(TABLE.encode())),
    "zstd": ("m.csv.zst", zstandard.compress(TABLE.encode())),
    "zstd in frames": (
        "m.csv.zst",
        b"".join(zstandard.compress(line) for line in TABLE.encode().splitlines(True)),
    ),
    "text": ("m.txt", TABLE.replace(",", "\t").encode()),
    "JSON lines in UTF-16": (
        "m.jsonl",
        '{"clip": "a.mp4", "span": [1.5, 3], "label": "grün"}\n'.encode("utf-16"),
    ),
    "a list": ("m.json", '[{"clip": "a.mp4", "span": [1.5, 3], "label": "grün"}]'.encode()),
    "a list with a mark": (
        "m.json",
        '[{"clip": "a.mp4", "span": [1.5, 3], "label": "grün"}]'.encode("utf-8-sig"),
    ),
    "a list in a .jsonl": (
        "m.jsonl",
        '[\n{"clip": "a.mp4", "span": [1.5, 3], "label": "grün"}\n]'.encode(),
    ),
    "an object of a list": (
        "m.json",
        '{"v": 1, "videos": [{"clip": "a.mp4", "span": [1.5, 3], "label": "grün"}]}'.encode(),
    ),
    "lines in a .json": (
        "m.json",
        '{"clip": "a.mp4", "span": [1.5, 3], "label": "grün"}\n'.encode(),
    ),
    "an object over lines": (
        "m.json",
        json.dumps({"clip": "a.mp4", "span": [1.5, 3], "label": "grün"}, indent=2).encode(),
    ),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_manifest_is_read_however_it_was_saved(tmp_path: Path, case: str) -> None:
    name, data = TEXTS[case]

    found = take(tmp_path, name, data)

    assert (found.rows, found.problems) == ([ROW], [])


def test_what_was_done_to_a_file_is_said_where_its_name_does_not(tmp_path: Path) -> None:
    name, data = TEXTS["gzip by another name"]

    (note,) = take(tmp_path, name, data).notes

    assert note == "m.csv: it is packed with gzip, whatever its name says, and is read unpacked"


@pytest.mark.parametrize("data", ["a.mp4\nb.mp4\n", "a.mp4\r\n\r\nb.mp4"])
def test_a_text_file_is_a_list_of_clips(tmp_path: Path, data: str) -> None:
    assert take(tmp_path, "m.txt", data).clips == ["a.mp4", "b.mp4"]


LISTS = {
    "texts": '["a.mp4", "b.mp4"]',
    "an object of texts": '{"videos": ["a.mp4", "b.mp4"]}',
    "rows that hold lists": '[{"x": [{"y": 1}], "videos": ["a.mp4"]}, {"videos": ["b.mp4"]}]',
    "objects one after the other": '{\n "clip": "a.mp4"\n}\n{\n "clip": "b.mp4"\n}\n',
    "a bad row": '[{"clip": "a.mp4"}, 5, {"clip": "b.mp4"}]',
    "a row that is no JSON": '[{"clip": "a.mp4"}, {"x": NaN}, {"clip": "b.mp4"}]',
    "a quote left open": '[\n {"clip": "a.mp4"},\n {"clip": "b.mp4, "x": 1},\n {"clip": "b.mp4"}]',
    "a row of 3 MB": '[\n{"clip": "a.mp4"},\n{"x": "'
    + "x" * 3_000_000
    + '"},\n{"clip": "b.mp4"}\n]',
    "a first line cut short": '{"clip": "a.mp4",\n{"clip": "a.mp4"}\n{"clip": "b.mp4"}\n',
    "a list cut short": '[{"clip": "a.mp4"}, {"clip": "b.mp4"},',
}


@pytest.mark.parametrize("case", LISTS)
def test_the_rows_of_json_are_read_and_one_that_is_wrong_is_one_problem(
    tmp_path: Path, case: str
) -> None:
    found = take(tmp_path, "m.json", LISTS[case])

    assert found.clips == ["a.mp4", "b.mp4"]
    assert len(found.problems) == (case in list(LISTS)[4:])


def test_a_list_is_read_whatever_its_length(tmp_path: Path) -> None:
    row = json.dumps({"clip": "a.mp4", "label": '}],{"\\'})
    many = MAX_LINE_BYTES // len(row) + 10

    found = take(
        tmp_path, "m.json", '{"info": {"x": [1]}, "videos": [' + ", ".join([row] * many) + "]}"
    )

    assert (len(found.rows), found.problems) == (many, [])
    assert found.rows[-1] == ("a.mp4", None, {"label": '}],{"\\'})


NO_LISTS = {
    "several lists": ('{"a": [{"clip": "a.mp4"}], "b": [{"x": 1}]}', "several lists, a, b"),
    "objects by name": ('{"v1": {"x": 1}, "v2": {"x": 1}}', "there is v1, v2"),
    "depth": ("[" * 200_000, "m.json: line 1: it is longer than 1024 KiB, or is not closed"),
    "depth that is closed": ("[" * 200_000 + "]" * 200_000, "not JSON: recursion"),
    "objects that nothing closes": ("[\n" + "{\n" * 700_000, "nothing that follows it is read"),
    "what follows a list": ('[{"x": 1}] and more', "line 1: it is no JSON from here on"),
}


@pytest.mark.parametrize("case", NO_LISTS)
def test_json_that_holds_no_rows_is_refused_by_what_it_is(tmp_path: Path, case: str) -> None:
    data, said = NO_LISTS[case]

    found = take(tmp_path, "m.json", data)

    assert found.rows == []
    assert any(said in problem for problem in found.problems)


REFUSED: dict[str, tuple[str, bytes, str]] = {
    "xlsx": ("m.xlsx", b"PK\x03\x04", "a workbook of Excel; export it as CSV"),
    "xls": ("m.XLS", b"", "a workbook of Excel; export it as CSV"),
    "ods": ("m.ods", b"PK\x03\x04", "a spreadsheet; export it as CSV"),
    "arrow": ("m.arrow", b"ARROW1", "an Arrow file; export it as CSV, JSON lines or Parquet"),
    "feather": ("m.feather", b"ARROW1", "an Arrow file; export it as CSV"),
    "a workbook named CSV": ("m.csv", b"PK\x03\x04\x14\0\6\0", "a ZIP archive, as workbooks"),
    "Parquet named CSV": ("m.csv", b"PAR1\x15\0", "it is Parquet; name it .parquet"),
    "xz": ("m.csv.xz", b"\xfd7zXZ", "unpack it, or pack it with gzip or zstd"),
    "no zstd": ("m.csv.zst", b"clip\na.mp4\n", "it cannot be unpacked"),
    "half an UTF-16 letter": ("m.csv", "clip\na".encode("utf-16") + b"\0", "it is no UTF-16"),
    "sep= a quote": ("m.csv", b'sep="\nclip\na.mp4\n', 'there is sep="'),
    "nothing": ("m.csv", b"", "it is empty: its first line should name columns"),
    "cp1252 in the first line": ("m.csv", b"clip,gr\xf6\xdfe\na.mp4,1\n", "0xF6 at byte 8"),
    "a NUL in the first line": ("m.csv", b"clip,a\0\na.mp4,1\n", "line 1, which should name"),
    "no column of clips": ("m.csv", b"a.mp4,1,2\n", "there is a.mp4, 1, 2"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_once_by_what_it_is(tmp_path: Path, case: str) -> None:
    name, data, said = REFUSED[case]

    found = take(tmp_path, name, data)

    assert found.rows == []
    (problem,) = found.problems
    assert problem.startswith(f"{name}: ")
    assert said in problem


class AnyColumns:
    """Takes any columns."""

    decimal_comma = False

    def check_columns(self, names: Iterable[str]) -> None:
        """All are well."""

    def names_clips(self, names: Iterable[str]) -> bool:
        """As manifests have it."""
        return "clip" in names


def no_fault(number: int, said: object) -> None:
    raise AssertionError(f"{number}: {said}")


GOOD = "a.mp4,x\n"
QUOTES = {
    "never closed, many rows": (
        f'clip,label\nb.mp4,"oops\n{GOOD * 30_000}',
        30_000,
        "line 2: a quote",
    ),
    "never closed, long rows": (
        f'clip,label\nb.mp4,"oops\n{"a.mp4," + "x" * 5000 + chr(10)}' + GOOD * 400,
        401,
        "line 2",
    ),
    "closed by another that is open": (
        f'clip,label\nb.mp4,"oops\n{GOOD * 500}b.mp4,"too\n{GOOD}',
        501,
        "(and 1 more line like it: 503)",
    ),
    "within a cell": (f'clip,label\nb.mp4,"say "hi" now"\n{GOOD}', 1, "line 2: a quote"),
    "escaped otherwise": (f'clip,label\nb.mp4,"say \\"hi\\" now"\n{GOOD}', 1, "line 2: a quote"),
    "in the last line": (f'clip,label\n{GOOD}b.mp4,"oops', 1, "line 3: a quote"),
    "of a clip": (f'label,clip\nx,"b.mp4\n{"x,a.mp4" + chr(10)}', 1, "line 2: a quote"),
}


@pytest.mark.parametrize("case", QUOTES)
def test_a_quote_left_open_costs_its_own_line_alone(tmp_path: Path, case: str) -> None:
    data, good, said = QUOTES[case]

    found = take(tmp_path, "m.csv", data)

    assert found.clips == ["a.mp4"] * good
    (problem,) = found.problems
    assert said in problem


def test_a_cell_of_many_lines_is_read(tmp_path: Path) -> None:
    text = 'one, two\n\nthree, "four"\n' * 20
    quoted = text.replace('"', '""')

    found = take(tmp_path, "m.csv", f'clip,label\na.mp4,"{quoted}"\nb.mp4,y\n')

    assert found.problems == []
    assert found.rows == [("a.mp4", None, {"label": text}), ("b.mp4", None, {"label": "y"})]


def test_quotes_left_open_without_end_are_given_up(tmp_path: Path) -> None:
    opens_twice = 'q",",' + "x" * 100 + "\n"  # as a row, and within one

    found = take(tmp_path, "m.csv", "clip,label\n" + opens_twice * 50_000)

    assert found.rows == []
    assert [problem.partition(":")[0] for problem in found.problems] == ["m.csv, line 2", "m.csv"]
    assert "quotes are left open before, again and again" in found.problems[1]


CELLS = st.text(st.sampled_from("abé\",;\n'| \t"), max_size=8)


@given(st.lists(st.tuples(CELLS, CELLS), max_size=8), st.sampled_from(",;\t|"))
def test_what_csv_writes_is_read_as_it_was(rows: list[tuple[str, str]], delimiter: str) -> None:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter)
    writer.writerows([("clip", "one", "two"), *(("s3://b/a.mp4", *row) for row in rows)])

    read = list(csv_rows(io.BytesIO(file.getvalue().encode()), ",", AnyColumns(), no_fault))

    wanted = [{"clip": "s3://b/a.mp4", "one": one, "two": two} for one, two in rows]
    assert [row for _, row in read] == [
        {name: cell for name, cell in row.items() if cell} for row in wanted
    ]


VALUES = st.recursive(
    st.none() | st.text(st.sampled_from('ab\\"{}[],: é'), max_size=6) | st.integers(0, 9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
)


@given(
    st.lists(st.fixed_dictionaries({"clip": st.just("a"), "x": VALUES}), min_size=1, max_size=6),
    st.sampled_from([None, 1]),
    st.booleans(),
)
def test_a_list_of_json_is_read_as_it_was_written(
    rows: list[dict[str, Any]], indent: int | None, held: bool
) -> None:
    text = json.dumps({"v": [1], "rows": rows} if held else rows, indent=indent)
    file = open_text(io.BytesIO(text.encode()), "m.json", lambda said: None)

    read = list(element_rows(file, lambda names: "clip" in names, no_fault))

    assert read == [(number, row) for number, row in enumerate(rows, 1)]


def test_faults_of_one_kind_are_one_line_with_the_first_places(tmp_path: Path) -> None:
    rows = "".join(f"no{number}.mp4,1,{number}\n" for number in range(2, 30_002))

    found = take(tmp_path, "m.csv", f"clip,start_s,end_s\n{rows}")

    assert found.problems == [
        "m.csv, line 2: no2.mp4: there is no such file "
        "(and 29,999 more lines like it: 3, 4, 5, 6, 7, …)"
    ]


def test_faults_of_several_kinds_are_a_line_each(tmp_path: Path) -> None:
    data = io.StringIO()
    data.write("clip,start_s,end_s\n")
    for number in range(100):
        data.write(f"no{number}.mp4,1,2\na.mp4,{number + 5},3\na.mp4,1\na.mp4,\0,2\n")

    found = take(tmp_path, "m.csv", data.getvalue())

    assert [problem.partition("(and ")[2][:3] for problem in found.problems] == ["99 "] * 4


def test_the_line_of_a_letter_that_is_no_utf_8_is_named_with_its_byte(tmp_path: Path) -> None:
    found = take(tmp_path, "m.csv", "clip,label\na.mp4,grün\nb.mp4,y\n".encode("cp1252"))

    assert found.clips == ["b.mp4"]
    assert found.problems == [
        "m.csv, line 2: it is not UTF-8 (0xFC at byte 9); save the file as UTF-8"
    ]


@pytest.mark.parametrize("name", ["a.json", "a.txt.gz"])
def test_json_and_text_beside_clips_are_manifests_where_they_are_named_alone(name: str) -> None:
    assert is_table(name)
    assert not is_listed_table(name)
