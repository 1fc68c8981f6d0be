"""What travels is checked on receipt."""

from typing import Any

import pytest

from clipfleet.errors import MessageInvalid
from clipfleet.messages import ClipJob, WindowJob

IDS: dict[str, Any] = {
    "run_id": "20260102-030405-ab12",
    "clip_uuid": "6ba7b810-9dad-51d1-80b4-00c04fd430c8",
    "options_hash": "0123456789abcdef",
}
CLIP: dict[str, Any] = {**IDS, "source": "file:///clips/a.mp4", "staged": True, "attempt": 2}
WINDOW: dict[str, Any] = {**IDS, "start_frame": 256, "end_frame": 511}
HUGE = "x" * 10 * 2**20


def test_a_clips_message_reads_back_as_it_was_sent() -> None:
    job = ClipJob.read(CLIP)

    assert ClipJob.read(job.model_dump()) == job


def test_a_windows_message_reads_back_as_it_was_sent() -> None:
    job = WindowJob.read(WINDOW)

    assert WindowJob.read(job.model_dump()) == job


@pytest.mark.parametrize(
    "payload",
    [
        ClipJob.read({**CLIP, "span_s": [0.5, 2.0]}).model_dump(),
        CLIP,  # of a version of before
        {**CLIP, "redo": True},
    ],
)
def test_a_message_that_was_checked_is_the_same_without_being_checked_again(
    payload: dict[str, Any],
) -> None:
    assert ClipJob.received(payload) == ClipJob.read(payload)


def test_a_clips_message_without_more_is_a_first_attempt_and_not_staged() -> None:
    job = ClipJob.read({**IDS, "source": "s3://bucket/a.mp4"})

    assert (job.staged, job.attempt) == (False, 1)


@pytest.mark.parametrize("name", [*IDS, "source"])
def test_a_field_that_is_missing_is_named(name: str) -> None:
    payload = {key: value for key, value in CLIP.items() if key != name}

    with pytest.raises(MessageInvalid, match=f"not a ClipJob: {name}: "):
        ClipJob.read(payload)


WRONG: dict[str, list[object]] = {
    "run_id": [
        *("", ".", "..", "../up", "a/b", "a\\b", "-a", ".hidden", "a b", "a\n", "a\0", "%2e%2e"),
        *("é", "r" * 65, HUGE, None, 7, b"run"),
    ],
    "clip_uuid": [
        *("", "6ba7b810", "6BA7B810-9DAD-51D1-80B4-00C04FD430C8", "../../etc/passwd"),
        *("6ba7b8109dad51d180b400c04fd430c8", "6ba7b810-9dad-51d1-80b4-00c04fd430c8\n"),
        *("g" * 8 + "-9dad-51d1-80b4-00c04fd430c8", HUGE, None, 7),
    ],
    "set_name": ["a/b", "..", "-a", "é", "runs", "probe", "s" * 65, "a\n", None, 7],
    "options_hash": ["", "0123", "0123456789ABCDEF", "0123456789abcdef0", "../0123456789abc", None],
    "source": ["", "s" * 2049, HUGE, None, 7],
    "staged": ["true", 1, None],
    "attempt": [0, -1, 1001, "1", 1.0, True, None],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in WRONG.items() for value in values],
    ids=lambda value: repr(value)[:40],
)
def test_a_clips_field_that_is_wrong_is_refused_and_named(name: str, value: object) -> None:
    with pytest.raises(MessageInvalid, match=f"not a ClipJob: {name}: "):
        ClipJob.read({**CLIP, name: value})


@pytest.mark.parametrize("value", [-1, "0", 0.0, True, None, 2**53], ids=repr)
def test_a_frame_number_that_is_wrong_is_refused_and_named(value: object) -> None:
    with pytest.raises(MessageInvalid, match="not a WindowJob: start_frame: "):
        WindowJob.read({**WINDOW, "start_frame": value, "end_frame": 2**53 - 1})


def test_a_window_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(MessageInvalid, match="end_frame is before start_frame"):
        WindowJob.read({**WINDOW, "end_frame": 255})


def test_a_window_may_be_one_frame_long() -> None:
    assert WindowJob.read({**WINDOW, "end_frame": 256}).end_frame == 256


@pytest.mark.parametrize("extra", ["key", "prompt", "__class__"])
def test_a_field_that_does_not_belong_is_refused_and_named(extra: str) -> None:
    with pytest.raises(MessageInvalid, match=f"{extra}: Extra inputs are not permitted"):
        WindowJob.read({**WINDOW, extra: "metas/v0/other.json"})


@pytest.mark.parametrize("payload", [None, [], [WINDOW], "{}", b"{}", 7, [["start_frame", 1]]])
def test_what_is_no_message_at_all_is_refused(payload: object) -> None:
    with pytest.raises(MessageInvalid, match="not a WindowJob"):
        WindowJob.read(payload)


def test_a_clips_message_is_not_a_windows() -> None:
    with pytest.raises(MessageInvalid, match="not a WindowJob"):
        WindowJob.read(CLIP)


@pytest.mark.parametrize(
    "payload",
    [
        {**CLIP, "source": HUGE},
        {**CLIP, HUGE: 1},
        {**CLIP, **{f"field-{i}": i for i in range(10_000)}},
    ],
    ids=["a long value", "a long name", "many fields"],
)
def test_a_refusal_stays_short_however_large_the_message(payload: dict[str, object]) -> None:
    with pytest.raises(MessageInvalid) as refusal:
        ClipJob.read(payload)

    assert len(str(refusal.value)) < 1000


def test_a_message_cannot_be_changed() -> None:
    job = WindowJob.read(WINDOW)

    with pytest.raises(ValueError, match="frozen"):
        job.start_frame = 0
