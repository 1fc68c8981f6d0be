"""Counts over a run's clips."""

from clipfleet.runs import LOST, RunCounts, count_record
from tests.support.records import clip_record


def test_a_clip_without_a_record_is_missing() -> None:
    record = clip_record()
    counts = LOST + count_record(record, record.run_id)
    assert (counts.clips, counts.done, counts.missing, counts.lost) == (2, 1, 1, 1)


def test_a_record_of_another_run_was_there_before() -> None:
    assert count_record(clip_record(), "another").previously_done == 1


def test_errors_of_all_clips_are_counted_by_name() -> None:
    one = RunCounts(errors={"ClipUnreadable": 2})
    two = RunCounts(errors={"ClipUnreadable": 1, "ClipTooShort": 1})
    assert (one + two).errors == {"ClipUnreadable": 3, "ClipTooShort": 1}
