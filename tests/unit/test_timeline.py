"""When frames are shown: from timestamps, or from a rate alone."""

from fractions import Fraction

import pytest

from clipfleet_workers.media import timeline

MS = Fraction(1, 1000)


@pytest.mark.parametrize("rate", [24, 25, 30, 60])
@pytest.mark.parametrize("num_frames", [4, 100, 5000])
def test_times_that_a_container_rounds_to_1_ms_are_even(rate: int, num_frames: int) -> None:
    times = [round(n / rate, 3) for n in range(num_frames)]

    assert not timeline.is_uneven(times)


@pytest.mark.parametrize("rate", [24, 25, 30, 60])
@pytest.mark.parametrize("where", [1, 50, 98])
def test_times_with_a_pause_are_uneven(rate: int, where: int) -> None:
    times = [n / rate + (0.5 if n > where else 0.0) for n in range(100)]

    assert timeline.is_uneven(times)


@pytest.mark.parametrize("times", [[], [0.0], [0.0, 7.0]])
def test_fewer_than_3_frames_are_even(times: list[float]) -> None:
    assert not timeline.is_uneven(times)


def test_a_stated_rate_that_explains_all_but_rounding_is_exact() -> None:
    ntsc = 30_000 / 1001
    pts = [round(n / ntsc * 1000) for n in range(300)]

    found = timeline.by_timestamps(pts, time_base=MS, rates=[30.0, ntsc])

    assert found.rate == ntsc
    assert found.end_time_s == pytest.approx(300 / ntsc, abs=0.001)


def test_a_stated_rate_that_does_not_fit_gives_way_to_the_measured_one() -> None:
    pts = [n * 40 for n in range(100)]

    assert timeline.by_timestamps(pts, time_base=MS, rates=[30.0]).rate == pytest.approx(25)


def test_times_count_from_the_first_frame() -> None:
    found = timeline.by_timestamps([5000, 5040, 5080], time_base=MS, rates=[25.0])

    assert found.times_s == (0.0, 0.04, 0.08)


def test_where_times_are_uneven_the_last_frame_is_shown_for_as_long_as_it_says() -> None:
    pts = [0, 10, 20, 500]

    found = timeline.by_timestamps(pts, time_base=MS, rates=[25.0], last_ticks=70)

    assert found.uneven
    assert found.end_time_s == pytest.approx(0.57)


def test_where_it_does_not_say_it_is_shown_for_as_long_as_most() -> None:
    pts = [0, 10, 20, 500]

    found = timeline.by_timestamps(pts, time_base=MS, rates=[25.0])

    assert found.end_time_s == pytest.approx(0.51)


def test_one_frame_lasts_as_long_as_the_stated_rate_has_it() -> None:
    found = timeline.by_timestamps([77], time_base=MS, rates=[25.0])

    assert (found.times_s, found.end_time_s, found.uneven) == ((0.0,), 0.04, False)


def test_times_by_a_rate_are_constant() -> None:
    found = timeline.by_rate(3, 10.0)

    assert (found.times_s, found.end_time_s, found.uneven) == ((0.0, 0.1, 0.2), 0.3, False)


@pytest.mark.parametrize(
    ("times", "whole"),
    [
        ([7, 9, 11], [0, 2, 4]),
        ([None, 7, None, 11, None], [-2, 0, 2, 4, 6]),
        ([7, None, None, 8], [0, 1 / 3, 2 / 3, 1]),
        ([None, 7, None], [-1, 0, 1]),
        ([2**62, None, 2**62 + 1], [0, 0.5, 1]),
    ],
)
def test_times_that_are_missing_lie_evenly_between_the_others(
    times: list[int | None], whole: list[float]
) -> None:
    assert timeline.filled(times) == pytest.approx(whole)


def test_times_that_are_there_stay_exact() -> None:
    tick = Fraction(1, 30_000)
    found = timeline.by_timestamps(timeline.filled([0, 1001, 2002]), time_base=tick, rates=[29.97])

    assert found.times_s == (0.0, 1001 / 30_000, 2002 / 30_000)


def test_no_two_frames_are_shown_at_once_where_ticks_are_too_few() -> None:
    found = timeline.by_timestamps(timeline.filled([0, None, 1, None]), time_base=MS, rates=[25.0])

    assert found.times_s == pytest.approx((0.0, 0.0005, 0.001, 0.0015))
    assert found.end_time_s == pytest.approx(0.002)
