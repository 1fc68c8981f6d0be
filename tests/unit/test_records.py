"""What lands in the store, and when a clip counts as done."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from clipfleet import keys
from clipfleet.errors import StoreUnavailable
from clipfleet.options import Options, PrepareOptions
from clipfleet.records import ClipRecord, Failure, ManifestLine, Part, Plan, Stored, done_record
from clipfleet.store import Store, open_store
from tests.support.records import (
    CLIP,
    JOB,
    OPTIONS,
    PLAN,
    clip_record,
    completed,
    failed,
    previewed,
)

OTHER = Options(prepare=PrepareOptions(window_size=100))
STORED: dict[str, Stored] = {
    "record": clip_record(),
    "plan": PLAN,
    "caption": completed("A car.", first="A red car."),
    "caption beyond ASCII": completed('Ein Fuß\u2028 \U0001f600 "\\d" \x00'),
    "preview": previewed(0, 255),
    "failure": failed("caption", "broken"),
    "manifest line": ManifestLine(clip_uuid=CLIP, source="s3://b/\n\U0001f600#%.mp4", num_bytes=3),
}


@pytest.mark.parametrize("name", STORED)
def test_what_is_stored_reads_back_as_it_was(name: str) -> None:
    stored = STORED[name]

    assert type(stored).model_validate_json(stored.to_bytes()) == stored


@pytest.mark.parametrize("name", STORED)
def test_what_is_stored_is_json_in_utf_8(name: str) -> None:
    assert isinstance(json.loads(STORED[name].to_bytes().decode("utf-8")), dict)


@pytest.mark.parametrize("name", sorted(STORED.keys() - {"manifest line"}))
def test_a_field_that_a_newer_version_added_is_kept(name: str) -> None:
    stored = STORED[name]
    data = {**json.loads(stored.to_bytes()), "judged": {"score": 5}}

    read = type(stored).model_validate_json(json.dumps(data))

    assert json.loads(read.to_bytes())["judged"] == {"score": 5}


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("span_uuid", None),
        ("num_frames", "many"),
        ("num_frames", 1.5),
        ("duration_span", [0.0]),
        ("valid", "perhaps"),
        ("windows", {}),
        ("errors", ["broken"]),
    ],
)
def test_a_records_field_of_the_wrong_type_is_refused(name: str, wrong: object) -> None:
    data = {**json.loads(clip_record().to_bytes()), name: wrong}

    with pytest.raises(ValidationError, match=name):
        ClipRecord.model_validate_json(json.dumps(data))


def test_a_status_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError, match="status"):
        Part.model_validate_json('{"status": "fine"}')


def test_a_failure_in_a_step_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError, match="step"):
        Failure.model_validate({"step": "upload", "error": "Broken", "message": "broken"})


def test_what_is_stored_cannot_be_changed() -> None:
    record = clip_record()

    with pytest.raises(ValidationError, match="frozen"):
        record.valid = True


def test_a_plan_without_more_has_no_warnings_and_no_errors() -> None:
    plan = Plan(job=JOB, source=None, windows=[])

    assert (plan.warnings, plan.errors) == ([], [])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty folder store."""
    opened = open_store(str(tmp_path / "out"))
    opened.prepare()
    return opened


def test_a_clip_with_its_whole_record_is_done(store: Store) -> None:
    store.put(keys.record(CLIP), clip_record().to_bytes())

    assert done_record(store, CLIP, OPTIONS.recipes) == clip_record()


def test_a_clip_without_a_record_is_not_done(store: Store) -> None:
    assert done_record(store, CLIP, OPTIONS.recipes) is None


def test_a_clip_done_with_other_options_is_not_done(store: Store) -> None:
    store.put(keys.record(CLIP), clip_record(OTHER).to_bytes())

    assert done_record(store, CLIP, OPTIONS.recipes) is None


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_clip_whose_record_is_torn_is_not_done(store: Store, share: float) -> None:
    whole = clip_record().to_bytes()
    store.put(keys.record(CLIP), whole[: int(len(whole) * share)])

    assert done_record(store, CLIP, OPTIONS.recipes) is None


FOREIGN = {
    "no JSON": b"<html></html>",
    "no UTF-8": b'{"span_uuid": "\xff"}',
    "no object": b"[]",
    "the reference system's": json.dumps(
        {"span_uuid": CLIP, "source_video": "a.mp4", "windows": [], "valid": True}
    ).encode(),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_clip_whose_record_is_foreign_is_not_done(store: Store, kind: str) -> None:
    store.put(keys.record(CLIP), FOREIGN[kind])

    assert done_record(store, CLIP, OPTIONS.recipes) is None


def test_a_store_that_is_away_is_an_error_and_not_a_clip_to_do(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> bytes:
        raise StoreUnavailable

    monkeypatch.setattr(store, "get", refuse)

    with pytest.raises(StoreUnavailable):
        done_record(store, CLIP, OPTIONS.recipes)
