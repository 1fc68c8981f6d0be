"""The record's JSON Schema, as other people's readers take it."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from clipfleet.records import ClipRecord, merge
from clipfleet.records.schema import record_schema, schema_text
from tests.support.exported_run import done_record
from tests.support.records import clip_record, completed, failed
from tests.unit.test_merge import ENHANCED, PREVIEWED, broken, made, with_unknown_fields

CHECKED_IN = Path(__file__).parents[2] / "docs" / "record.schema.json"
RECORDS = {
    "without windows": clip_record(),
    "with errors": done_record(0, ["a", None]),
    "enhanced": made(ENHANCED),
    "in two passes": made(PREVIEWED, caption=completed("Better.", first="Good.")),
    "failed": made(PREVIEWED, caption=failed("caption", "broken")),
    "unreadable": made(PREVIEWED, plan=broken()),
    "merged": merge(made(PREVIEWED), made(ENHANCED)),
    "with fields of a later version": with_unknown_fields(made(PREVIEWED)),
}


def test_the_schema_that_is_checked_in_is_the_models() -> None:
    told = "python -m clipfleet.records.schema > docs/record.schema.json"
    assert CHECKED_IN.read_text(encoding="utf-8") == schema_text(), f"make it anew: {told}"


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(record_schema())


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_is_valid_by_it(name: str) -> None:
    jsonschema.validate(as_written(RECORDS[name]), record_schema())


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (["schema_version"], 1),
        (["valid"], "yes"),
        (["windows", 0, "status"], "fine"),
        (["windows", 0, "qwen_caption"], 3),
        (["windows", 0, "captions", "default", "flags"], "truncated"),
        (["windows", 0, "frames", "indices"], [0.5]),
    ],
    ids=str,
)
def test_what_is_no_record_is_not(path: list[Any], wrong: object) -> None:
    record = as_written(made(ENHANCED))
    place = record
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = wrong

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(record, record_schema())


def as_written(record: ClipRecord) -> Any:
    """The record as it lies in the store."""
    return json.loads(record.to_bytes())
