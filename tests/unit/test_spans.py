"""Times and spans as people write them."""

from typing import Any

import pytest

from clipfleet_producer.sources.manifests.spans import (
    NoTime,
    looks_like_span,
    read_span,
    seconds,
    split_span,
)
from clipfleet_producer.sources.uris import ClipRefused

TIMES = {
    "62.5": 62.5,
    " 62.5 ": 62.5,
    "1e1": 10.0,
    "1,5": 1.5,
    "1:02": 62.0,
    "90:00": 5400.0,
    "00:01:02.5": 62.5,
    "00:01:02,500": 62.5,
    "10s": 10.0,
    "10 sec": 10.0,
    "1m30s": 90.0,
    "1h 2m 3.5s": 3723.5,
    "500ms": 0.5,
    "PT1M2.5S": 62.5,
    "pt2h": 7200.0,
}


@pytest.mark.parametrize("text", TIMES)
def test_a_time_is_read_as_it_is_written(text: str) -> None:
    assert seconds(text) == TIMES[text]


NO_TIMES = {
    "00:00:10;12": "counts frames",
    "00:00:10:12": "counts frames",
    "1:75": "below 60",
    "1:60:00": "below 60",
    "1,500": "thousands or decimal",
    "-1": "from 0 on",
    "nan": "from 0 on",
    "inf": "from 0 on",
    "2024-01-01T00:00:00": "it is a date",
    "P1DT2S": "it is no time",
    "PT": "it is no time",
    "": "it is no time",
    "soon": "it is no time",
    "1_0": "it is no time",
    "1" * 65: "it is no time",
}


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_refused_by_what_it_is(text: str) -> None:
    with pytest.raises(NoTime, match=NO_TIMES[text]):
        seconds(text)


def test_a_file_whose_cells_semicolons_part_has_decimal_commas() -> None:
    assert seconds("1,500", decimal_comma=True) == 1.5


SPANS: dict[str, tuple[float, float]] = {
    "1.5-4": (1.5, 4),
    "1e-3 - 2": (0.001, 2),
    "[1.5, 4]": (1.5, 4),
    "(1.5, 4)": (1.5, 4),
    "0:01 - 0:04": (1, 4),
    "00:00:01,500 --> 00:00:04,000": (1.5, 4),
    "1s to 4s": (1, 4),
    "1–4": (1, 4),
    "['0:00:01.500', '0:00:04']": (1.5, 4),
    "[['0:00:01.500', '0:00:04']]": (1.5, 4),
    "[(1.5, 4)]": (1.5, 4),
}


@pytest.mark.parametrize("text", SPANS)
def test_a_span_is_two_times(text: str) -> None:
    assert split_span(text) == SPANS[text]
    assert looks_like_span(text)


OF_A_CLIP_CUT_BY_OTHERS: dict[str, tuple[Any, str]] = {
    "printed by Python": (f"[{', '.join(['[0.5, 1]'] * 90)}]", "it holds 90 spans"),
    "of texts": ("[['0:00:00.5', '0:00:01'], ['0:00:01', '0:00:02']]", "it holds 2 spans"),
    "tuples": ("[(0, 1), (1, 2)]", "it holds 2 spans"),
    "lists": ([[0, 1], [1, 2]], "it holds 2 spans"),
    "objects": ([{"start": 0, "end": 1}, {"start": 1, "end": 2}], "it holds 2 spans"),
    "an object": ({"start": 0, "end": 1, "label": "x"}, "it is an object"),
    "an object of times": ({"startTime": "0:01", "endTime": "0:02"}, "it is an object"),
}


@pytest.mark.parametrize("case", OF_A_CLIP_CUT_BY_OTHERS)
def test_spans_that_are_not_read_are_seen_all_the_same(case: str) -> None:
    value, said = OF_A_CLIP_CUT_BY_OTHERS[case]

    assert looks_like_span(value)
    with pytest.raises(ClipRefused, match=said):
        split_span(value)


NO_SPANS: dict[str, tuple[Any, Any, Any, str]] = {
    "backwards": (5, 3, None, "ends before it starts"),
    "of no length": (3, 3, None, "ends as it starts"),
    "days": (0.0001, 0.0002, None, "are these days"),
    "no end": (3, None, None, "there is no end_s"),
    "no start": ("", 3, None, "there is no start_s"),
    "no length": (3, None, 0, "ends as it starts"),
    "of frames": ("00:00:10;12", "00:00:12;00", None, "counts frames"),
    "of truth": (True, 3, None, "it is no time"),
    "huge": (0, 10**400, None, "finite"),
}


@pytest.mark.parametrize("case", NO_SPANS)
def test_what_is_no_span_is_refused_by_what_it_is(case: str) -> None:
    start, end, duration, said = NO_SPANS[case]

    with pytest.raises(ClipRefused, match=f"^its span .*{said}"):
        read_span(start, end, duration)


def test_faults_of_one_kind_are_of_one_kind_whatever_the_times() -> None:
    kinds = set()
    for end in range(1, 4):
        with pytest.raises(ClipRefused) as error:
            read_span(5, end)
        kinds.add(error.value.kind)

    assert len(kinds) == 1


@pytest.mark.parametrize(
    "value",
    [
        [["a", "b"], ["c", "d"]],
        {"start": "a"},
        "[['a', 'b']]",
        "2024-01",
        "3",
        3,
        None,
        "a-b",
        [1],
        [2, 1],
        "x" * 1000,
        {},
        [["a", "b"]],
    ],
)
def test_what_does_not_look_like_a_span(value: Any) -> None:
    assert not looks_like_span(value)
