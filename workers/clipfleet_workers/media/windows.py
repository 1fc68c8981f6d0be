"""Which frames make a window, and which of them are sampled. Pure arithmetic, no media.

Frame numbers count the frames that the clip shows, from 0; `start` and `end` are both inclusive.
The rules are the reference system's (NVIDIA NeMo Curator), except where frame times are uneven.
"""

from collections.abc import Sequence

import numpy as np

MIN_FRAMES = 4
MAX_FRAMES = 768

# In slots: far below a frame, far above float64's rounding error.
_ROUNDING = 1e-6


def split(num_frames: int, *, size: int, threshold: int) -> list[tuple[int, int]]:
    """The windows (start, end) of a clip, covering every frame once, in order.

    Fewer than 4 frames give none. A remainder of at least `threshold` frames is a window of its
    own; a shorter one extends the last window.
    """
    if num_frames < MIN_FRAMES:
        return []
    full, remainder = divmod(num_frames, size)
    starts = [i * size for i in range(full)]
    if not starts or remainder >= threshold:
        starts.append(full * size)
    ends = [start - 1 for start in starts[1:]] + [num_frames - 1]
    return list(zip(starts, ends, strict=True))


def sample_count(num_frames: int, *, rate: float, sampling_fps: float) -> int:
    """How many of a window's frames to sample: even, at least 4, at most 768 and `num_frames`.

    `rate` is the source's, in frames a second.
    """
    most = min(MAX_FRAMES, num_frames) // 2 * 2
    wanted = min(max(num_frames / rate * sampling_fps, MIN_FRAMES), most)
    return round(wanted / 2) * 2


def sample_evenly(start: int, end: int, count: int) -> list[int]:
    """`count` frame numbers spread evenly from `start` to `end`, both included.

    In float32 from both ends towards the middle, halves rounded to even: what
    `torch.linspace(start, end, count).round()` gives, which the reference system uses.
    """
    if count == 1:
        return [start]
    first, last = np.float32(start), np.float32(end)
    # torch multiplies and adds with one rounding: exact in float64, then rounded to float32.
    step = np.float64((last - first) / np.float32(count - 1))
    i = np.arange(count)
    up = (first + step * i).astype(np.float32)
    down = (last - step * (count - 1 - i)).astype(np.float32)
    return [int(n) for n in np.round(np.where(i < count // 2, up, down))]


def sample_by_time(times_s: Sequence[float], start: int, end: int, count: int) -> list[int]:
    """`count` distinct frame numbers nearest to times spread evenly over the window.

    `times_s` are the times of all frames of the clip, ascending. If a pause leaves too few
    frames near a time, the next free frame is taken.
    """
    window = np.asarray(times_s[start : end + 1])
    wanted = np.linspace(window[0], window[-1], count)
    right = np.clip(np.searchsorted(window, wanted), 1, len(window) - 1)
    left_is_nearer = wanted - window[right - 1] <= window[right] - wanted
    nearest = np.where(left_is_nearer, right - 1, right)
    slack = np.arange(count)
    rising = np.maximum.accumulate(nearest - slack) + slack
    bounded = np.minimum(rising, len(window) - count + slack)
    return [start + int(n) for n in bounded]


def preview_frames(
    times_s: Sequence[float], *, length_s: float, fps: float
) -> list[tuple[int, int]]:
    """Which of a window's frames its preview shows: (place in `times_s`, duration in ms).

    Times count from the window's start. The preview has a slot of 1/`fps` seconds for every such
    step that the window is long; each slot shows the frame nearest to its start, the last one to
    the window's end. A frame that would fill several slots is shown once, for longer. Durations
    add up to the window's length, to the millisecond.
    """
    times = np.asarray(times_s, np.float64)
    slots = max(1, round(length_s * fps))
    total_ms = max(1, round(length_s * 1000))
    # A frame is the nearest from the midpoint between it and the one before.
    nearest_from = np.ceil((times[:-1] + times[1:]) / 2 * fps - _ROUNDING)
    first_slots = np.concatenate(([0.0], nearest_from, [slots])).clip(0, slots)
    edges_ms = np.where(first_slots == slots, total_ms, np.round(first_slots / fps * 1000))
    durations_ms = np.diff(edges_ms)
    return [(int(place), int(durations_ms[place])) for place in np.nonzero(durations_ms > 0)[0]]
