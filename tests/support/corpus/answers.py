"""What the corpus is cut to, measured.

Each case is cut twice: at source size, where pixels are compared one to one, and at the model's.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clipfleet.errors import ClipUnreadable
from clipfleet.grid import QWEN2_5_VL
from clipfleet.options import PrepareOptions, PreviewOptions
from clipfleet.records import SourceInfo, WindowPlan
from clipfleet_workers.media import onepass
from tests.integration import reference
from tests.support import clips
from tests.support.corpus.case import Case
from tests.support.corpus.cases import CASES
from tests.support.corpus.planes import Image

# How far a sampled frame may be from the reference: the largest mean luma difference of any 16×16
# block, in levels. Measured: swscale's own rounding is off by up to 0.2 at its best and 2.6 at its
# quickest, another filter for stretching by 7.4; a neighbour's picture by 20 and more, frames that
# reference lost ones by 10 to 120, those decoded without the loop filter (at crf 38) by 3 to 38.
SAME_SIZE, STRETCHED = 2.5, 10.0
# And from what was drawn, before the codec's own losses.
TRUE = 9.0
# Flat patches: levels of 255 from the reference, in any channel.
COLOUR = 2.0


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One frame that came out: which it says it is, which it is, and how good."""

    index: int
    time_s: float
    number: int
    from_reference: float | None = None  # block difference
    from_truth: float | None = None  # block difference
    nearest: bool = True  # no neighbour is nearer
    colours: float | None = None  # largest difference of a patch from the reference


@dataclass(frozen=True, kw_only=True)
class CutWindow:
    """One window as it came out, without its pixels."""

    plan: WindowPlan
    size: tuple[int, int]
    frames: list[Seen]
    preview: list[Seen]
    durations_ms: list[int]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """All that was found out about a case's file. `error` where it was refused."""

    source: SourceInfo | None = None
    at_source_size: list[CutWindow] = field(default_factory=list)
    at_model_size: list[CutWindow] = field(default_factory=list)
    planned: list[WindowPlan] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    error: str = ""


@functools.lru_cache(maxsize=1)
def file_of(name: str) -> bytes:
    """The case's file."""
    return CASES[name].make()


@functools.lru_cache(maxsize=1)
def decoded(name: str) -> list[reference.Frame]:
    """What a plain decode of the case's file gives, but for frames that it calls broken."""
    return [frame for frame in reference.decode(file_of(name)) if not frame.broken]


@functools.cache
def answer(name: str) -> Answer:
    """The case's file, cut and measured."""
    case = CASES[name]
    data = file_of(name)
    try:
        small, at_model_size = _cut(
            case, data, _measured_by_number(case), PrepareOptions(**case.prepare), 1.0
        )
        if not case.at_source_size:
            return Answer(
                source=small.source,
                at_model_size=at_model_size,
                planned=small.windows,
                warnings=small.warnings,
            )
        measured = _measured_by_pixels(case, decoded(name))
        whole, at_source_size = _cut(
            case,
            data,
            measured,
            PrepareOptions(model_does_preprocess=True, **case.prepare),
            5.0,
        )
    except ClipUnreadable as error:
        return Answer(error=str(error))
    return Answer(
        source=whole.source,
        at_source_size=at_source_size,
        at_model_size=at_model_size,
        planned=whole.windows,
        warnings=whole.warnings,
    )


Measure = Callable[[Image, int, float], Seen]


def _cut(
    case: Case, data: bytes, measure: Measure, prepare: PrepareOptions, preview_fps: float
) -> tuple[onepass.CutClip, list[CutWindow]]:
    found: dict[tuple[int, int], CutWindow] = {}

    def write(window: onepass.Window) -> None:
        pack, preview = window.frames, window.preview
        assert preview is not None
        found[window.plan.start_frame, window.plan.end_frame] = CutWindow(
            plan=window.plan,
            size=(pack.frames.shape[2], pack.frames.shape[1]),
            frames=[
                measure(*each) for each in zip(pack.frames, pack.indices, pack.times_s, strict=True)
            ],
            preview=[
                Seen(index=index, time_s=time_s, number=number_in(case, image))
                for image, index, time_s in zip(
                    preview.frames, preview.indices, preview.times_s, strict=True
                )
            ],
            durations_ms=preview.durations_ms or [],
        )

    clip = onepass.cut(
        io.BytesIO(data),
        prepare=prepare,
        preview=PreviewOptions(target_fps=preview_fps),
        grid=QWEN2_5_VL,
        write=write,
    )
    kept = [(plan.start_frame, plan.end_frame) for plan in clip.windows]
    return clip, [found[each] for each in kept if each in found]


def number_in(case: Case, image: Image) -> int:
    """The number that a picture carries, by brightness alone where it is too small for bits."""
    if case.colours:
        return clips.number_in(image)
    return round((float(image.mean()) - 40) / 5)


def _measured_by_number(case: Case) -> Measure:
    return lambda image, index, time_s: Seen(
        index=index, time_s=time_s, number=number_in(case, image)
    )


def _measured_by_pixels(case: Case, frames: Sequence[reference.Frame]) -> Measure:
    matrix = case.look.matrix
    width, height = round(case.size[0] * case.look.aspect), case.size[1]

    def whole_frame(index: int) -> Image | None:
        if not 0 <= index < len(frames):
            return None
        return reference.stretched(frames[index].image(case.look), width, height)

    def measure(image: Image, index: int, time_s: float) -> Seen:
        number = number_in(case, image)
        seen: dict[str, Any] = {"index": index, "time_s": time_s, "number": number}
        if image.shape != (height, width, 3):
            return Seen(**seen)
        found = reference.luma(image, matrix)
        if case.colours and not case.lossy:
            truth = reference.luma(case.truth(number), matrix)
            seen["from_truth"] = reference.block_difference(found, truth)
        expected = whole_frame(index)
        if expected is None or case.at_least is not None:
            return Seen(**seen)
        apart = np.abs(found - reference.luma(expected, matrix)).mean()
        neighbours = (whole_frame(index - 1), whole_frame(index + 1))
        seen["nearest"] = all(
            apart <= np.abs(found - reference.luma(other, matrix)).mean()
            for other in neighbours
            if other is not None
        )
        seen["from_reference"] = reference.block_difference(found, reference.luma(expected, matrix))
        if case.colours:
            colours = [np.array(clips.colours_in(each)) for each in (image, expected)]
            seen["colours"] = float(np.abs(colours[0] - colours[1]).max())
        return Seen(**seen)

    return measure


def is_right(case: Case, seen: Seen) -> bool:
    """Whether a sampled frame is the one that it says it is, with the pixels that it should have.

    Of a damaged clip: whether it is a whole frame of the clip, at its own time.
    """
    shown = case.shown()
    if case.at_least is not None:
        return seen.from_truth is not None and seen.from_truth <= TRUE
    stretched = case.look.interlaced or case.look.aspect != 1 or case.size_of is not None
    return (
        seen.index < len(shown)
        and seen.number == shown[seen.index]
        and seen.nearest
        and (seen.from_reference or 0) <= (STRETCHED if stretched else SAME_SIZE)
        and (seen.from_truth or 0) <= (STRETCHED + TRUE if stretched else TRUE)
        and (seen.colours or 0) <= COLOUR
    )
