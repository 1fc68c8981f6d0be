"""Each clip once, and in another order where that is asked for."""

import random
from collections.abc import Iterator
from itertools import islice, pairwise

import pytest

from clipfleet import keys
from clipfleet.records import ManifestLine
from clipfleet_producer.sources.unique import unique


def clip(number: int, **more: object) -> ManifestLine:
    source = f"s3://bucket/{number}.mp4"
    return ManifestLine(clip_uuid=keys.clip_uuid(source), source=source, **more)  # type: ignore[arg-type]


CLIPS = [clip(number) for number in range(300)]


def test_clips_come_in_their_order() -> None:
    assert list(unique(CLIPS)) == CLIPS


@pytest.mark.parametrize("seed", [None, 7])
def test_of_a_clip_that_comes_twice_the_first_line_is_taken(seed: int | None) -> None:
    first, second = clip(1, metadata={"n": 1}), clip(1, metadata={"n": 2})

    assert list(unique([first, second, clip(1)], shuffle=seed)) == [first]


@pytest.mark.parametrize("seed", [None, 7])
def test_no_clips_are_none(seed: int | None) -> None:
    assert list(unique([], shuffle=seed)) == []


def test_a_clip_is_handed_on_before_the_next_is_asked_for() -> None:
    def lines() -> Iterator[ManifestLine]:
        yield clip(1)
        raise AssertionError("asked for a second line")

    assert list(islice(unique(lines()), 1)) == [clip(1)]


def test_shuffled_clips_are_the_same_clips_in_another_order() -> None:
    found = list(unique(CLIPS + CLIPS, shuffle=7))

    assert found != CLIPS
    assert sorted(found, key=lambda line: int(line.source[12:-4])) == CLIPS


def test_shuffled_lines_keep_all_that_they_say() -> None:
    line = clip(
        1,
        num_bytes=5,
        span=(1.0, 2.5),
        options_hash="0123456789abcdef",
        metadata={"é": [None, 1.5, {"a": "😀"}]},
        redo=True,
    )

    assert list(unique([line], shuffle=7)) == [line]


def test_an_order_hangs_on_the_seed_and_on_nothing_else() -> None:
    mixed = random.Random(1).sample(CLIPS, len(CLIPS))

    assert list(unique(CLIPS, shuffle=7)) == list(unique(mixed, shuffle=7))
    assert list(unique(CLIPS, shuffle=7)) != list(unique(CLIPS, shuffle=8))


def test_a_shuffled_order_has_no_trace_of_the_first() -> None:
    numbers = [int(line.source[12:-4]) for line in unique(CLIPS, shuffle=7)]
    rising = sum(a < b for a, b in pairwise(numbers))

    assert 120 < rising < 180  # of 299; half of them, give or take six times its deviation of 5
