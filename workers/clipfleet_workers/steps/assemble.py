"""The assemble queue: a clip's parts become its record, and its scratch is cleared."""

import logging
from datetime import UTC, datetime

from celery import Celery
from pydantic import BaseModel, JsonValue, ValidationError

from clipfleet import __version__, keys
from clipfleet.errors import ClipError, ObjectMissing, StoreUnavailable
from clipfleet.messages import AssembleJob, ClipJob
from clipfleet.options import Options
from clipfleet.presigned import bare
from clipfleet.queues import (
    ASSEMBLE,
    CAPTION,
    ENHANCE,
    PREVIEW,
    WINDOW_QUEUES,
    send_clip,
    window_queues,
)
from clipfleet.records import (
    ClipRecord,
    Completion,
    Failure,
    Kept,
    ModelRecord,
    Part,
    Plan,
    Status,
    WindowPlan,
    WindowRecord,
    find_record,
)
from clipfleet.store import Store
from clipfleet_workers.context import Context
from clipfleet_workers.steps.given_up import MaxDeliveriesExceeded
from clipfleet_workers.steps.scratch import clear_scratch, find_part, stored_plan

log = logging.getLogger("clipfleet")

MAX_ATTEMPTS = 3
_WRITE_TRIES = 10

Parts = dict[str, Part]


def assemble(
    context: Context, app: Celery, job: AssembleJob, given_up: ClipError | None = None
) -> None:
    """Write the clip's record, then clear its scratch.

    Where parts are missing (scratch that expired or was deleted), the clip is prepared again, at
    most `MAX_ATTEMPTS` times in all; then it is recorded with that as its error. Where even the
    plan is gone, whoever follows the run finds the clip without a record and feeds it again.
    A message that ended its workers too often is given up and changes nothing; one whose store
    failed is not, as the same store would have to take the reason. Raises `NewerVersion` where
    newer workers were at it.
    """
    if isinstance(given_up, MaxDeliveriesExceeded):
        log.error(
            "assembling clip %s: %s",
            job.clip_uuid,
            given_up,
            extra={"action": "assemble_given_up"},
        )
        return
    plan = stored_plan(context, job)
    kept = find_record(context.store, job.clip_uuid, job.set_name, to_replace=True)
    record = kept.record if kept and _is_done(kept, job, plan) else None
    if record is None:
        if plan is None:
            log.warning("clip %s has no plan", job.clip_uuid, extra={"action": "plan_missing"})
            return
        record = _write_record(context, app, job, plan, kept)
    if record is None:
        return
    clear_scratch(context, job)
    context.emit(
        job,
        step=ASSEMBLE,
        status=Status.OK if record.valid else Status.ERROR,
        windows=len(record.windows),
        message=record.first_error(),
    )


def _is_done(kept: Kept, job: AssembleJob, plan: Plan | None) -> bool:
    return kept.is_done(job.options_hash, replaces=plan.job.replaces if plan else None)


def _write_record(
    context: Context, app: Celery, job: AssembleJob, plan: Plan, kept: Kept | None
) -> ClipRecord | None:
    """The clip's record, written over the one that was `kept`.

    None where the clip is prepared again instead.
    """
    options = context.options(job)
    parts = _collect(context, job, plan, options)
    if parts is None:
        # Another delivery may have written the record meanwhile, and cleared the parts away.
        now = find_record(context.store, job.clip_uuid, job.set_name)
        if now is not None and _is_done(now, job, plan):
            return now.record
        if plan.job.attempt < MAX_ATTEMPTS:
            _prepare_again(context, app, plan.job)
            return None
        plan, parts = _given_up(plan), []
    metadata = _metadata(context, plan.job)
    if metadata is None:
        now = find_record(context.store, job.clip_uuid, job.set_name)
        return now.record if now and _is_done(now, job, plan) else None
    record = build_record(plan, parts, options=options, metadata=metadata)
    for _ in range(_WRITE_TRIES):
        if _put(context.store, record, kept, job.set_name):
            return record
        # Another's came between.
        kept = find_record(context.store, job.clip_uuid, job.set_name, to_replace=True)
        if kept is not None and _is_done(kept, job, plan):
            return kept.record
    raise StoreUnavailable(f"the record of clip {job.clip_uuid} keeps changing as it is written")


def _put(store: Store, record: ClipRecord, kept: Kept | None, set_name: str) -> bool:
    """Write a record where `kept` is what lies there; whether it still was."""
    key, data = keys.record(record.span_uuid, set_name), record.to_bytes()
    kind = "application/json"
    if kept is not None:
        return store.put_if_match(key, data, kept.version, content_type=kind)
    if store.put(key, data, content_type=kind, if_absent=True):
        return True
    if find_record(store, record.span_uuid, set_name) is not None:
        return False
    store.put(key, data, content_type=kind)  # what lies there is no record
    return True


def _metadata(context: Context, job: ClipJob) -> dict[str, JsonValue] | None:
    """What the run's manifest has on the clip; None where it is gone from scratch.

    Then whoever follows the run finds the clip without a record and feeds it again.
    """
    if not job.metadata:
        return {}
    try:
        data = context.store.get(job.scratch.metadata)
        return _Metadata.model_validate_json(data).metadata
    except (ObjectMissing, ValidationError):
        log.warning("clip %s has no metadata", job.clip_uuid, extra={"action": "metadata_missing"})
        context.store.delete(job.scratch.plan)
        return None


class _Metadata(BaseModel):
    metadata: dict[str, JsonValue]


def _prepare_again(context: Context, app: Celery, job: ClipJob) -> None:
    log.warning(
        "parts of clip %s are missing; preparing it again",
        job.clip_uuid,
        extra={"action": "prepare_again", "attempt": job.attempt},
    )
    context.store.delete(job.scratch.plan)
    send_clip(app, job.model_copy(update={"attempt": job.attempt + 1}))


def _collect(
    context: Context, job: AssembleJob, plan: Plan, options: Options
) -> list[Parts] | None:
    """Each window's parts by queue; None where one is missing."""
    collected = []
    for window in plan.windows:
        parts = {
            queue: find_part(context, job, window.start_frame, window.end_frame, queue)
            for queue in window_queues(options)
        }
        found = {queue: part for queue, part in parts.items() if part is not None}
        if len(found) < len(parts):
            return None
        collected.append(found)
    return collected


def _given_up(plan: Plan) -> Plan:
    failure = Failure(
        step="assemble",
        error="PartsMissing",
        message=f"its parts went missing from scratch {MAX_ATTEMPTS} times; is the store keeping "
        "objects?",
    )
    return plan.model_copy(update={"windows": [], "errors": [failure]})


def build_record(
    plan: Plan,
    parts: list[Parts],
    *,
    options: Options,
    metadata: dict[str, JsonValue] | None = None,
) -> ClipRecord:
    """The record of a clip from its plan and its windows' parts. Pure but for the clock."""
    windows = [
        build_window(window, found, options=options)
        for window, found in zip(plan.windows, parts, strict=True)
    ]
    job, source = plan.job, plan.source
    address = bare(job.source)  # lists of before have signatures in them
    valid = bool(windows) and not plan.errors and all(w.status is Status.OK for w in windows)
    return ClipRecord(
        span_uuid=job.clip_uuid,
        source_video=address,
        duration_span=_span(plan),
        width_source=source.width if source else None,
        height_source=source.height if source else None,
        framerate_source=source.framerate if source else None,
        clip_location=keys.clip(job.clip_uuid, job.set_name) if plan.uploaded else address,
        width=source.width if source else None,
        height=source.height if source else None,
        framerate=source.framerate if source else None,
        num_frames=plan.span.num_frames if plan.span else source.num_frames if source else None,
        video_codec=source.video_codec if source else None,
        num_bytes=plan.num_bytes,
        windows=windows,
        frame_encoding=plan.frame_encoding,
        valid=valid,
        errors=plan.errors,
        warnings=[*options.caveats, *plan.warnings],
        metadata=metadata or {},
        source=source,
        caption_model=_model_record(parts, CAPTION),
        enhance_model=_model_record(parts, ENHANCE),
        options_hash=job.options_hash,
        run_id=job.run_id,
        clipfleet_version=__version__,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _span(plan: Plan) -> tuple[float, float]:
    """[start, end] of the clip within its source, in seconds; as asked for where it is not cut."""
    if plan.span is not None:
        return plan.span.start_s, plan.span.end_s
    if plan.job.span_s is not None:
        return plan.job.span_s[0], plan.job.span_s[1]
    return 0.0, plan.source.duration_s if plan.source else 0.0


def build_window(window: WindowPlan, parts: Parts, *, options: Options) -> WindowRecord:
    """One window of the record. An error or a cancellation in any of its steps is the window's."""
    statuses = {
        queue: parts[queue].status if queue in parts else Status.SKIPPED for queue in WINDOW_QUEUES
    }
    worst = (s for s in (Status.ERROR, Status.CANCELLED) if s in statuses.values())
    caption = parts[CAPTION].completion
    first = caption.first if caption else None
    enhanced = parts[ENHANCE].completion if ENHANCE in parts else None
    preview = parts[PREVIEW].preview if PREVIEW in parts else None
    return WindowRecord(
        start_frame=window.start_frame,
        end_frame=window.end_frame,
        qwen_caption=caption.text if caption else None,
        stage1_caption=first.text if first else None,
        stage1_finish_reason=first.finish_reason if first else None,
        stage1_output_tokens=first.output_tokens if first else None,
        qwen_lm_enhanced_caption=enhanced.text if enhanced else None,
        status=next(worst, Status.OK),
        caption_status=statuses[CAPTION],
        enhance_status=statuses[ENHANCE],
        preview_status=statuses[PREVIEW],
        finish_reason=caption.finish_reason if caption else None,
        prompt_tokens=caption.prompt_tokens if caption else None,
        output_tokens=caption.output_tokens if caption else None,
        caption_cut=caption.cut if caption else None,
        caption_repeats=caption.repeats if caption else None,
        enhance_finish_reason=enhanced.finish_reason if enhanced else None,
        enhance_prompt_tokens=enhanced.prompt_tokens if enhanced else None,
        enhance_output_tokens=enhanced.output_tokens if enhanced else None,
        enhance_cut=enhanced.cut if enhanced else None,
        enhance_repeats=enhanced.repeats if enhanced else None,
        frame_indices=window.frame_indices,
        frame_times_s=window.frame_times_s,
        sampling=window.sampling,
        preview_key=preview.key if preview else None,
        poster_key=preview.poster_key if preview else None,
        preview_bytes=preview.num_bytes if preview else None,
        preview_width=preview.width if preview else None,
        preview_height=preview.height if preview else None,
        preview_frames=preview.num_frames if preview else None,
        preview_duration_ms=preview.duration_ms if preview else None,
        errors=[part.error for part in parts.values() if part.error is not None],
    )


def _model_record(parts: list[Parts], queue: str) -> ModelRecord | None:
    """The model that wrote the clip's texts, as its first window has it."""
    found: list[Completion] = [
        part.completion
        for window in parts
        if (part := window.get(queue)) is not None and part.completion is not None
    ]
    if not found:
        return None
    first = found[0]
    return ModelRecord(
        repository=first.model,
        revision=first.revision,
        engine=first.engine,
        prompt=first.prompt,
        prompt_sha256=first.prompt_sha256,
        stage2_prompt=first.stage2_prompt,
    )
