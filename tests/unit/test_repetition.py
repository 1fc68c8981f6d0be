"""Texts that run away are told from texts that only repeat themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipfleet_workers.steps.repetition import runs_away


@pytest.mark.parametrize(
    "text",
    [
        "A car drives by. " + "The car is red. " * 6,
        "A road. " + "and then the man walks on, " * 40 + "and then the m",
        "Ein Hund läuft. " + "läuft " * 30,
        "一辆车开过。" + "然后它停下来，" * 20,
        "The sign says " + "0" * 80,
    ],
)
def test_a_text_that_ends_in_one_phrase_over_and_over_runs_away(text: str) -> None:
    assert runs_away(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A red car drives by, then a red bus drives by, then a red car drives by again.",
        "It is very, very, very, very far away.",
        "The number on the plate is 1,000,000,000.",
        "The car is red. " * 6 + "At last it stops in front of a house, and a man gets out of it.",
        "He says no, no, no, no.",
    ],
)
def test_a_text_that_goes_somewhere_does_not(text: str) -> None:
    assert not runs_away(text)


@given(st.text(min_size=20, max_size=60).map(str.strip).filter(lambda t: len(t) >= 16))
def test_any_phrase_said_six_times_at_the_end_is_found(phrase: str) -> None:
    assert runs_away("A beginning of its own. " + (phrase + "; ") * 6)
