"""Which frames make a window, and which of them are sampled. Pure arithmetic, no media.

Frame numbers count the frames that the clip shows, from 0; `start` and `end` are both inclusive.
The rules are the reference system's (NVIDIA NeMo Curator), except where frame times are uneven.
"""

import itertools
from collections.abc import Sequence

import numpy as np

MIN_FRAMES = 4
MAX_FRAMES = 768


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

    `times_s` are the times of all frames of the clip, ascending. Where a pause leaves too few
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


def is_uneven(times_s: Sequence[float]) -> bool:
    """Whether any frame lies more than half a frame from its place at a constant rate."""
    if len(times_s) < 3:
        return False
    times = np.asarray(times_s)
    even = np.linspace(times[0], times[-1], len(times))
    half_frame = (times[-1] - times[0]) / (len(times) - 1) / 2
    return bool(np.abs(times - even).max() > half_frame)


def preview_slots(
    times_s: Sequence[float], start: int, end: int, *, end_time_s: float, fps: float
) -> list[tuple[int, int]]:
    """(frame number, duration in ms) of each preview frame of a window.

    Each frame stands for a slot of 1/`fps` seconds and is the one nearest to the slot's middle;
    the last slot takes what is left, so that durations add up to the window's length, which ends
    at `end_time_s`. A frame that would be shown twice is shown once, for longer.
    """
    window = np.asarray(times_s[start : end + 1])
    length_s = max(end_time_s - window[0], 0.001)
    edges = [i / fps for i in range(max(1, round(length_s * fps)))] + [length_s]
    total_ms = max(1, round(length_s * 1000))
    edges_ms = [round(edge * 1000) for edge in edges[:-1]] + [total_ms]
    slots: list[tuple[int, int]] = []
    for i, (left, right) in enumerate(itertools.pairwise(edges_ms)):
        middle = window[0] + (edges[i] + min(edges[i] + 1 / fps, length_s)) / 2
        number = start + int(np.abs(window - middle).argmin())
        if slots and slots[-1][0] == number:
            slots[-1] = (number, slots[-1][1] + right - left)
        else:
            slots.append((number, right - left))
    return slots
