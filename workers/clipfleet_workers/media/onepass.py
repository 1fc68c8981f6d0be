"""From a clip's file to its windows' packs, in one pass over its frames."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Literal

import av
import numpy as np

from clipfleet.errors import ClipUnreadable
from clipfleet.grid import Grid, preview_size
from clipfleet.options import PrepareOptions, PreviewOptions
from clipfleet.records import SourceInfo, SpanPlan, WindowPlan
from clipfleet_workers.media import decode, windows
from clipfleet_workers.media import timeline as timelines
from clipfleet_workers.media.colours import Image
from clipfleet_workers.media.decode import ClipIndex, FramesDiffer
from clipfleet_workers.media.limits import Guard
from clipfleet_workers.media.packs import Pack
from clipfleet_workers.media.picture import Picture, Scaler, Turn
from clipfleet_workers.media.timeline import Timeline

_SIZES_NAMED = 4  # of a clip whose frames change size, which may be each of them


@dataclass(frozen=True, kw_only=True)
class Window:
    """One window's plan and its packs, complete. `preview` is None if none is wanted.

    `frames` are none where no model is to see them.
    """

    plan: WindowPlan
    frames: Pack
    preview: Pack | None


@dataclass(frozen=True, kw_only=True)
class CutClip:
    """What was found out about a clip, and its windows' plans in order."""

    source: SourceInfo
    span: SpanPlan | None
    windows: list[WindowPlan]
    warnings: list[str]


def cut(
    file: BinaryIO,
    *,
    prepare: PrepareOptions,
    preview: PreviewOptions,
    grid: Grid | None,
    write: Callable[[Window], None],
    span_s: Sequence[float] | None = None,
    guard: Guard | None = None,
) -> CutClip:
    """Cut a clip into windows; `write` gets each one, in order, as soon as it is complete.

    `grid` is that of the model which sees the frames, None where none does.

    For a clip that is a span of its file, [start, end) in seconds, frame numbers and times count
    from the first frame that begins in it.

    If damage makes it start over, windows come again; the last one of a window counts. A clip
    of fewer than 4 frames has no windows. Raises `ClipUnreadable`, `ClipTooLarge`, and whatever
    `write` raises.
    """
    index = decode.index(file, guard)
    while True:
        try:
            return _cut(
                file, index, span_s, prepare=prepare, preview=preview, grid=grid, write=write
            )
        except FramesDiffer:
            if index.settled:
                raise ClipUnreadable("it decodes differently every time") from None
        index = decode.settle(file, index)


def _cut(
    file: BinaryIO,
    index: ClipIndex,
    span_s: Sequence[float] | None,
    *,
    prepare: PrepareOptions,
    preview: PreviewOptions,
    grid: Grid | None,
    write: Callable[[Window], None],
) -> CutClip:
    first, timeline = timelines.part(index.timeline, *span_s) if span_s else (0, index.timeline)
    cuts = _plan(timeline, prepare=prepare, preview=preview)
    wanted = sorted({first + number for each in cuts for number in each.wanted}) or [0]
    renderer: _FrameRenderer | None = None
    coming = iter(cuts)
    builder: _WindowBuilder | None = None
    plans = []
    for number, frame, aspect, matrix in decode.frames(file, index, wanted):
        if renderer is None:
            margins = index.contents.margins
            picture = Picture.of(
                frame, pixel_aspect_ratio=aspect, margins=margins, turn=Turn.by(matrix)
            )
            renderer = _FrameRenderer(picture, cuts, prepare=prepare, preview=preview, grid=grid)
        renderer.look_at(frame)
        if builder is None and (following := next(coming, None)):
            builder = _WindowBuilder(following, renderer)
        if builder is not None:
            builder.take(number - first, frame)
            if number - first == builder.cut.end:
                window = builder.window(timeline)
                builder = None
                with index.guard.not_counted():
                    write(window)
                plans.append(window.plan)
                del window  # its pixels, before the next one's come
        del frame  # before the next one is decoded
    if renderer is None:
        raise ClipUnreadable("it holds no frame that can be decoded")
    source = _source_info(file, index, renderer)
    span = None
    if span_s:
        begins_s = index.timeline.times_s[first] if timeline.times_s else span_s[0]
        end_s, num_frames = begins_s + timeline.end_time_s, len(timeline.times_s)
        span = SpanPlan(start_s=begins_s, end_s=end_s, num_frames=num_frames)
    warnings = list(dict.fromkeys([*index.warnings, *renderer.warnings]))  # said by both: once
    if span is not None and not span.num_frames:
        warnings.append("no frame begins within its span")
    return CutClip(source=source, span=span, windows=plans, warnings=warnings)


@dataclass(frozen=True, kw_only=True)
class _Cut:
    """A window's frame numbers: those sampled, those shown in its preview, and for how long."""

    start: int
    end: int
    sampling: Literal["index", "time"]
    sampled: list[int]
    shown: list[int]
    durations_ms: list[int]

    @property
    def wanted(self) -> set[int]:
        return {*self.sampled, *self.shown}


def _plan(timeline: Timeline, *, prepare: PrepareOptions, preview: PreviewOptions) -> list[_Cut]:
    times_s = (*timeline.times_s, timeline.end_time_s)
    cuts = []
    for start, end in windows.split(
        len(timeline.times_s), size=prepare.window_size, threshold=prepare.remainder_threshold
    ):
        count = windows.sample_count(
            end - start + 1, rate=timeline.rate, sampling_fps=prepare.sampling_fps
        )
        if timeline.uneven:
            sampled = windows.sample_by_time(times_s, start, end, count)
        else:
            sampled = windows.sample_evenly(start, end, count)
        shown: list[tuple[int, int]] = []
        if prepare.generate_previews:
            length_s = times_s[end + 1] - times_s[start]
            enough = len(sampled) >= round(length_s * preview.target_fps)
            choice = sorted(set(sampled)) if enough else list(range(start, end + 1))
            shown = [
                (choice[place], duration_ms)
                for place, duration_ms in windows.preview_frames(
                    [times_s[number] - times_s[start] for number in choice],
                    length_s=length_s,
                    fps=preview.target_fps,
                )
            ]
        cuts.append(
            _Cut(
                start=start,
                end=end,
                sampling="time" if timeline.uneven else "index",
                sampled=sampled,
                shown=[number for number, _ in shown],
                durations_ms=[duration_ms for _, duration_ms in shown],
            )
        )
    return cuts


class _FrameRenderer:
    """Renders a clip's frames: their sizes, a scaler for each size, and buffers for them."""

    def __init__(
        self,
        picture: Picture,
        cuts: list[_Cut],
        *,
        prepare: PrepareOptions,
        preview: PreviewOptions,
        grid: Grid | None,
    ) -> None:
        self.picture = picture
        self.interlaced = False
        self._seen, self._grid = grid is not None, None if prepare.model_does_preprocess else grid
        self._preview_height = preview.target_height
        self._scalers: dict[tuple[tuple[int, int], bool], Scaler] = {}
        self._sizes: dict[tuple[int, int], None] = {}
        counts = {len(each.sampled) for each in cuts if self._seen}
        self._model_bytes = max((_num_bytes(n, self.model_size(n)) for n in counts), default=0)
        most_shown = max((len(each.shown) for each in cuts), default=0)
        self._preview_bytes = _num_bytes(most_shown, self.preview_size())

    @property
    def warnings(self) -> list[str]:
        """Warnings about how the clip is shown."""
        warnings = [*self.picture.warnings]
        if len(self._sizes) > 1:
            sizes = " and ".join(f"{w}×{h}" for w, h in [*self._sizes][:_SIZES_NAMED])
            if len(self._sizes) > _SIZES_NAMED:
                sizes += f" and {len(self._sizes) - _SIZES_NAMED:,} more"
            warnings.append(f"its frames change size ({sizes}): all are shown at the first's")
        return warnings

    def look_at(self, frame: av.VideoFrame) -> None:
        """Note what may differ from frame to frame."""
        self.interlaced |= frame.interlaced_frame
        self._sizes[self.picture.size_of(frame)] = None

    def model_size(self, num_frames: int) -> tuple[int, int]:
        """(width, height) of the frames that the model sees."""
        width, height = self.picture.display_width, self.picture.height
        if self._grid is None:
            return width, height
        return self._grid.fit(width=width, height=height, num_frames=num_frames)

    def preview_size(self) -> tuple[int, int]:
        """(width, height) of the frames that people see."""
        return preview_size(
            width=self.picture.display_width,
            height=self.picture.height,
            target_height=self._preview_height,
        )

    def for_model(self, numbers: list[int]) -> _Images:
        """A buffer for a window's frames as the model sees them, if one does."""
        numbers = numbers if self._seen else []
        size = self.model_size(len(numbers))
        return _Images(numbers, self._scaler(size, averaging=False), size, self._model_bytes)

    def for_preview(self, numbers: list[int]) -> _Images:
        """A buffer for a window's frames as people see them."""
        size = self.preview_size()
        return _Images(numbers, self._scaler(size, averaging=True), size, self._preview_bytes)

    def _scaler(self, size: tuple[int, int], *, averaging: bool) -> Scaler:
        if (size, averaging) not in self._scalers:
            width, height = size
            self._scalers[size, averaging] = Scaler(
                self.picture, width=width, height=height, averaging=averaging
            )
        return self._scalers[size, averaging]


class _WindowBuilder:
    """A window whose frames are being collected."""

    def __init__(self, cut: _Cut, renderer: _FrameRenderer) -> None:
        self.cut = cut
        self._frames = renderer.for_model(cut.sampled)
        self._preview = renderer.for_preview(cut.shown) if cut.shown else None

    def take(self, number: int, frame: av.VideoFrame) -> None:
        for images in (self._frames, self._preview):
            if images is not None:
                images.take(number, frame)

    def window(self, timeline: Timeline) -> Window:
        cut = self.cut
        height, width = self._frames.images.shape[1:3]
        frames = self._frames.pack(timeline)
        return Window(
            plan=WindowPlan(
                start_frame=cut.start,
                end_frame=cut.end,
                start_s=timeline.times_s[cut.start],
                end_s=timeline.ends_s(cut.end),
                frame_indices=frames.indices,
                frame_times_s=frames.times_s,
                sampling=cut.sampling,
                grid_width=width,
                grid_height=height,
            ),
            frames=frames,
            preview=self._preview.pack(timeline, cut.durations_ms) if self._preview else None,
        )


class _Images:
    """Frames of one (width, height), each at its positions.

    `buffer_bytes` is what the clip's largest window needs: where all windows ask for the same,
    malloc reuses the last one's; where a later one asks for more, the process holds both.
    """

    def __init__(
        self, numbers: list[int], scaler: Scaler, size: tuple[int, int], buffer_bytes: int
    ) -> None:
        self._numbers, self._scaler = numbers, scaler
        used = np.empty(buffer_bytes, np.uint8)[: _num_bytes(len(numbers), size)]
        self.images: Image = used.reshape(len(numbers), size[1], size[0], 3)
        self._next = 0

    def take(self, number: int, frame: av.VideoFrame) -> None:
        if self._next == len(self._numbers) or self._numbers[self._next] != number:
            return
        first = self._next
        self._scaler.into(frame, self.images[first])
        self._next += 1
        while self._next < len(self._numbers) and self._numbers[self._next] == number:
            self.images[self._next] = self.images[first]
            self._next += 1

    def pack(self, timeline: Timeline, durations_ms: list[int] | None = None) -> Pack:
        return Pack(
            frames=self.images,
            indices=self._numbers,
            times_s=[timeline.times_s[number] for number in self._numbers],
            source_fps=timeline.rate,
            durations_ms=durations_ms,
        )


def _num_bytes(count: int, size: tuple[int, int]) -> int:
    return count * size[0] * size[1] * 3


def _source_info(file: BinaryIO, index: ClipIndex, renderer: _FrameRenderer) -> SourceInfo:
    held, picture = index.contents, renderer.picture
    return SourceInfo(
        width=picture.width,
        height=picture.height,
        framerate=index.timeline.rate,
        num_frames=index.num_frames,
        duration_s=index.timeline.end_time_s,
        video_codec=held.codec,
        pixel_format=picture.pixel_format,
        num_bytes=file.seek(0, io.SEEK_END),
        container=held.container,
        video_streams=held.video_streams,
        rotation_degrees=picture.turn.degrees,
        mirrored=picture.turn.mirrored,
        pixel_aspect_ratio=picture.pixel_aspect_ratio,
        interlaced=renderer.interlaced,
        color_matrix=picture.matrix.name,
        color_matrix_guessed=picture.matrix.guessed,
        color_range="full" if picture.full_range else "limited",
        color_transfer=picture.transfer,
        variable_frame_rate=index.timeline.uneven,
    )
