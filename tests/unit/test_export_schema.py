"""The columns of an export: all that a record holds, each described, none twice."""

import json
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from clipfleet.records import ClipRecord, ModelRecord, SourceInfo, WindowRecord
from clipfleet_producer.export.columns import Column, Kind
from clipfleet_producer.export.schema import CLIP, WINDOW, Per, columns, row_cutter
from tests.support.exported_run import done_record
from tests.support.records import clip_record

# Fields of records that no column shows: others say the same.
LEFT_OUT = {
    "windows": "each is a row, or nested in one",
    "width_source": "equals width",
    "height_source": "equals height",
    "framerate_source": "equals framerate",
    **dict.fromkeys(
        [f"source.{each}" for each in ("width", "height", "framerate", "num_frames")],
        "the clip has it",
    ),
    "source.video_codec": "the clip has it",
    "source.num_bytes": "the clip has it",
    "enhance_model.stage2_prompt": "the enhancer has one pass",
}


def _fields_of_a_clip() -> Iterator[str]:
    inner: dict[str, type[BaseModel]] = {
        "source": SourceInfo,
        "caption_model": ModelRecord,
        "enhance_model": ModelRecord,
    }
    for name in ClipRecord.model_fields:
        if name in inner:
            yield from (f"{name}.{field}" for field in inner[name].model_fields)
        else:
            yield name


def test_every_field_of_a_clips_record_has_a_column_or_a_reason_for_none() -> None:
    shown = {column.path for column in CLIP}

    assert set(_fields_of_a_clip()) - set(LEFT_OUT) == shown


def test_every_field_of_a_window_has_a_column() -> None:
    assert {column.path for column in WINDOW} == set(WindowRecord.model_fields)


@pytest.mark.parametrize("per", Per)
def test_no_name_stands_for_two_columns(per: Per) -> None:
    names = [column.name for column in columns(per)]

    assert len(set(names)) == len(names)


def _all(given: tuple[Column, ...]) -> Iterator[Column]:
    for column in given:
        yield column
        if isinstance(column.kind, tuple):
            yield from _all(column.kind)


@pytest.mark.parametrize("per", Per)
def test_every_column_is_described_in_a_sentence(per: Per) -> None:
    broken = [c.name for c in _all(columns(per)) if not c.description.endswith(".")]

    assert broken == []


@pytest.mark.parametrize("per", Per)
def test_a_row_has_the_columns_in_their_order(per: Per) -> None:
    rows = list(row_cutter(per)(done_record(0, ["a", None])))

    assert rows
    assert [list(row) for row in rows] == [[column.name for column in columns(per)]] * len(rows)


_PYTHON = {
    Kind.TEXT: str,
    Kind.INTEGER: int,
    Kind.NUMBER: float,
    Kind.BOOL: bool,
    Kind.TEXTS: list,
    Kind.INTEGERS: list,
    Kind.NUMBERS: list,
}


def test_a_value_is_of_its_columns_type() -> None:
    (row,) = row_cutter(Per.WINDOW)(done_record(0, ["a"], warnings=["odd"]))

    broken = {
        column.name: row[column.name]
        for column in columns(Per.WINDOW)
        if row[column.name] is not None
        and type(row[column.name])
        is not (list if isinstance(column.kind, tuple) else _PYTHON[column.kind])
    }
    assert broken == {}


def test_a_window_gives_a_row_with_its_clip_beside_it() -> None:
    rows = list(row_cutter(Per.WINDOW)(done_record(7, ["a", "b"])))

    assert [row["caption"] for row in rows] == ["a", "b"]
    assert [row["start_frame"] for row in rows] == [0, 256]
    assert {row["source_video"] for row in rows} == {"s3://clips/00007.mp4"}


def test_a_clip_gives_one_row_with_its_windows_nested() -> None:
    (row,) = row_cutter(Per.CLIP)(done_record(7, ["a", None]))

    assert [each["caption"] for each in row["windows"]] == ["a", None]
    assert row["windows"][1]["errors"][0]["error"] == "RequestTimedOut"


def test_a_clip_without_windows_gives_no_row_of_windows_and_one_of_clips() -> None:
    assert list(row_cutter(Per.WINDOW)(clip_record())) == []
    assert [row["windows"] for row in row_cutter(Per.CLIP)(clip_record())] == [[]]


def test_what_a_clip_never_had_is_null() -> None:
    (row,) = row_cutter(Per.CLIP)(clip_record())

    assert row["container"] is None
    assert row["enhance_model"] is None


def test_metadata_is_one_json_text() -> None:
    (row,) = row_cutter(Per.CLIP)(clip_record().model_copy(update={"metadata": {"a": [1, "é"]}}))

    assert json.loads(row["metadata"]) == {"a": [1, "é"]}
    assert "é" in row["metadata"]


def test_nested_columns_are_described_with_their_fields() -> None:
    errors = next(column for column in WINDOW if column.name == "errors").described()

    assert errors["type"] == "list<struct>"
    assert [field["name"] for field in errors["fields"]][:2] == ["step", "error"]
