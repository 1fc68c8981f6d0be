"""From a clip's bytes to its windows' packs, in one pass over the frames."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

from clipfleet.errors import ClipTooShort, ClipUnreadable
from clipfleet.options import PrepareOptions, PreviewOptions
from clipfleet.records import WindowPlan
from workers.media import windows
from workers.media.decode import ClipIndex, Scaler, frames
from workers.media.grid import Grid, preview_size
from workers.media.packs import Pack


@dataclass(frozen=True, kw_only=True)
class Window:
    """One window's plan and its packs, whole. `preview` is None where none was asked for."""

    plan: WindowPlan
    frames: Pack
    preview: Pack | None


def cut(
    data: bytes,
    index: ClipIndex,
    *,
    prepare: PrepareOptions,
    preview: PreviewOptions,
    grid: Grid,
) -> Iterator[Window]:
    """The clip's windows in order, each as soon as its last frame is decoded.

    Raises `ClipTooShort` where there is none, and `FramesDiffer` where `index` turns out wrong:
    forget what came and start again with the index that it carries.
    """
    pending = _plan(index, prepare=prepare, preview=preview, grid=grid)
    if not pending:
        raise ClipTooShort(
            f"it has {index.num_frames} frames, and a window needs at least {windows.MIN_FRAMES}"
        )
    wanted: dict[int, list[_Filling]] = defaultdict(list)
    for window in pending:
        for filling in window.fillings:
            for number in filling.indices:
                if filling not in wanted[number]:
                    wanted[number].append(filling)
    whole = iter(pending)
    current = next(whole)
    for number, frame in frames(data, index):
        for filling in wanted.pop(number, ()):
            filling.take(number, frame)
        if number == current.end:
            yield current.finish(index)
            current = next(whole, current)


class _Filling:
    """Frames of one size being collected for one window."""

    def __init__(self, indices: list[int], *, width: int, height: int) -> None:
        self.indices = indices
        self.width, self.height = width, height
        self._scaler = Scaler(width=width, height=height)
        self._places = defaultdict(list)
        for place, number in enumerate(indices):
            self._places[number].append(place)
        self._frames: NDArray[np.uint8] | None = None

    def take(self, number: int, frame: av.VideoFrame) -> None:
        if self._frames is None:
            self._frames = np.empty((len(self.indices), self.height, self.width, 3), np.uint8)
        first, *again = self._places[number]
        self._scaler.into(frame, self._frames[first])
        for place in again:
            self._frames[place] = self._frames[first]

    def pack(self, index: ClipIndex, durations_ms: list[int] | None = None) -> Pack:
        if self._frames is None:
            raise ClipUnreadable("no frame of a window could be decoded")
        pack = Pack(
            frames=self._frames,
            indices=self.indices,
            times_s=[index.times_s[n] for n in self.indices],
            source_fps=index.rate,
            durations_ms=durations_ms,
        )
        self._frames = None
        return pack


class _PendingWindow:
    def __init__(
        self,
        start: int,
        end: int,
        sampled: _Filling,
        preview: _Filling | None,
        durations_ms: list[int],
    ) -> None:
        self.start, self.end = start, end
        self._sampled, self._preview, self._durations_ms = sampled, preview, durations_ms
        self.fillings = [sampled, preview] if preview else [sampled]

    def finish(self, index: ClipIndex) -> Window:
        pack = self._sampled.pack(index)
        return Window(
            plan=WindowPlan(
                start_frame=self.start,
                end_frame=self.end,
                frame_indices=pack.indices,
                frame_times_s=pack.times_s,
                grid_width=self._sampled.width,
                grid_height=self._sampled.height,
            ),
            frames=pack,
            preview=self._preview.pack(index, self._durations_ms) if self._preview else None,
        )


def _plan(
    index: ClipIndex, *, prepare: PrepareOptions, preview: PreviewOptions, grid: Grid
) -> list[_PendingWindow]:
    pending = []
    for start, end in windows.split(
        index.num_frames, size=prepare.window_size, threshold=prepare.remainder_threshold
    ):
        count = windows.sample_count(
            end - start + 1, rate=index.rate, sampling_fps=prepare.sampling_fps
        )
        if index.uneven:
            sampled = windows.sample_by_time(index.times_s, start, end, count)
        else:
            sampled = windows.sample_evenly(start, end, count)
        width, height = index.width, index.height
        if not prepare.model_does_preprocess:
            width, height = grid.fit(width=width, height=height, num_frames=count)
        slots: list[tuple[int, int]] = []
        shown = None
        if prepare.generate_previews:
            last = end + 1 == index.num_frames
            slots = windows.preview_slots(
                index.times_s,
                start,
                end,
                end_time_s=index.end_time_s if last else index.times_s[end + 1],
                fps=preview.target_fps,
            )
            wide, high = preview_size(
                width=index.width, height=index.height, target_height=preview.target_height
            )
            shown = _Filling([number for number, _ in slots], width=wide, height=high)
        pending.append(
            _PendingWindow(
                start,
                end,
                _Filling(sampled, width=width, height=height),
                shown,
                [duration_ms for _, duration_ms in slots],
            )
        )
    return pending
