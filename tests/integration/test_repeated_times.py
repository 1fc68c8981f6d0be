"""Files of more frames than their clock has ticks: each frame is shown once, after the last."""

import io
import itertools

import pytest

from clipfleet_workers.media import decode
from tests.support import clips

FRAMES = 60


@pytest.mark.parametrize("rate", [1500, 2000])
def test_frames_that_share_a_tick_are_shown_one_after_the_other(rate: int) -> None:
    data = clips.encode(FRAMES, rate=rate, container="matroska")  # whose ticks are 1 ms

    found = decode.index(io.BytesIO(data))

    times_s = (*found.timeline.times_s, found.timeline.end_time_s)
    assert (found.num_frames, found.warnings) == (FRAMES, [])
    assert all(a < b for a, b in itertools.pairwise(times_s))
    assert times_s == pytest.approx([n / rate for n in range(FRAMES + 1)], abs=0.0011)
