"""What a run made of a clip, put into the record that the clip has. Pure."""

from typing import Any

from clipfleet.models import reference_name
from clipfleet.options import PREVIEW, WINDOWS, enhanced_of
from clipfleet.queues import CAPTION, ENHANCE
from clipfleet.records.record import (
    Caption,
    ClipRecord,
    EnhancedCaption,
    ModelRecord,
    WindowRecord,
)
from clipfleet.records.status import Failure, Status

_TEXT_STEPS = (CAPTION, ENHANCE)
# What was found out about the source.
_FOUND = (
    *("duration_span", "width_source", "height_source", "framerate_source", "width", "height"),
    *("framerate", "num_frames", "video_codec", "num_bytes", "source"),
)


def merge(old: ClipRecord, new: ClipRecord, *, again: bool = False) -> ClipRecord:
    """The `old` record with the products of the `new` one; every other one stays.

    Of two products of one recipe the old one stays, unless it failed; where the clip is done
    `again`, only if the new one failed. Where windows are cut otherwise, or the source was
    replaced, no old product stays. Fields that nobody here knows do.
    """
    if not _fit(old, new):
        return old.model_copy(update={name: getattr(new, name) for name in type(new).model_fields})
    new = _with_keys_of(old, new)
    windows = old.windows
    if new.windows:  # else it failed before there were any
        recipe = new.recipes.get(PREVIEW)
        windows = [
            _merge_windows(*both, again=again, preview_recipe=recipe)
            for both in zip(old.windows, new.windows, strict=True)
        ]
    uploaded = new.clip_location != new.source_video
    merged = old.model_copy(
        update={
            **({name: getattr(new, name) for name in _FOUND} if new.source else {}),
            "clip_location": new.clip_location if uploaded else old.clip_location,
            "windows": windows,
            "valid": is_valid(windows, new.errors),
            "errors": new.errors,
            "warnings": _warnings(old, new),
            "metadata": new.metadata or old.metadata,
            "models": {**old.models, **new.models},
            "prompts": {**old.prompts, **new.prompts},
            "recipes": _recipes(old, new, windows),
            "run_id": new.run_id,
            "clipfleet_version": new.clipfleet_version,
            "finished_at": new.finished_at,
        }
    )
    return _without_unused(merged, old)


def was_replaced(
    record: ClipRecord, *, num_bytes: int | None, etag: str | None, mtime: str | None
) -> bool:
    """Whether the source is no longer the one of the record, as far as these are known of both."""
    was, now = record.source, (num_bytes, etag, mtime)
    known = (record.num_bytes, was and was.etag, was and was.mtime)
    return any(a and b and a != b for a, b in zip(known, now, strict=True))


def is_valid(windows: list[WindowRecord], errors: list[Failure]) -> bool:
    """Whether there are windows, and no error."""
    return bool(windows) and not errors and all(w.status is Status.OK for w in windows)


def completed(window: WindowRecord, was: Caption | None = None) -> WindowRecord:
    """The window with what follows from the rest: its status, and the reference system's fields.

    `was` is the caption that the latter are of until now.
    """
    statuses = {text.status for text in window.texts()}
    # What is said of a text's step may be but a remark; all others have no other status.
    statuses |= {Status.ERROR for error in window.errors if error.step not in _TEXT_STEPS}
    worst = (status for status in (Status.ERROR, Status.CANCELLED) if status in statuses)
    stale = _reference_fields(was)
    fields: dict[str, Any] = {name: value for name, value in window if name not in stale}
    follows = {"status": next(worst, Status.OK), **_reference_fields(window.caption)}
    return WindowRecord(**{**fields, **follows})


def _reference_fields(caption: Caption | None) -> dict[str, str]:
    found = {}
    for text, ending in ((caption, ""), (caption.enhanced if caption else None, "_enhanced")):
        if text is not None and text.model is not None and text.text is not None:
            found[f"{reference_name(text.model)}{ending}_caption"] = text.text
    return found


def add_model(known: dict[str, ModelRecord], name: str, model: ModelRecord) -> str:
    """The model's key among those `known`, where it is put: its name, unless another has it."""
    key, number = name, 2
    while known.setdefault(key, model) != model:
        key, number = f"{name}#{number}", number + 1
    return key


def _fit(old: ClipRecord, new: ClipRecord) -> bool:
    """Whether products of both may stand in one record."""
    now = new.source
    etag, mtime = (now.etag, now.mtime) if now else (None, None)
    if was_replaced(old, num_bytes=new.num_bytes, etag=etag, mtime=mtime):
        return False
    if not new.windows:
        return bool(old.windows)
    cuts = [[(w.start_frame, w.end_frame) for w in record.windows] for record in (old, new)]
    return cuts[0] == cuts[1] and old.recipes.get(WINDOWS) == new.recipes.get(WINDOWS)


def _with_keys_of(old: ClipRecord, new: ClipRecord) -> ClipRecord:
    """The new record with keys of models that are free in the old one, or of the same model."""
    known = dict(old.models)
    keys = {key: add_model(known, key, model) for key, model in new.models.items()}

    def renamed(text: Any) -> Any:
        return text and text.model_copy(update={"model": keys.get(text.model, text.model)})

    windows = []
    for window in new.windows:
        captions = {
            name: renamed(caption).model_copy(update={"enhanced": renamed(caption.enhanced)})
            for name, caption in window.captions.items()
        }
        windows.append(window.model_copy(update={"captions": captions}))
    renamed_models = {keys[key]: model for key, model in new.models.items()}
    return new.model_copy(update={"windows": windows, "models": renamed_models})


def _merge_windows(
    old: WindowRecord, new: WindowRecord, *, again: bool, preview_recipe: str | None
) -> WindowRecord:
    captions, redone = {**old.captions}, set[str]()
    for name, caption in new.captions.items():
        captions[name], steps = _merge_captions(old.captions.get(name), caption, again=again)
        redone |= steps
    preview = old.preview
    same = preview is not None and preview.recipe == preview_recipe
    if preview_recipe and (not same or (again and new.preview is not None)):
        preview = new.preview
        redone.add("preview")
    errors = [error for error in old.errors if error.step not in redone]
    errors += [error for error in new.errors if error.step in redone]
    frames = new.frames if "caption" in redone else old.frames
    changed = {"captions": captions, "frames": frames, "preview": preview, "errors": errors}
    return completed(old.model_copy(update=changed), old.caption)


def _merge_captions(old: Caption | None, new: Caption, *, again: bool) -> tuple[Caption, set[str]]:
    """The caption, and the steps whose results are those of the new one."""
    both = {"caption", "enhance"}
    if old is None or not _stays(old, new, again=again):
        same = old is not None and (old.recipe, old.text) == (new.recipe, new.text)
        if old is not None and same and new.enhanced is None:
            return new.model_copy(update={"enhanced": old.enhanced}), {"caption"}
        return new, both
    if new.enhanced is None or _stays(old.enhanced, new.enhanced, again=again):
        return old, set()
    if new.status is not Status.OK:  # and so it had nothing to enhance
        failed = new.enhanced.model_copy(update={"status": Status.ERROR})
        return old.model_copy(update={"enhanced": failed}), both
    if old.text == new.text:
        return old.model_copy(update={"enhanced": new.enhanced}), {"enhance"}
    return new, both  # what was enhanced is the new text


def _stays(old: EnhancedCaption | None, new: EnhancedCaption, *, again: bool) -> bool:
    if old is None or old.status is not Status.OK or old.recipe != new.recipe:
        return False
    return not (again and new.status is Status.OK)


def _recipes(old: ClipRecord, new: ClipRecord, windows: list[WindowRecord]) -> dict[str, str]:
    """Those of both, but for enhanced captions that went with the captions they were made from."""
    gone = {
        enhanced_of(name)
        for window in windows
        for name, caption in window.captions.items()
        if caption.enhanced is None
    }
    kept = {product: recipe for product, recipe in old.recipes.items() if product not in gone}
    return {**kept, **new.recipes}


def _warnings(old: ClipRecord, new: ClipRecord) -> list[str]:
    """The new ones; the old ones too, where something is left that they may be about."""
    if old.recipes.keys() <= new.recipes.keys():
        return new.warnings
    return list(dict.fromkeys([*new.warnings, *old.warnings]))


def _without_unused(record: ClipRecord, old: ClipRecord) -> ClipRecord:
    """The record without models and prompts of texts that the old one had and it has no longer."""
    stale = _used(old) - _used(record)
    models = {key: model for key, model in record.models.items() if key not in stale}
    prompts = {key: prompt for key, prompt in record.prompts.items() if key not in stale}
    return record.model_copy(update={"models": models, "prompts": prompts})


def _used(record: ClipRecord) -> set[str | None]:
    """The keys of models and prompts that its texts refer to."""
    texts = [text for window in record.windows for text in window.texts()]
    captions = [text for text in texts if isinstance(text, Caption)]
    return (
        {text.model for text in texts}
        | {text.prompt_sha256 for text in texts}
        | {each.score.model for each in captions if each.score}
        | {each.first_pass.prompt_sha256 for each in captions if each.first_pass}
    )
