"""The columns of an export: all that a record holds, each described, none twice."""

import json
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from clipfleet.records import (
    Caption,
    ClipRecord,
    EnhancedCaption,
    Frames,
    Preview,
    SourceInfo,
    WindowRecord,
)
from clipfleet_producer.export.columns import Column, Kind
from clipfleet_producer.export.schema import CLIP, WINDOW, Per, columns, record_rows
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
    **dict.fromkeys(["models", "prompts"], "what the captioner and the enhancer have of them is"),
}
# Fields of a window and of what it nests, likewise.
LEFT_OUT_OF_WINDOWS = {
    **dict.fromkeys(
        [
            *("caption.data", "caption.score", "caption.attempts", "enhanced.attempts"),
            "frames.strip_key",
        ],
        "nothing fills it yet",
    ),
    **dict.fromkeys(
        [
            f"{of}.{each}"
            for of in ("caption", "enhanced")
            for each in ("model", "prompt_sha256", "sampling", "recipe")
        ],
        "the clip has it",
    ),
    "preview.recipe": "the clip has it",
    "caption.first_pass": "its text and how it ended are shown",
    "caption.enhanced": "shown as enhanced",
    "captions": "shown as caption and enhanced",
}


def _fields_of_a_clip() -> Iterator[str]:
    for name in ClipRecord.model_fields:
        if name == "source":
            yield from (f"{name}.{field}" for field in SourceInfo.model_fields)
        else:
            yield name


def _fields_of_a_window() -> Iterator[str]:
    nested: dict[str, type[BaseModel]] = {
        **{"caption": Caption, "enhanced": EnhancedCaption},
        **{"frames": Frames, "preview": Preview},
    }
    yield from WindowRecord.model_fields.keys() - nested.keys()
    for name, model in nested.items():
        yield from (f"{name}.{field}" for field in model.model_fields)


def test_every_field_of_a_clips_record_has_a_column_or_a_reason_for_none() -> None:
    shown = {column.path for column in CLIP if isinstance(column.path, str)}

    assert set(_fields_of_a_clip()) - set(LEFT_OUT) == shown


def test_every_field_of_a_window_has_a_column_or_a_reason_for_none() -> None:
    statuses = {"caption_status", "enhance_status", "preview_status"}
    shown = {column.path for column in WINDOW} - statuses
    shown -= {path for path in shown if str(path).startswith("caption.first_pass.")}

    by_status = {"caption.status", "enhanced.status"}
    assert set(_fields_of_a_window()) - set(LEFT_OUT_OF_WINDOWS) - by_status == shown


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
    rows = list(record_rows(per)(done_record(0, ["a", None])))

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
    (row,) = record_rows(Per.WINDOW)(done_record(0, ["a"], warnings=["odd"]))

    broken = {
        column.name: row[column.name]
        for column in columns(Per.WINDOW)
        if row[column.name] is not None
        and type(row[column.name])
        is not (list if isinstance(column.kind, tuple) else _PYTHON[column.kind])
    }
    assert broken == {}


def test_a_window_gives_a_row_with_its_clip_beside_it() -> None:
    rows = list(record_rows(Per.WINDOW)(done_record(7, ["a", "b"])))

    assert [row["caption"] for row in rows] == ["a", "b"]
    assert [row["start_frame"] for row in rows] == [0, 256]
    assert {row["source_video"] for row in rows} == {"s3://clips/00007.mp4"}


def test_a_clip_gives_one_row_with_its_windows_nested() -> None:
    (row,) = record_rows(Per.CLIP)(done_record(7, ["a", None]))

    assert [each["caption"] for each in row["windows"]] == ["a", None]
    assert row["windows"][1]["errors"][0]["error"] == "RequestTimedOut"


def test_a_clip_without_windows_gives_no_row_of_windows_and_one_of_clips() -> None:
    assert list(record_rows(Per.WINDOW)(clip_record())) == []
    assert [row["windows"] for row in record_rows(Per.CLIP)(clip_record())] == [[]]


def test_what_a_clip_never_had_is_null() -> None:
    (row,) = record_rows(Per.CLIP)(clip_record())

    assert row["container"] is None
    assert row["enhance_model"] is None


def test_metadata_is_one_json_text() -> None:
    (row,) = record_rows(Per.CLIP)(clip_record().model_copy(update={"metadata": {"a": [1, "é"]}}))

    assert json.loads(row["metadata"]) == {"a": [1, "é"]}
    assert "é" in row["metadata"]


def test_nested_columns_are_described_with_their_fields() -> None:
    errors = next(column for column in WINDOW if column.name == "errors").described()

    assert errors["type"] == "list<struct>"
    assert [field["name"] for field in errors["fields"]][:2] == ["step", "error"]
