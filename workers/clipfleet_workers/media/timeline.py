"""When a clip's frames are shown, and at what rate: from timestamps, or from a rate alone."""

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

# Containers round times to their ticks, and files made from Matroska keep its milliseconds.
_TICKS, _MILLISECONDS = 1.5, 1.1
_PRINTED_S = 1e-6
# No shot pauses for a day: some recorders stamp part of a file since boot, the rest since 1970.
_LEAP_S = 86_400
# Muxers that do not know the last frame's duration write a tick or so.
_SHORTEST_S = 0.002


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Times in seconds, from the first frame; `rate` in frames a second.

    `end_time_s` is when the last frame ends. `uneven`: times do not follow a constant rate.
    `leaps`: the numbers of frames before which days were left out.
    """

    times_s: tuple[float, ...]
    rate: float
    end_time_s: float
    uneven: bool
    leaps: tuple[int, ...] = ()

    def ends_s(self, number: int) -> float:
        """When a frame ends: as the next one is shown."""
        after = number + 1
        return self.times_s[after] if after < len(self.times_s) else self.end_time_s


def by_rate(num_frames: int, rate: float) -> Timeline:
    """The times of frames at a constant rate."""
    times = tuple(i / rate for i in range(num_frames))
    return Timeline(times_s=times, rate=rate, end_time_s=num_frames / rate, uneven=False)


def by_timestamps(
    pts: Sequence[float], *, time_base: Fraction, rates: Sequence[float], last_ticks: int = 0
) -> Timeline:
    """The times of frames whose timestamps rise, in ticks of `time_base` seconds.

    `rates` are those that the file states: one that explains the times up to rounding is exact;
    else the rate is the measured mean. `last_ticks` is the last frame's duration by the file, 0 if
    it states none.
    """
    stated_s = float(last_ticks * time_base)
    if stated_s < _SHORTEST_S:
        stated_s = 0.0
    if len(pts) < 2:
        found = by_rate(len(pts), rates[0])
        return replace(found, end_time_s=stated_s) if pts and stated_s else found
    pts, leaps = _without_leaps(pts, time_base)
    times = tuple(float((p - pts[0]) * time_base) for p in pts)
    rate = (len(times) - 1) / times[-1]
    rounding_s = max(_TICKS * float(time_base), _MILLISECONDS / 1000)
    for stated in rates:
        if abs((len(times) - 1) / stated - times[-1]) <= rounding_s:
            rate = stated
            break
    uneven = is_uneven(times)
    steps = sorted(b - a for a, b in itertools.pairwise(times))
    last_s = steps[len(steps) // 2] if uneven else 1 / rate
    if stated_s and (uneven or abs(stated_s - last_s) > last_s / 2):  # else it is rounding
        last_s = stated_s
    return Timeline(
        times_s=times, rate=rate, end_time_s=times[-1] + last_s, uneven=uneven, leaps=leaps
    )


def _without_leaps(
    pts: Sequence[float], time_base: Fraction
) -> tuple[Sequence[float], tuple[int, ...]]:
    """Timestamps with each leap of a day or more shortened to the usual frame's length."""
    steps = [b - a for a, b in itertools.pairwise(pts)]
    leaps = tuple(n + 1 for n, step in enumerate(steps) if step * time_base >= _LEAP_S)
    usual = sorted(step for step in steps if step * time_base < _LEAP_S)
    if not leaps or not usual:
        return pts, ()
    for n in leaps:
        steps[n - 1] = usual[len(usual) // 2]
    return [*itertools.accumulate(steps, initial=pts[0])], leaps


def filled(times: Sequence[int | None]) -> list[float]:
    """Timestamps with missing ones interpolated between the others.

    Before the first and after the last known one, the nearest step is continued. At least one must
    be known. They count from the first known one, so that floats are exact enough, and are
    fractions of ticks if there are more frames than ticks.
    """
    base = next(time for time in times if time is not None)
    known = [(n, time - base) for n, time in enumerate(times) if time is not None]
    (first, first_time), (last, last_time) = known[0], known[-1]
    second, second_time = known[1] if len(known) > 1 else (first + 1, first_time + 1)
    other, other_time = known[-2] if len(known) > 1 else (last - 1, last_time - 1)
    before = first_time - first * (second_time - first_time) / (second - first)
    more = len(times) - 1 - last
    after = last_time + more * (last_time - other_time) / (last - other)
    at = [0, *(n for n, _ in known), len(times) - 1]
    values = [before, *(time for _, time in known), after]
    between = np.interp(range(len(times)), at, values)
    return [
        float(found) if time is None else time - base
        for time, found in zip(times, between, strict=True)
    ]


def part(timeline: Timeline, start_s: float, end_s: float) -> tuple[int, Timeline]:
    """The number of the first frame that begins within [start, end), and those frames' own times.

    Times as printed are rounded: a frame up to a microsecond before `start_s` begins there.
    """
    times = timeline.times_s
    first = bisect.bisect_left(times, start_s - _PRINTED_S)
    last = bisect.bisect_left(times, end_s - _PRINTED_S)
    if last <= first:
        return first, Timeline(times_s=(), rate=timeline.rate, end_time_s=0.0, uneven=False)
    ends_s = times[last] if last < len(times) else timeline.end_time_s
    within = tuple(each - times[first] for each in times[first:last])
    return first, Timeline(
        times_s=within,
        rate=timeline.rate,
        end_time_s=ends_s - times[first],
        uneven=is_uneven(within),
    )


def is_uneven(times_s: Sequence[float]) -> bool:
    """Whether any frame is more than half a frame off its time at a constant rate."""
    if len(times_s) < 3:
        return False
    times = np.asarray(times_s)
    even = np.linspace(times[0], times[-1], len(times))
    half_frame = (times[-1] - times[0]) / (len(times) - 1) / 2
    return bool(np.abs(times - even).max() > half_frame)
