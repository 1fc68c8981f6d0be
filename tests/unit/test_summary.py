"""Figures over records: lengths of captions, and what else a run's summary counts."""

from itertools import pairwise

import pytest

from clipfleet.records import ClipRecord, EnhancedCaption, Status
from clipfleet.runs import ClipDigest, digest_record
from clipfleet_producer.runs.statistics import Lengths, Summary
from tests.support.exported_run import done_record, with_caption


def _digest(record: ClipRecord) -> ClipDigest:
    return digest_record(record, "0" * 32)


def _lengths(*words: int) -> Lengths:
    lengths = Lengths()
    for count in words:
        lengths.note({count: 1})
    return lengths


def test_of_an_odd_number_of_texts_the_median_is_the_one_in_the_middle() -> None:
    assert _lengths(9, 1, 5).quantile(0.5) == 5


def test_the_fifth_of_a_hundred_lengths_is_their_5_percent_quantile() -> None:
    lengths = _lengths(*range(1, 101))

    assert (lengths.quantile(0.05), lengths.quantile(0.95)) == (5, 95)


def test_the_ends_are_the_shortest_and_the_longest() -> None:
    figures = _lengths(3, 8, 3).figures()

    assert (figures["shortest"], figures["longest"], figures["texts"]) == (3, 8, 3)


def test_of_no_texts_nothing_is_told() -> None:
    assert _lengths().figures()["median"] is None
    assert _lengths().bins() == []


def test_words_are_parted_by_any_white_space() -> None:
    summary = Summary()
    summary.note(_digest(done_record(0, ["a\tred\n\nball "])))

    assert summary.lengths["caption"].quantile(0.5) == 3


@pytest.mark.parametrize("words", [(4,), (1, 20), (1, 21), (1, 400), (7, 8, 8)])
def test_every_text_falls_into_one_of_at_most_twenty_bins(words: tuple[int, ...]) -> None:
    bins = _lengths(*words).bins()

    assert sum(texts for _, _, texts in bins) == len(words)
    assert len(bins) <= 20
    assert bins[0][0] == min(words)
    assert bins[-1][0] <= max(words) <= bins[-1][1]


def test_bins_follow_each_other_without_a_gap() -> None:
    bins = _lengths(1, 137).bins()

    assert all(after[0] == before[1] + 1 for before, after in pairwise(bins))


def test_a_clip_without_a_record_is_missing() -> None:
    summary = Summary()
    summary.note(None)

    assert (summary.figures()["clips"], summary.figures()["missing"]) == (1, 1)


def test_errors_are_counted_by_step_and_name() -> None:
    summary = Summary()
    summary.note(_digest(done_record(0, [None, None, "fine"])))

    assert summary.figures()["errors"] == [
        {"step": "caption", "error": "RequestTimedOut", "count": 2}
    ]


def test_flags_of_captions_and_how_they_ended_are_counted() -> None:
    summary = Summary()
    record = done_record(0, ["one two", "three"])
    odd = {"flags": ["truncated", "repetitive"], "finish_reason": "length"}
    windows = [record.windows[0], with_caption(record.windows[1], **odd)]
    summary.note(_digest(record.model_copy(update={"windows": windows})))

    found = summary.figures()["texts"]["caption"]
    assert found["finish_reasons"] == {"stop": 1, "length": 1}
    assert found["flags"] == {"truncated": 1, "repetitive": 1}


def test_tokens_of_both_models_are_added_up() -> None:
    summary = Summary()
    record = done_record(0, ["one"])
    enhanced = EnhancedCaption(status=Status.OK, prompt_tokens=100, output_tokens=10, recipe="")
    windows = [with_caption(record.windows[0], enhanced=enhanced)]
    summary.note(_digest(record.model_copy(update={"windows": windows})))

    assert summary.figures()["prompt_tokens"] == 5940
    assert summary.figures()["output_tokens"] == 200
