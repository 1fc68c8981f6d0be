"""Which frames make a window, and which of them are sampled."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from clipfleet_workers.media import windows

LIMIT = st.integers(4, 100_000)  # what the options take for window size and threshold
FRAMES = st.integers(0, 1_000_000)


@pytest.mark.parametrize(
    ("num_frames", "expected"),
    [
        (0, []),
        (3, []),
        (4, [(0, 3)]),
        (127, [(0, 126)]),
        (256, [(0, 255)]),
        (257, [(0, 256)]),
        (300, [(0, 299)]),
        (383, [(0, 382)]),
        (384, [(0, 255), (256, 383)]),
        (400, [(0, 255), (256, 399)]),
        (900, [(0, 255), (256, 511), (512, 767), (768, 899)]),
    ],
)
def test_a_clip_is_cut_into_the_windows_that_design_gives(
    num_frames: int, expected: list[tuple[int, int]]
) -> None:
    assert windows.split(num_frames, size=256, threshold=128) == expected


@given(num_frames=st.integers(4, 1_000_000), size=LIMIT, threshold=LIMIT)
def test_windows_cover_every_frame_once_and_in_order(
    num_frames: int, size: int, threshold: int
) -> None:
    found = windows.split(num_frames, size=size, threshold=threshold)

    assert found[0][0] == 0
    assert found[-1][1] == num_frames - 1
    assert all(start == end + 1 for (_, end), (start, _) in itertools.pairwise(found))


@given(num_frames=FRAMES, size=LIMIT, threshold=LIMIT)
def test_no_window_has_fewer_than_4_frames(num_frames: int, size: int, threshold: int) -> None:
    found = windows.split(num_frames, size=size, threshold=threshold)

    assert all(end - start + 1 >= 4 for start, end in found)


@given(num_frames=FRAMES, size=LIMIT, threshold=LIMIT)
def test_all_windows_but_the_last_are_full(num_frames: int, size: int, threshold: int) -> None:
    found = windows.split(num_frames, size=size, threshold=threshold)

    assert all(end - start + 1 == size for start, end in found[:-1])


@pytest.mark.parametrize(
    ("num_frames", "rate", "expected"),
    [
        (256, 30.0, 18),  # 17.07
        (256, 29.97, 18),
        (256, 24.0, 22),  # 21.33
        (300, 30.0, 20),
        (4, 30.0, 4),
        (5, 30.0, 4),
        (9, 1.0, 8),
        (10, 1.0, 10),
        (100_000, 30.0, 768),
    ],
)
def test_the_sample_count_is_windows_seconds_times_sampling_rate_made_even(
    num_frames: int, rate: float, expected: int
) -> None:
    assert windows.sample_count(num_frames, rate=rate, sampling_fps=2.0) == expected


@given(
    num_frames=st.integers(4, 200_000),
    rate=st.floats(0.01, 1000),
    sampling_fps=st.floats(0.01, 240),
)
def test_the_sample_count_is_even_and_within_4_and_768_and_the_windows_frames(
    num_frames: int, rate: float, sampling_fps: float
) -> None:
    count = windows.sample_count(num_frames, rate=rate, sampling_fps=sampling_fps)

    assert count % 2 == 0
    assert 4 <= count <= min(768, num_frames)


SPAN = st.tuples(st.integers(0, 100_000), st.integers(4, 100_000)).flatmap(
    lambda span: st.tuples(
        st.just(span[0]), st.just(span[0] + span[1] - 1), st.integers(4, min(768, span[1]))
    )
)


@given(SPAN)
def test_samples_start_at_the_windows_start_and_end_at_its_end(span: tuple[int, int, int]) -> None:
    start, end, count = span
    found = windows.sample_evenly(start, end, count)

    assert (found[0], found[-1], len(found)) == (start, end, count)


@given(SPAN)
def test_samples_never_go_back_and_stay_within_the_window(span: tuple[int, int, int]) -> None:
    start, end, count = span
    found = windows.sample_evenly(start, end, count)

    assert all(a <= b for a, b in itertools.pairwise(found))
    assert all(start <= number <= end for number in found)


@given(SPAN)
def test_samples_are_distinct_unless_nearly_every_frame_is_one(span: tuple[int, int, int]) -> None:
    start, end, count = span
    assume(count == end - start + 1 or end - start >= 1.1 * (count - 1) or end < 8192)

    assert len(set(windows.sample_evenly(start, end, count))) == count


def test_a_frame_late_in_a_long_clip_is_sampled_twice_where_float32_rounds_it_so() -> None:
    found = windows.sample_evenly(17_447, 17_447 + 658, 658)  # 658 of 659 frames

    assert [a for a, b in itertools.pairwise(found) if a == b] == [17_776]


def test_one_sample_is_the_windows_first_frame() -> None:
    assert windows.sample_evenly(7, 20, 1) == [7]


def test_samples_are_those_of_torchs_float32_linspace() -> None:
    torch = pytest.importorskip("torch")
    different = []
    for start in (0, 1, 255, 256, 513, 767, 4096, 65_536, 999_999):
        for num_frames in (*range(4, 130), 255, 256, 257, 383, 384, 999, 4097, 99_999):
            for count in {4, 6, 10, 16, 18, 20, 22, 34, 100, 256, 768}:
                if count > num_frames:
                    continue
                end = start + num_frames - 1
                expected = torch.linspace(start, end, count, dtype=torch.float32).round()
                if windows.sample_evenly(start, end, count) != expected.int().tolist():
                    different.append((start, end, count))

    assert different == []


@st.composite
def timed_windows(draw: st.DrawFn) -> tuple[list[float], int, int, int]:
    """Rising times of a clip's frames, and a window of it with a sample count."""
    gaps_ms = draw(st.lists(st.integers(1, 5000), min_size=3, max_size=300))
    times = [ms / 1000 for ms in itertools.accumulate(gaps_ms, initial=0)]
    start = draw(st.integers(0, len(times) - 4))
    end = draw(st.integers(start + 3, len(times) - 1))
    count = draw(st.integers(4, end - start + 1))
    return times, start, end, count


@given(timed_windows())
def test_samples_by_time_start_at_the_windows_start_and_end_at_its_end(
    case: tuple[list[float], int, int, int],
) -> None:
    times, start, end, count = case
    found = windows.sample_by_time(times, start, end, count)

    assert (found[0], found[-1], len(found)) == (start, end, count)


@given(timed_windows())
def test_samples_by_time_are_distinct_and_rise(case: tuple[list[float], int, int, int]) -> None:
    found = windows.sample_by_time(*case)

    assert all(a < b for a, b in itertools.pairwise(found))


@given(SPAN, st.sampled_from([24.0, 25.0, 29.97, 30.0, 60.0]))
def test_samples_by_time_of_even_times_are_the_even_samples_up_to_rounding(
    span: tuple[int, int, int], rate: float
) -> None:
    start, end, count = span[0] % 1000, span[0] % 1000 + (span[1] - span[0]) % 3000, span[2]
    count = max(4, min(count, end - start + 1))
    end = max(end, start + 3)
    times = [n / rate for n in range(end + 1)]

    by_time = windows.sample_by_time(times, start, end, count)
    evenly = windows.sample_evenly(start, end, count)

    assert all(abs(a - b) <= 1 for a, b in zip(by_time, evenly, strict=True))


def test_samples_by_time_are_the_frames_nearest_to_even_times() -> None:
    times = [0.0, 0.1, 0.2, 0.3, 2.0, 3.9, 4.0, 4.1, 6.0]

    # Even times: 0, 2, 4, 6.
    assert windows.sample_by_time(times, 0, 8, 4) == [0, 4, 6, 8]


def test_samples_by_time_take_the_next_free_frame_in_a_pause() -> None:
    times = [0.0, 0.1, 0.2, 0.3, 10.0]

    assert windows.sample_by_time(times, 0, 4, 4) == [0, 2, 3, 4]


@st.composite
def previewed(draw: st.DrawFn) -> tuple[list[float], float, float]:
    """What `preview_frames` takes: frames' times from the window's start, its length, a rate."""
    times, start, end, _ = draw(timed_windows())
    window = [time - times[start] for time in times[start : end + 1]]
    return window, window[-1] + draw(st.floats(0.001, 1)), draw(st.floats(0.01, 60))


@given(previewed())
def test_every_preview_frame_is_shown_for_some_time(
    case: tuple[list[float], float, float],
) -> None:
    times, length_s, fps = case
    shown = windows.preview_frames(times, length_s=length_s, fps=fps)

    assert shown
    assert all(duration_ms > 0 for _, duration_ms in shown)


@given(previewed())
def test_preview_durations_add_up_to_the_windows_length(
    case: tuple[list[float], float, float],
) -> None:
    times, length_s, fps = case
    shown = windows.preview_frames(times, length_s=length_s, fps=fps)

    assert sum(ms for _, ms in shown) == max(1, round(length_s * 1000))


@given(previewed())
def test_preview_frames_are_distinct_and_rise(case: tuple[list[float], float, float]) -> None:
    times, length_s, fps = case
    places = [place for place, _ in windows.preview_frames(times, length_s=length_s, fps=fps)]

    assert all(a < b for a, b in itertools.pairwise(places))
    assert places[0] == 0
    assert places[-1] < len(times)


@given(previewed())
def test_a_preview_shows_the_frame_nearest_to_the_start_of_each_slot(
    case: tuple[list[float], float, float],
) -> None:
    times, length_s, fps = case
    shown = windows.preview_frames(times, length_s=length_s, fps=fps)

    ends_ms = np.cumsum([ms for _, ms in shown])
    for slot in range(max(1, round(length_s * fps))):
        # A slot's first millisecond may still belong to the one before: times are rounded.
        at = min(int(np.searchsorted(ends_ms, slot / fps * 1000 + 0.51, "right")), len(shown) - 1)
        off = min(abs(time - slot / fps) for time in times)
        assert abs(times[shown[at][0]] - slot / fps) <= off + 2e-3


def test_a_preview_starts_with_the_windows_first_frame() -> None:
    times = [n / 10 for n in range(28)]

    assert windows.preview_frames(times, length_s=2.8, fps=1.0) == [
        (0, 1000),
        (10, 1000),
        (20, 800),
    ]


def test_the_last_preview_frame_is_shown_through_a_rest_of_less_than_half_a_slot() -> None:
    times = [n / 10 for n in range(24)]

    assert windows.preview_frames(times, length_s=2.4, fps=1.0) == [(0, 1000), (10, 1400)]


def test_a_clip_slower_than_its_preview_shows_each_frame_once() -> None:
    shown = windows.preview_frames([0.0, 2.0, 4.0, 6.0], length_s=8.0, fps=1.0)

    assert [place for place, _ in shown] == [0, 1, 2, 3]


def test_a_window_that_lasts_no_time_is_shown_for_a_millisecond() -> None:
    shown = windows.preview_frames([0.0] * 4, length_s=0.0, fps=1.0)

    assert sum(ms for _, ms in shown) == 1


def test_a_pause_of_days_costs_no_more_than_one_of_seconds() -> None:
    shown = windows.preview_frames([0.0, 1.0, 1e6], length_s=1e6 + 1, fps=60.0)

    assert [place for place, _ in shown] == [0, 1, 2]
    assert sum(ms for _, ms in shown) == 1_000_001_000
