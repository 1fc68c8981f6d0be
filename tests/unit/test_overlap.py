"""How many words two texts share, exactly and by sketches."""

import random

import pytest

from clipfleet.overlap import distinct_words, estimated_overlap, overlap, sketch

WORDS = [f"word{number}" for number in range(400)]


def test_words_are_compared_in_small_letters_and_without_marks() -> None:
    assert distinct_words(["A red ball.", "the RED ball"]) == {"a", "red", "ball", "the"}


@pytest.mark.parametrize(
    ("first", "second", "share"),
    [("a b", "a b", 1), ("a b", "c d", 0), ("a b c", "b c d", 0.5), ("", "", 1), ("a", "", 0)],
)
def test_the_overlap_is_the_part_of_all_words_that_both_have(
    first: str, second: str, share: float
) -> None:
    words = [distinct_words([text]) for text in (first, second)]

    assert overlap(*words) == share
    assert estimated_overlap(*map(sketch, words)) == share


@pytest.mark.parametrize("shared", [0, 20, 60, 95])
def test_sketches_tell_about_the_overlap(shared: int) -> None:
    errors = []
    for seed in range(50):
        words = random.Random(seed).sample(WORDS, 200)
        first = frozenset(words[:100])
        second = frozenset(words[100 - shared : 200 - shared])
        errors.append(estimated_overlap(sketch(first), sketch(second)) - overlap(first, second))

    assert abs(sum(errors) / len(errors)) < 0.04
    assert max(map(abs, errors)) < 0.25


def test_a_sketch_is_short_and_the_same_whatever_the_order() -> None:
    assert sketch(WORDS) == sketch(reversed(WORDS))
    assert len(sketch(WORDS)) == 64
