"""What a clip's record has of what a run asks for, as parts of the run's queues. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from clipfleet import options, queues
from clipfleet.options import DEFAULT, WINDOWS, caption_of, enhanced_of
from clipfleet.records.part import Completion, Part
from clipfleet.records.record import (
    Caption,
    ClipRecord,
    EnhancedCaption,
    Frames,
    PreviewFile,
    WindowRecord,
    WrittenText,
    written,
)
from clipfleet.records.status import Status

Span = tuple[int, int]  # a window's first and last frame


@dataclass(frozen=True, kw_only=True)
class KeptWindow:
    """A window's good products by the queue that would make them, and the frames of its caption."""

    parts: dict[str, Part]
    frames: Frames


def kept_windows(record: ClipRecord, recipes: Mapping[str, str]) -> dict[Span, KeptWindow]:
    """What the record has by these recipes, window by window; nothing if it cuts others.

    What failed is not kept, nor what was made from another caption.
    """
    if record.recipes.get(WINDOWS) != recipes[WINDOWS]:
        return {}
    return {
        (window.start_frame, window.end_frame): KeptWindow(
            parts=_parts(record, window, recipes), frames=window.frames
        )
        for window in record.windows
    }


def _parts(record: ClipRecord, window: WindowRecord, recipes: Mapping[str, str]) -> dict[str, Part]:
    caption, enhanced = window.caption, window.enhanced
    found: dict[str, Part | None] = {}
    if window.preview is not None and window.preview.recipe == recipes.get(options.PREVIEW):
        said = {name: getattr(window.preview, name) for name in PreviewFile.model_fields}
        found[queues.PREVIEW] = Part(status=Status.OK, preview=PreviewFile(**said))
    if caption is not None and caption.recipe == recipes.get(caption_of(DEFAULT)):
        found[queues.CAPTION] = _text_part(record, caption)
    if enhanced is not None and enhanced.recipe == recipes.get(enhanced_of(DEFAULT)):
        found[queues.ENHANCE] = _text_part(record, enhanced)
    kept = {queue: part for queue, part in found.items() if part is not None}
    return {q: part for q, part in kept.items() if queues.SPECS[q].after in ("", *kept)}


def _text_part(record: ClipRecord, text: EnhancedCaption) -> Part | None:
    """The part that brought a text; None where it failed, or the record does not say enough."""
    first = text.first_pass if isinstance(text, Caption) else None
    try:
        completion = Completion(
            **written(text),
            variant=text.model or "",
            model=record.models[text.model or ""],
            prompt=record.prompts[text.prompt_sha256 or ""],
            sampling=text.sampling,  # type: ignore[arg-type]  # pydantic refuses None
            first=WrittenText(**written(first)) if first else None,
            first_prompt=record.prompts[first.prompt_sha256] if first else None,
        )
    except (KeyError, ValidationError):
        return None
    return Part(status=Status.OK, completion=completion) if text.status is Status.OK else None
