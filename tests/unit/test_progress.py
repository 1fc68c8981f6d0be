"""How far a run is, counted from what workers say."""

import pytest

from clipfleet.broker.client import Event
from clipfleet.runs import RunCounts
from clipfleet_producer.cli.terminal import duration
from clipfleet_producer.feeding.progress import Tally
from tests.support.clock import ManualClock


def event(step: str, *, clip: str = "a", start: int = 0, status: str = "ok") -> Event:
    """A step of a window."""
    return Event(step=step, clip_uuid=clip, status=status, start_frame=start)


def prepared(windows: int, *, clip: str = "a") -> Event:
    """The prepare step of a clip."""
    return Event(step="prepare", clip_uuid=clip, status="ok", windows=windows)


def done(windows: int = 0, *, failed: int = 0) -> RunCounts:
    """The counts of a clip that is done."""
    return RunCounts(clips=1, done=1, failed=failed, windows=windows, windowless=int(not windows))


def tally_of(*events: Event, clips: int = 10) -> Tally:
    """A run of which these events came in."""
    tally = Tally(clips=clips)
    for each in events:
        tally.note(each)
    return tally


def test_clips_that_were_done_already_are_not_to_do() -> None:
    assert Tally(clips=10, already_done=3).todo == 7


def test_a_prepared_clips_windows_count() -> None:
    assert tally_of(prepared(2), prepared(3, clip="b")).windows == 5


def test_a_clip_prepared_twice_counts_once() -> None:
    assert tally_of(prepared(2), prepared(2)).windows == 2


@pytest.mark.parametrize("step", ["caption", "enhance", "preview"])
def test_a_step_reported_twice_counts_once(step: str) -> None:
    assert tally_of(event(step), event(step)).steps[step] == 1


def test_a_step_counts_for_each_window_and_clip() -> None:
    tally = tally_of(event("caption"), event("caption", start=256), event("caption", clip="b"))

    assert tally.steps == {"caption": 3, "enhance": 0, "preview": 0}


@pytest.mark.parametrize("status", ["ok", "error", "skipped"])
def test_a_step_counts_whatever_came_of_it(status: str) -> None:
    assert tally_of(event("caption", status=status)).steps["caption"] == 1


def test_a_step_that_waits_counts_nothing() -> None:
    assert tally_of(event("caption", status="waiting")).steps["caption"] == 0


def test_a_step_that_waited_counts_when_it_is_done() -> None:
    tally = tally_of(event("caption", status="waiting"), event("caption"))

    assert tally.steps["caption"] == 1


def test_a_prepare_step_that_waits_counts_nothing() -> None:
    waiting = Event(step="prepare", clip_uuid="a", status="waiting", windows=2)

    assert tally_of(waiting).windows == 0


def test_assemble_counts_no_window() -> None:
    assert tally_of(event("assemble")).steps == {"caption": 0, "enhance": 0, "preview": 0}


def test_a_clip_that_is_finished_counts_as_failed_only_if_invalid() -> None:
    tally = Tally(clips=2)
    tally.finish("a", done())
    tally.finish("b", done(failed=1))

    assert (tally.finished, tally.failed) == (2, 1)


def test_nothing_is_remembered_of_a_clip_that_is_finished() -> None:
    tally = tally_of(prepared(2), event("caption"))
    tally.finish("a", done(2))

    assert not tally._seen
    assert not tally._prepared


def test_the_rate_is_of_windows_done_since_the_workers_were_ready() -> None:
    clock = ManualClock()
    tally = Tally(clips=10, queues=("caption",), clock=clock)
    clock.sleep(500)  # while the model loads
    assert tally.windows_per_s() is None
    tally.workers_ready()
    for start in range(5):
        tally.note(event("caption", start=start))
    clock.sleep(100)

    assert tally.windows_per_s() == pytest.approx(0.05)


def test_the_time_left_counts_windows() -> None:
    clock = ManualClock()
    tally = Tally(clips=3, queues=("caption",), clock=clock)
    tally.workers_ready()
    tally.note(prepared(9))
    tally.note(prepared(1, clip="b"))
    tally.note(event("caption", clip="b"))
    clock.sleep(10)

    # 9 windows of the one, and of the clip that is not known yet as many as the two have: 5.
    assert tally.seconds_left() == pytest.approx(14 * 10)


def test_clips_that_failed_at_once_say_nothing_of_how_long_others_take() -> None:
    clock = ManualClock()
    tally = Tally(clips=100, queues=("caption",), clock=clock)
    tally.workers_ready()
    for number in range(50):
        tally.finish(str(number), done(failed=1))
    clock.sleep(10)
    assert tally.seconds_left() is None

    tally.finish("fine", done(2))
    assert tally.seconds_left() == pytest.approx(49 * 2 / 0.2)


def test_what_is_slowest_says_how_long_it_takes() -> None:
    tally = Tally(clips=2, queues=("caption", "preview"))
    for start in range(4):
        tally.note(event("preview", start=start))
    tally.note(event("caption"))

    assert tally.windows_done == 1


def test_no_time_is_foretold_before_the_first_window_is_done() -> None:
    tally = Tally(clips=10)
    tally.workers_ready()

    assert tally.seconds_left() is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (42, "42 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (60, "1 min 0 s"),
        (185, "3 min 5 s"),
        (3599, "59 min 59 s"),
        (3599.5, "1 h 0 min"),
        (7800, "2 h 10 min"),
        (360_000, "100 h 0 min"),
    ],
)
def test_a_duration_reads_as_people_say_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text
