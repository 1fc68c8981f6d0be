"""The prepare queue: a clip becomes packs of frames in scratch, and messages for its windows."""

import io
import logging
import mmap
from dataclasses import replace
from typing import BinaryIO

from celery import Celery

from clipfleet import keys, models
from clipfleet.errors import ClipError, ClipTooShort, ClipUnreadable, ScratchGone, StoreError
from clipfleet.grid import Grid
from clipfleet.messages import ClipJob, Message, WindowJob
from clipfleet.options import FrameEncoding, Options
from clipfleet.presigned import shown
from clipfleet.queues import ASSEMBLE, CAPTION, PREPARE, PREVIEW, send_windows, window_queues
from clipfleet.records import (
    ClipRecord,
    Failure,
    KeptWindow,
    Plan,
    SourceInfo,
    Status,
    WindowPlan,
    find_record,
    kept_windows,
    was_replaced,
)
from clipfleet.store import Store
from clipfleet_workers.context import Context, OpenClip
from clipfleet_workers.media import limits, onepass
from clipfleet_workers.media.packs import Encoding
from clipfleet_workers.media.windows import MIN_FRAMES
from clipfleet_workers.steps.scratch import clear_scratch, stored_plan, write_part

log = logging.getLogger("clipfleet")


def prepare(context: Context, app: Celery, job: ClipJob, given_up: ClipError | None = None) -> None:
    """Cut the clip, write its packs and then its plan, and send its windows on.

    A clip that cannot be cut, or is `given_up`, has a plan with the reason and no windows;
    `assemble` records it.
    """
    if given_up and stored_plan(context, job) is None:
        _put_plan(context, Plan(job=job, source=None, windows=[], errors=[_failure(given_up)]))
    options = context.options(job)
    found = find_record(context.store, job.clip_uuid, job.set_name)
    if found is not None and found.is_done(options.recipes, replaces=job.replaces):
        clear_scratch(context, job)
        context.emit(job, step=ASSEMBLE, status=Status.OK if found.record.valid else Status.ERROR)
        return
    plan = stored_plan(context, job)
    if plan is None:
        try:
            record = found.record if found and found.digest != job.replaces else None
            plan = cut_clip(context, job, options, record)
        except ScratchGone as error:  # as where another run of the clip was cancelled
            log.warning("%s", error, extra={"action": "scratch_gone"})
            return
        _put_plan(context, plan)
    context.emit(
        job,
        step=PREPARE,
        status=Status.ERROR if plan.errors else Status.OK,
        windows=len(plan.windows),
    )
    send_windows(
        app,
        job,
        [_span(window) for window in plan.windows],
        options,
        kept={_span(window): window.kept for window in plan.windows},
    )


def _span(window: WindowPlan) -> tuple[int, int]:
    return window.start_frame, window.end_frame


def _put_plan(context: Context, plan: Plan) -> None:
    context.store.put(plan.job.scratch.plan, plan.to_bytes(), content_type="application/json")


def _failure(error: Exception) -> Failure:
    return Failure(step=PREPARE, error=type(error).__name__, message=str(error))


def cut_clip(
    context: Context, job: ClipJob, options: Options, record: ClipRecord | None = None
) -> Plan:
    """The clip's plan, its packs written but for what its `record` has; without windows, why."""
    num_bytes = None
    try:
        with context.open_clip(job) as opened:
            file = opened.file
            num_bytes = file.seek(0, io.SEEK_END)
            if not num_bytes:
                raise ClipUnreadable("the file is empty (0 bytes)")
            encoding = pack_encoding(context.store, options.prepare.frame_encoding)
            record = _unless_replaced(record, opened, num_bytes)
            clip = _write_packs(context, job, file, options, encoding, record)
            # After it was decoded: what is no video may be anything, and nobody's business.
            wanted = options.prepare.upload_clips and bool(clip.windows)
            uploaded = wanted and (_was_uploaded(record) or _upload(context, job, file))
    except (StoreError, ScratchGone):
        raise
    except Exception as refused:
        log.warning(
            "cannot prepare clip %s (%s): %s",
            job.clip_uuid,
            shown(job.source),
            refused,
            extra={"action": "clip_refused"},
            exc_info=log.isEnabledFor(logging.DEBUG),
        )
        errors = [_failure(refused)]
        return Plan(job=job, num_bytes=num_bytes, source=None, windows=[], errors=errors)
    return Plan(
        job=job,
        num_bytes=num_bytes,
        source=clip.source.model_copy(update={"etag": opened.etag, "mtime": opened.mtime}),
        span=clip.span,
        windows=clip.windows,
        frame_encoding=encoding,
        uploaded=uploaded,
        warnings=[
            *clip.warnings,
            *_preview_warnings(clip.source, options),
            *([_not_uploaded(job)] if wanted and not uploaded else []),
        ],
        errors=[] if clip.windows else [_too_short(clip)],
    )


def _unless_replaced(
    record: ClipRecord | None, opened: OpenClip, num_bytes: int
) -> ClipRecord | None:
    """The record, if it is of the file that was opened."""
    if record and was_replaced(record, num_bytes=num_bytes, etag=opened.etag, mtime=opened.mtime):
        return None
    return record


def _was_uploaded(record: ClipRecord | None) -> bool:
    return record is not None and record.clip_location != record.source_video


def _upload(context: Context, job: ClipJob, file: BinaryIO) -> bool:
    """Copy the clip to the store, if it lies where its run may copy from; whether it does."""
    if not context.may_upload(job, file):
        log.warning(
            "clip %s: %s", job.clip_uuid, _not_uploaded(job), extra={"action": "clip_not_uploaded"}
        )
        return False
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as data:
        context.store.put(keys.clip(job.clip_uuid, job.set_name), data, content_type="video/mp4")
    return True


def _not_uploaded(job: ClipJob) -> str:
    return (
        f"not copied to clips/: {shown(job.source)} lies outside of the places that its run may "
        "copy from; submit it with these in the setting allowed_sources"
    )


def pack_encoding(store: Store, asked: FrameEncoding) -> Encoding:
    """How packs are stored."""
    return store.frame_encoding if asked == "auto" else asked


def _write_packs(
    context: Context,
    job: ClipJob,
    file: BinaryIO,
    options: Options,
    encoding: Encoding,
    record: ClipRecord | None,
) -> onepass.CutClip:
    """Cut the clip; put packs into scratch, and in their place parts of what its record has."""
    kept = kept_windows(record, options.recipes) if record else {}
    missing = {queue for queue in window_queues(options) if not kept} | {
        queue for w in kept.values() for queue in window_queues(options) if queue not in w.parts
    }
    grid = _grid(options) if CAPTION in missing else None

    def write(window: onepass.Window) -> None:
        span = _span(window.plan)
        have = kept[span].parts if span in kept else {}
        if grid is not None and CAPTION not in have:
            context.store.put(job.scratch.frames(*span), window.frames.to_parts(encoding))
        if window.preview is not None and PREVIEW not in have:
            shown = window.preview.to_parts("zstd" if encoding == "jpeg444" else encoding)
            context.store.put(job.scratch.preview_frames(*span), shown)

    guard = limits.Guard(context.settings.clip_limits)
    with limits.held(guard):
        clip = onepass.cut(
            file,
            prepare=options.prepare.model_copy(update={"generate_previews": PREVIEW in missing}),
            preview=options.preview,
            grid=grid,
            write=write,
            span_s=job.span_s,
            guard=guard,
        )
    if kept and [*kept] != [_span(window) for window in clip.windows]:
        # Whoever wrote the record saw other frames in the file.
        return _write_packs(context, job, file, options, encoding, None)
    windows = [_keep(context, job, window, kept.get(_span(window))) for window in clip.windows]
    return replace(clip, windows=windows)


def _grid(options: Options) -> Grid:
    grid = models.find(options.caption.model_variant).grid
    if grid is None:
        raise ClipError(f"{options.caption.model_variant} sees no frames; it cannot caption")
    return grid


def _keep(
    context: Context, job: ClipJob, window: WindowPlan, kept: KeptWindow | None
) -> WindowPlan:
    """The window, with parts of what the clip's record has of it."""
    if kept is None:
        return window
    claim = job.model_dump(include={*Message.model_fields})
    message = WindowJob(**claim, start_frame=window.start_frame, end_frame=window.end_frame)
    for queue, part in kept.parts.items():
        write_part(context, message, queue, part)
    if CAPTION in kept.parts:
        window = window.model_copy(
            update={
                "frame_indices": kept.frames.indices,
                "frame_times_s": kept.frames.times_s,
                "sampling": kept.frames.sampling,
                "grid_width": kept.frames.width,
                "grid_height": kept.frames.height,
            }
        )
    return window.model_copy(update={"kept": [*kept.parts]})


def _too_short(clip: onepass.CutClip) -> Failure:
    frames, where = clip.source.num_frames, ""
    if clip.span is not None:
        frames = clip.span.num_frames
        where = f" in its span (the file has {clip.source.duration_s:g} s)"
    return _failure(
        ClipTooShort(f"it has {frames} frames{where}, and a window needs at least {MIN_FRAMES}")
    )


def _preview_warnings(source: SourceInfo, options: Options) -> list[str]:
    if not options.prepare.generate_previews:
        return []
    warnings = []
    if source.framerate < options.preview.target_fps:
        warnings.append(
            f"the clip has {source.framerate:g} frames/s, fewer than the preview's "
            f"{options.preview.target_fps:g}: no frame is shown twice"
        )
    if source.height < options.preview.target_height:
        warnings.append(
            f"the clip is {source.height} pixels high, lower than the preview's "
            f"{options.preview.target_height}: it is not scaled up"
        )
    return warnings
