"""What an export writes is read back by the formats' own libraries, with types and descriptions."""

import csv
import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from clipfleet.errors import ExitCode, UsageError
from clipfleet.records import EnhancedCaption, Status
from clipfleet.store import Store
from clipfleet_producer.export.columns import Column, Kind
from clipfleet_producer.export.formats.text import CsvFiles
from clipfleet_producer.export.journal import JOURNAL_FILE
from clipfleet_producer.export.schema import Per, columns
from tests.support.exported_run import (
    JPEG,
    RUN,
    WEBP,
    StoredRun,
    done_record,
    json_rows,
    numbers,
    source,
    with_caption,
)

CAPTIONS = ['a "red" ball,\nthen a box\r\n', "=naïve 日本 😀 \u2028 \x85"]
WINDOWS = len(columns(Per.WINDOW))


@pytest.fixture
def run(folder_store: Store) -> StoredRun:
    """Four clips: two windows with words that need care, one that failed in part, one plain."""
    run = StoredRun(folder_store, Path(folder_store.uri))
    run.begin(4)
    run.put(
        done_record(0, CAPTIONS),
        done_record(1, [None, "fine"], warnings=["one frame lost"]),
        done_record(2, []),
        done_record(3),
        pictures=True,
    )
    return run


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "taken"


@pytest.fixture
def rows(run: StoredRun, tmp_path: Path) -> list[dict[str, Any]]:
    """The run's rows as JSON lines have them."""
    assert run.export(tmp_path / "lines").exit_code == ExitCode.OK
    rows = json_rows(tmp_path / "lines")
    assert [row["caption"] for row in rows] == [*CAPTIONS, None, "fine", "a red ball"]
    return rows


def export(run: StoredRun, dest: Path, *arguments: str) -> None:
    """Export in parts of two clips."""
    result = run.export(dest, "--shard-size", "2", *arguments)
    assert result.exit_code == ExitCode.OK, (result.output, result.exception)


def test_pyarrow_reads_parquet_as_the_rows_are(
    run: StoredRun, dest: Path, rows: list[dict[str, Any]]
) -> None:
    import pyarrow.dataset

    export(run, dest, "--format", "parquet")

    table = pyarrow.dataset.dataset(dest, format="parquet").to_table()
    assert table.to_pylist() == rows


@pytest.mark.parametrize("per", Per)
def test_a_parquet_field_has_its_columns_type_and_description(
    run: StoredRun, dest: Path, per: Per
) -> None:
    import pyarrow.parquet

    export(run, dest, "--format", "parquet", "--per", per.value)

    schema = pyarrow.parquet.read_schema(dest / "part-000000.parquet")
    assert schema.names == [column.name for column in columns(per)]
    for column in columns(per):
        field = schema.field(column.name)
        assert field.metadata[b"description"].decode() == column.description
        if isinstance(column.kind, Kind):
            written = str(field.type).replace("element: ", "").replace("item: ", "")
            assert written.replace("double", "float64") == column.kind


def test_parquet_of_clips_has_their_windows_nested(run: StoredRun, dest: Path) -> None:
    import pyarrow.dataset

    export(run, dest, "--format", "parquet", "--per", "clip")

    table = pyarrow.dataset.dataset(dest, format="parquet").to_table()
    captions = [[each["caption"] for each in windows] for windows in table["windows"].to_pylist()]
    assert captions == [CAPTIONS, [None, "fine"], [], ["a red ball"]]


def test_datasets_reads_parquet_as_the_rows_are(
    run: StoredRun, dest: Path, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    datasets = pytest.importorskip("datasets")
    export(run, dest, "--format", "parquet")

    files = sorted(map(str, dest.glob("*.parquet")))
    found = datasets.Dataset.from_parquet(files, cache_dir=str(tmp_path / "cache"))

    assert found.to_list() == rows


def read_csv(dest: Path) -> list[dict[str, str]]:
    read: list[dict[str, str]] = []
    for file in sorted(dest.glob("*.csv")):
        read += csv.DictReader(io.StringIO(file.read_bytes().decode(), newline=""))
    return read


FORMULAS = (
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",
    "＋1",
    "－1",
    "＠x",
    "'=1",
    "''-1",
)
NO_FORMULAS = ("a = b", "'quoted'", " =1", "1-2", "[-1]", "‐ hyphen")


def test_no_cell_of_csv_is_a_formula_and_texts_can_be_had_as_they_were(
    run: StoredRun, dest: Path
) -> None:
    texts = (*FORMULAS, *NO_FORMULAS)
    run.begin(1)
    run.put(done_record(0, texts))
    export(run, dest, "--format", "csv")

    read = [row["caption"] for row in read_csv(dest)]
    cells = [cell for row in read_csv(dest) for cell in row.values()]

    assert not [cell for cell in cells if cell[:1] in tuple("=+-@\t\r\n＝＋－＠")]
    assert read == [f"'{text}" for text in FORMULAS] + list(NO_FORMULAS)
    assert [re.sub("^'(?='*[=+@\t\r\n＝＋－＠-])", "", cell) for cell in read] == list(texts)


def test_numbers_below_zero_stay_numbers(tmp_path: Path) -> None:
    columns = (Column("n", Kind.NUMBER, "", "n"), Column("=name", Kind.TEXT, "", "name"))
    files = CsvFiles(tmp_path, columns, escape_formulas=True)
    files.write(0, iter([{"n": -1.5, "=name": "x"}]))

    assert (tmp_path / "part-000000.csv").read_text() == "n,'=name\n-1.5,x\n"


def test_asked_for_texts_of_csv_are_as_they_are(run: StoredRun, dest: Path) -> None:
    run.begin(1)
    run.put(done_record(0, FORMULAS))
    export(run, dest, "--format", "csv", "--no-escape-formulas")

    assert [row["caption"] for row in read_csv(dest)] == list(FORMULAS)
    again = run.export(dest, "--format", "csv")
    assert "escape formulas False, not True" in str(again.exception)


def test_csv_reads_back_with_every_letter_of_its_captions(run: StoredRun, dest: Path) -> None:
    export(run, dest, "--format", "csv", "--no-escape-formulas")

    read = read_csv(dest)
    assert [row["caption"] for row in read] == [*CAPTIONS, "", "fine", "a red ball"]
    assert [row["valid"] for row in read] == ["true", "true", "false", "false", "true"]
    assert json.loads(read[0]["frame_indices"]) == [0, 85, 170, 255]
    assert json.loads(read[2]["errors"])[0]["error"] == "RequestTimedOut"


def test_beside_csv_lies_what_its_columns_are(run: StoredRun, dest: Path) -> None:
    export(run, dest, "--format", "csv")

    described = json.loads((dest / "schema.json").read_text("utf-8"))
    header = (dest / "part-000000.csv").read_text("utf-8").split("\n", 1)[0].split(",")
    assert [column["name"] for column in described] == header
    assert all(column["type"] and column["description"] for column in described)


def test_every_csv_part_has_the_header(run: StoredRun, dest: Path) -> None:
    export(run, dest, "--format", "csv")

    headers = {file.read_text("utf-8").split("\n", 1)[0] for file in dest.glob("*.csv")}
    assert len(list(dest.glob("*.csv"))) == 2
    assert len(headers) == 1


def test_webdataset_reads_its_samples_with_row_caption_and_pictures(
    run: StoredRun, dest: Path, rows: list[dict[str, Any]]
) -> None:
    import webdataset

    export(run, dest, "--format", "webdataset")

    urls = sorted(map(str, dest.glob("*.tar")))
    samples = list(webdataset.WebDataset(urls, shardshuffle=False, empty_check=False))
    assert [json.loads(sample["json"]) for sample in samples] == rows
    assert [sample.get("txt", b"").decode() for sample in samples] == [
        row["caption"] or "" for row in rows
    ]
    assert {sample["webp"] for sample in samples} == {WEBP}
    assert {sample["jpg"] for sample in samples} == {JPEG}
    clip, start, end = rows[1]["clip_uuid"], rows[1]["start_frame"], rows[1]["end_frame"]
    assert samples[1]["__key__"] == f"{clip}_{start}_{end}"


def _members(dest: Path) -> list[str]:
    found = []
    for file in sorted(dest.glob("*.tar")):
        with tarfile.open(file) as tar:
            found += tar.getnames()
    return found


def test_a_tars_members_have_no_dot_but_that_of_their_suffix(run: StoredRun, dest: Path) -> None:
    export(run, dest, "--format", "webdataset")

    assert _members(dest)
    assert {name.count(".") for name in _members(dest)} == {1}


def test_without_previews_there_are_no_pictures_in_tars(run: StoredRun, dest: Path) -> None:
    export(run, dest, "--format", "webdataset", "--no-previews")

    assert {Path(name).suffix for name in _members(dest)} == {".json", ".txt"}


def test_the_enhanced_caption_is_a_samples_text_where_there_is_one(
    run: StoredRun, dest: Path
) -> None:
    record = done_record(3, ["plain"])
    better = EnhancedCaption(status=Status.OK, text="better", recipe="")
    windows = [with_caption(record.windows[0], enhanced=better)]
    run.put(record.model_copy(update={"windows": windows}))

    export(run, dest, "--format", "webdataset")

    with tarfile.open(dest / "part-000001.tar") as tar:
        (text,) = (name for name in tar.getnames() if name.endswith(".txt"))
        member = tar.extractfile(text)
        assert member is not None
        assert member.read() == b"better"


def test_pictures_that_are_gone_are_left_out_and_told_of(run: StoredRun, dest: Path) -> None:
    run.store.delete_prefix("previews/")

    result = run.export(dest, "--format", "webdataset")

    assert "10 pictures are no longer in the store" in result.output
    assert {Path(name).suffix for name in _members(dest)} == {".json", ".txt"}


def test_the_same_tar_comes_out_the_same(run: StoredRun, dest: Path, tmp_path: Path) -> None:
    export(run, dest, "--format", "webdataset")
    export(run, tmp_path / "again", "--format", "webdataset")

    for file in dest.glob("*.tar"):
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


def _lance_rows(dest: Path) -> list[dict[str, Any]]:
    import lance

    rows: list[dict[str, Any]] = lance.dataset(str(dest / "data.lance")).to_table().to_pylist()
    return sorted(rows, key=lambda row: (row["source_video"], row["start_frame"]))


def test_lance_reads_its_dataset_as_the_rows_are(
    run: StoredRun, dest: Path, rows: list[dict[str, Any]]
) -> None:
    export(run, dest, "--format", "lance")

    found = _lance_rows(dest)
    assert [row.pop("export_part") for row in found] == [0, 0, 0, 0, 1]
    assert found == rows


def test_lance_keeps_descriptions(run: StoredRun, dest: Path) -> None:
    import lance

    export(run, dest, "--format", "lance")

    schema = lance.dataset(str(dest / "data.lance")).schema
    described = {
        name: schema.field(name).metadata[b"description"].decode() for name in ("caption",)
    }
    assert described["caption"].startswith("The caption")


def test_clips_done_later_replace_their_part_of_a_lance_dataset(
    folder_store: Store, dest: Path
) -> None:
    run = StoredRun(folder_store, Path(folder_store.uri))
    run.begin(4)
    run.put(done_record(0), done_record(2), done_record(3))
    run.export(dest, "--format", "lance", "--shard-size", "2")
    run.put(done_record(1))

    export(run, dest, "--format", "lance")

    assert numbers(_lance_rows(dest)) == [0, 1, 2, 3]


def test_a_part_that_lance_has_and_the_journal_does_not_is_not_there_twice(
    run: StoredRun, dest: Path, rows: list[dict[str, Any]]
) -> None:
    export(run, dest, "--format", "lance")
    journal = dest / JOURNAL_FILE
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]))  # as if killed between the two

    export(run, dest, "--format", "lance")

    assert len(_lance_rows(dest)) == len(rows)


def test_a_lance_dataset_that_others_changed_is_refused(run: StoredRun, dest: Path) -> None:
    import lance

    export(run, dest, "--format", "lance")
    lance.dataset(str(dest / "data.lance")).delete("start_frame = 0")

    result = run.export(dest, "--shard-size", "2", "--format", "lance")

    assert isinstance(result.exception, UsageError)
    assert "others changed it" in str(result.exception)


@pytest.mark.parametrize("format", ["csv", "webdataset"])
def test_a_format_of_rows_alone_refuses_rows_of_clips(
    run: StoredRun, dest: Path, format: str
) -> None:
    result = run.export(dest, "--format", format, "--per", "clip")

    assert isinstance(result.exception, UsageError)
    assert not dest.exists()


@pytest.mark.parametrize(
    ("format", "module"),
    [("parquet", "pyarrow.parquet"), ("webdataset", "webdataset"), ("lance", "lance")],
)
def test_a_missing_library_is_named_with_its_remedy_and_another_format_may_follow(
    run: StoredRun, dest: Path, monkeypatch: pytest.MonkeyPatch, format: str, module: str
) -> None:
    import sys

    with monkeypatch.context() as hidden:
        hidden.setitem(sys.modules, module, None)
        result = run.export(dest, "--format", format)

    assert isinstance(result.exception, UsageError)
    assert "pip install 'clipfleet[export]'" in str(result.exception)
    assert run.export(dest, "--format", "jsonl").exit_code == ExitCode.OK


def test_rows_name_their_run_and_source(rows: list[dict[str, Any]]) -> None:
    assert {row["run_id"] for row in rows} == {RUN}
    assert rows[0]["source_video"] == source(0)
    assert json.loads(rows[0]["metadata"]) == {"camera": 0, "tags": ["näive", None]}
