"""The corpus: for every kind of file, what must be found in it, held against what is found.

Each check is made of all cases of which it is asked. What a case is, and what is asked of it, is
said in `tests/support/corpus`; docs/right-answers.md is the same as a table.
"""

import itertools
import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tests.integration import reference
from tests.integration.right_answers import DOCS, page
from tests.support import clips
from tests.support.corpus.answers import (
    Answer,
    CutWindow,
    answer,
    decoded,
    is_right,
    number_in,
)
from tests.support.corpus.case import Case
from tests.support.corpus.cases import CASES

# Containers round times to their own ticks: Matroska and flv to 1 ms.
TICK_S = 0.0011


Check = Callable[[Case, Answer], None]
CHECKS: list[tuple[Check, Callable[[Case], bool]]] = []


def check(
    asked: Callable[[Case], bool] = lambda case: not case.unreadable,
) -> Callable[[Check], Check]:
    """One thing that must be right of each case of which it is asked."""

    def add(found: Check) -> Check:
        CHECKS.append((found, asked))
        return found

    return add


def is_whole(case: Case) -> bool:
    """There is something to cut, and nothing of it is lost."""
    return not case.unreadable and case.at_least is None


def is_timed(case: Case) -> bool:
    """There is something to cut, and it is known when each frame is shown."""
    return not case.unreadable and case.times() is not None


@pytest.mark.parametrize("case", CASES.values(), ids=str)
def test_what_is_found_is_what_the_case_says(case: Case, subtests: pytest.Subtests) -> None:
    cut = answer(case.name)
    assert bool(cut.error) == bool(case.unreadable), cut.error
    assert re.search(case.unreadable, cut.error)

    asked = [found for found, is_asked in CHECKS if is_asked(case)]

    assert bool(asked) != bool(case.unreadable)
    for found in asked:
        with subtests.test(found.__name__):
            found(case, cut)


def all_windows(cut: Answer) -> Iterator[CutWindow]:
    yield from cut.at_source_size
    yield from cut.at_model_size


@check(is_whole)
def the_file_holds_what_its_case_says(case: Case, cut: Answer) -> None:
    """By the reference decoder alone: else the case itself is wrong."""
    frames = decoded(case.name)
    step = max(1, len(frames) // 20) if case.at_source_size else 3
    shown = case.shown()

    numbers = [number_in(case, frame.image(case.look)) for frame in frames[::step]]

    assert len(frames) == len(shown)
    assert numbers == shown[::step]
    assert {frame.pixel_format for frame in frames} == {case.pixel_format}


@check()
def frames_are_counted(case: Case, cut: Answer) -> None:
    assert cut.source is not None
    count = len(case.shown())

    least = count if case.at_least is None else case.at_least
    assert least <= cut.source.num_frames <= count


@check()
def the_rate_and_the_length_are_known(case: Case, cut: Answer) -> None:
    assert cut.source is not None
    if case.rate is not None:
        assert cut.source.framerate == pytest.approx(case.rate, rel=1e-3)
        assert cut.source.variable_frame_rate == (case.sampling == "time")
    times, length_s = case.times(), case.length()
    if length_s is not None:
        assert cut.source.duration_s == pytest.approx(length_s, abs=0.005)
    elif times is not None:
        assert times[-1] < cut.source.duration_s <= times[-1] + 0.1


@check()
def the_stream_is_described(case: Case, cut: Answer) -> None:
    assert cut.source is not None
    source = cut.source

    found = (source.width, source.height, source.video_codec, source.pixel_format)
    assert found == (*case.size, case.codec, case.pixel_format)
    assert source.video_streams == case.video_streams


@check()
def turns_shapes_and_fields_are_known(case: Case, cut: Answer) -> None:
    assert cut.source is not None
    source = cut.source

    assert (source.rotation_degrees, source.mirrored) == (case.turned, case.mirrored)
    assert source.pixel_aspect_ratio == pytest.approx(case.look.aspect, rel=1e-3)
    assert source.interlaced == case.look.interlaced


@check()
def colours_are_known(case: Case, cut: Answer) -> None:
    assert cut.source is not None
    source = cut.source

    matrix = case.look.matrix if case.matrix == "" else case.matrix
    if matrix is not None:
        assert source.color_matrix == matrix
    if case.guessed is not None:
        assert source.color_matrix_guessed == case.guessed
    if case.transfer is not None:
        assert source.color_transfer == case.transfer
    assert source.color_range == ("full" if case.look.full_range else "limited")


@check()
def windows_follow_the_rule(case: Case, cut: Answer) -> None:
    spans = [(plan.start_frame, plan.end_frame) for plan in cut.planned]

    if case.at_least is None:
        whole = [(0, len(case.shown()) - 1)]
        assert spans == (whole if case.windows is None else list(case.windows))
        for windows in (cut.at_source_size, cut.at_model_size):
            if windows:
                assert [(w.plan.start_frame, w.plan.end_frame) for w in windows] == spans


@check()
def frames_are_sampled_by_the_rule(case: Case, cut: Answer) -> None:
    """By number from both ends at a constant rate, nearest to even times where they vary."""
    for plan in cut.planned:
        if case.sampling is not None:
            assert plan.sampling == case.sampling
        indices, start, end = plan.frame_indices, plan.start_frame, plan.end_frame
        assert indices == sorted(indices)
        assert (indices[0], indices[-1]) == (start, end)
        if plan.sampling == "index":
            even = np.linspace(np.float32(start), np.float32(end), len(indices), dtype=np.float32)
            assert np.abs(even - indices).max() <= 0.5 + 1e-4
            if case.rate is not None and not case.prepare:
                wanted = (end - start + 1) / case.rate * 2
                assert abs(len(indices) - min(max(wanted, 4), end - start + 1)) <= 1


@check(lambda case: case.sampling == "time" and not case.unreadable)
def sampled_frames_are_the_nearest_to_even_times(case: Case, cut: Answer) -> None:
    times = np.array(case.times())
    for plan in cut.planned:
        wanted = np.linspace(
            times[plan.start_frame], times[plan.end_frame], len(plan.frame_indices)
        )
        nearest = [int(np.abs(times - time).argmin()) for time in wanted]
        if len(set(nearest)) == len(nearest):
            assert plan.frame_indices == nearest
        else:  # where a pause leaves too few frames near a time, others stand in
            assert set(nearest) <= set(plan.frame_indices)


@check(is_timed)
def times_are_those_of_the_frames(case: Case, cut: Answer) -> None:
    times = case.times()
    assert times is not None
    for window in all_windows(cut):
        plan = window.plan
        assert plan.frame_times_s == pytest.approx(
            [times[i] for i in plan.frame_indices], abs=TICK_S
        )


@check(is_whole)
def sampled_frames_are_the_ones_that_they_say_they_are(case: Case, cut: Answer) -> None:
    shown = case.shown()
    for window in all_windows(cut):
        numbers = [seen.number for seen in window.frames]
        assert [seen.index for seen in window.frames] == window.plan.frame_indices
        assert numbers == [shown[i] for i in window.plan.frame_indices]


@check()
def sampled_frames_have_the_pixels_of_a_full_decode(case: Case, cut: Answer) -> None:
    wrong = [
        seen for window in cut.at_source_size for seen in window.frames if not is_right(case, seen)
    ]

    assert wrong == []


@check(lambda case: case.at_least is not None and not case.unreadable)
def frames_of_a_damaged_file_are_in_order(case: Case, cut: Answer) -> None:
    for window in all_windows(cut):
        numbers = [seen.number for seen in window.frames]
        assert numbers == sorted(set(numbers))
        assert set(numbers) <= set(case.shown())


@check()
def frames_have_square_pixels_and_one_size(case: Case, cut: Answer) -> None:
    width, height = round(case.size[0] * case.look.aspect), case.size[1]

    assert {window.size for window in cut.at_source_size} <= {(width, height)}
    for window in cut.at_model_size:
        assert window.size == (window.plan.grid_width, window.plan.grid_height)
        if min(width, height) >= 64:
            shape = window.size[0] / window.size[1]
            assert shape == pytest.approx(width / height, rel=0.15)


@check()
def preview_frames_are_the_ones_that_they_say_they_are(case: Case, cut: Answer) -> None:
    shown = case.shown()
    for window in all_windows(cut):
        for seen in window.preview:
            if case.at_least is None:
                assert seen.number == shown[seen.index]
            else:
                assert seen.number in shown


@check()
def preview_frames_are_in_their_window_and_in_order(case: Case, cut: Answer) -> None:
    for window in all_windows(cut):
        indices = [seen.index for seen in window.preview]
        assert indices == sorted(set(indices))
        assert window.plan.start_frame <= indices[0]
        assert indices[-1] <= window.plan.end_frame


@check(is_timed)
def a_preview_lasts_as_long_as_its_window(case: Case, cut: Answer) -> None:
    times = case.times()
    assert times is not None
    assert cut.source is not None
    length_s = case.length() or cut.source.duration_s
    for window in all_windows(cut):
        start, end = window.plan.start_frame, window.plan.end_frame
        end_s = times[end + 1] if end + 1 < len(times) else length_s
        assert sum(window.durations_ms) == pytest.approx((end_s - times[start]) * 1000, abs=1.1)


@check()
def warnings_say_what_is_wrong_and_nothing_else(case: Case, cut: Answer) -> None:
    for pattern in case.warnings:
        assert any(re.search(pattern, warning) for warning in cut.warnings), pattern
    if not case.may_warn:
        assert len(cut.warnings) == len(case.warnings), cut.warnings
    assert all(warning.isprintable() for warning in cut.warnings)


def test_the_docs_have_these_answers() -> None:
    assert DOCS.read_text() == page(), "python -m tests.integration.right_answers writes them anew"


def test_the_measure_tells_a_frame_from_its_neighbour() -> None:
    pictures = [clips.picture(n, width=192, height=128) for n in range(64)]
    lumas = [reference.luma(picture, "bt601") for picture in pictures]

    apart = [reference.block_difference(one, other) for one, other in itertools.pairwise(lumas)]

    assert min(apart) > 20


def test_the_measure_sees_one_block_that_is_off() -> None:
    right = reference.luma(clips.picture(7, width=192, height=128), "bt601")
    smeared = right.copy()
    smeared[112:128, 64:80] = smeared[112:128, 64:80].mean()

    assert reference.block_difference(right, smeared) > 15
