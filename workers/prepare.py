"""The prepare queue: a clip becomes packs of frames in scratch, and messages for its windows."""

import logging

from celery import Celery
from pydantic import ValidationError

from clipfleet import keys
from clipfleet.errors import ClipError, ClipUnreadable, ObjectMissing, StoreError
from clipfleet.messages import ClipJob, Message
from clipfleet.options import Options
from clipfleet.queues import ASSEMBLE, PREPARE, send_windows
from clipfleet.records import Failure, Plan, SourceInfo, Status, WindowPlan, done_record
from workers import models
from workers.context import Context
from workers.media import decode, onepass

log = logging.getLogger("clipfleet")


def prepare(context: Context, app: Celery, job: ClipJob) -> None:
    """Cut the clip, write its packs and then its plan, and send its windows on.

    A clip that cannot be cut has a plan with the reason and no windows; `assemble` records it.
    """
    redone_by = job.run_id if job.redo else None
    done = done_record(context.store, job.clip_uuid, job.options_hash, redone_by=redone_by)
    if done is not None:
        context.store.delete_prefix(keys.scratch(job.clip_uuid, job.options_hash))
        context.emit(job, step=ASSEMBLE, status=Status.OK if done.valid else Status.ERROR)
        return
    options = context.options(job)
    plan = stored_plan(context, job)
    if plan is None:
        plan = _cut(context, job, options)
        key = keys.plan(job.clip_uuid, job.options_hash)
        context.store.put(key, plan.to_bytes(), content_type="application/json")
    context.emit(
        job,
        step=PREPARE,
        status=Status.ERROR if plan.errors else Status.OK,
        windows=len(plan.windows),
    )
    send_windows(
        app,
        job,
        [(window.start_frame, window.end_frame) for window in plan.windows],
        previews=options.prepare.generate_previews,
        enhance=options.enhance.enabled,
    )


def stored_plan(context: Context, job: Message) -> Plan | None:
    """The clip's plan, if an earlier delivery wrote it; one of another version counts as none."""
    try:
        data = context.store.get(keys.plan(job.clip_uuid, job.options_hash))
        return Plan.model_validate_json(data)
    except (ObjectMissing, ValidationError):
        return None


def _cut(context: Context, job: ClipJob, options: Options) -> Plan:
    source = None
    num_bytes = None
    warnings: list[str] = []
    try:
        data = context.read_clip(job)
        num_bytes = len(data)
        if not data:
            raise ClipUnreadable("the file is empty (0 bytes)")
        if options.prepare.upload_clips:
            context.store.put(keys.clip(job.clip_uuid), data, content_type="video/mp4")
        index = decode.index(data)
        try:
            planned = _write_packs(context, job, data, index, options)
        except decode.FramesDiffer as differ:
            index = differ.index
            source = _source_info(index, data)
            planned = _write_packs(context, job, data, index, options)
        source = _source_info(index, data)
        warnings = [*index.warnings, *_preview_warnings(source, options)]
    except StoreError:
        raise
    except decode.FramesDiffer:
        error: Exception = ClipUnreadable("it decodes differently every time")
    except Exception as refused:
        log.warning(
            "cannot prepare clip %s (%s): %s",
            job.clip_uuid,
            job.source,
            refused,
            extra={"action": "clip_refused"},
            exc_info=log.isEnabledFor(logging.DEBUG),
        )
        error = refused
    else:
        return Plan(job=job, num_bytes=num_bytes, source=source, windows=planned, warnings=warnings)
    failure = Failure(step="prepare", error=type(error).__name__, message=str(error))
    return Plan(
        job=job,
        num_bytes=num_bytes,
        source=source,
        windows=[],
        warnings=warnings,
        errors=[failure],
    )


def _write_packs(
    context: Context, job: ClipJob, data: bytes, index: decode.ClipIndex, options: Options
) -> list[WindowPlan]:
    grid = models.find(options.caption.model_variant).grid
    if grid is None:
        raise ClipError(f"{options.caption.model_variant} sees no frames; it cannot caption")
    planned = []
    for window in onepass.cut(
        data, index, prepare=options.prepare, preview=options.preview, grid=grid
    ):
        where = (
            job.clip_uuid,
            job.options_hash,
            window.plan.start_frame,
            window.plan.end_frame,
        )
        context.store.put(keys.frames(*where), window.frames.to_bytes())
        if window.preview is not None:
            context.store.put(keys.preview_frames(*where), window.preview.to_bytes())
        planned.append(window.plan)
    return planned


def _source_info(index: decode.ClipIndex, data: bytes) -> SourceInfo:
    return SourceInfo(
        width=index.width,
        height=index.height,
        framerate=index.rate,
        num_frames=index.num_frames,
        duration_s=index.end_time_s,
        video_codec=index.codec,
        pixel_format=index.pixel_format,
        rotation_degrees=index.rotation_degrees,
        variable_frame_rate=index.uneven,
        num_bytes=len(data),
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
