"""How many windows clips may have, by clips of their sizes."""

import pytest

from clipfleet.records import ManifestLine
from clipfleet_producer.feeding.throughput import Rate
from clipfleet_producer.runs.like_clips import MeasuredRun
from tests.support.clock import ManualClock

MEASURED = MeasuredRun(
    run_id="r1",
    windows_per_s=2.0,
    windows_per_clip=3.0,
    sizes=[(size, 1) for size in range(100, 110)] + [(size, 8) for size in range(900, 910)],
)


def line(num_bytes: int | None) -> ManifestLine:
    return ManifestLine(clip_uuid=UUID, source="s3://b/a.mp4", num_bytes=num_bytes)


UUID = "6ba7b810-9dad-51d1-80b4-00c04fd430c8"


@pytest.mark.parametrize(
    ("num_bytes", "windows"), [(1, 1), (105, 1), (905, 8), (10_000, 8), (None, 3)]
)
def test_a_clip_may_have_as_many_windows_as_those_of_its_size(
    num_bytes: int | None, windows: float
) -> None:
    assert MEASURED.windows(line(num_bytes)) == windows


def test_without_sizes_it_may_have_as_many_as_clips_have_on_average() -> None:
    measured = MeasuredRun(run_id="r1", windows_per_s=2.0, windows_per_clip=3.0)

    assert measured.windows(line(100)) == 3


def test_a_feeders_rate_is_of_the_time_since_the_first_clip_was_done() -> None:
    clock = ManualClock()
    rate = Rate(clock)
    clock.sleep(50)  # while the model loads
    for _ in range(11):
        rate.note(windows=2)
        clock.sleep(1)

    assert rate.windows_per_s() == pytest.approx(20 / 11)
    assert rate.clips_per_s() == pytest.approx(10 / 11)


def test_clips_that_failed_at_once_are_no_windows_of_its_rate() -> None:
    clock = ManualClock()
    rate = Rate(clock)
    for _ in range(5):
        rate.note(windows=0)
        clock.sleep(1)
    rate.note(windows=4)
    clock.sleep(5)
    rate.note(windows=4)
    clock.sleep(5)

    assert rate.windows_per_s() == pytest.approx(0.4)
