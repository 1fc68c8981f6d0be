"""The assemble queue: a clip's parts become its record, and its scratch is cleared."""

import logging
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from pydantic import BaseModel, JsonValue, ValidationError

from clipfleet import __version__, keys, prompts
from clipfleet.errors import ClipError, ObjectMissing, StoreUnavailable
from clipfleet.messages import AssembleJob, ClipJob
from clipfleet.options import DEFAULT, Options, caption_of, enhanced_of
from clipfleet.presigned import bare
from clipfleet.queues import (
    ASSEMBLE,
    CAPTION,
    ENHANCE,
    PREVIEW,
    send_clip,
    window_queues,
)
from clipfleet.records import (
    Caption,
    ClipRecord,
    EnhancedCaption,
    Failure,
    FirstPass,
    Frames,
    Kept,
    ModelRecord,
    Part,
    Plan,
    Preview,
    Status,
    WindowPlan,
    WindowRecord,
    add_model,
    completed,
    done_record,
    find_record,
    is_valid,
    merge,
    read_record,
    written,
)
from clipfleet.store import Store
from clipfleet_workers.context import Context
from clipfleet_workers.steps.given_up import MaxDeliveriesExceeded
from clipfleet_workers.steps.scratch import clear_scratch, find_part, stored_plan

log = logging.getLogger("clipfleet")

MAX_ATTEMPTS = 3
_WRITE_TRIES, _WAIT_S = 20, 0.05
_JSON = "application/json"

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
    options = context.options(job)
    record = _done(context, job, plan, options)
    if record is None:
        if plan is None:
            log.warning("clip %s has no plan", job.clip_uuid, extra={"action": "plan_missing"})
            return
        record = _write_record(context, app, job, plan, options)
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


def _done(
    context: Context, job: AssembleJob, plan: Plan | None, options: Options
) -> ClipRecord | None:
    """The clip's record, if nothing is to be added to it."""
    return done_record(
        context.store,
        job.clip_uuid,
        options.recipes,
        job.set_name,
        replaces=plan.job.replaces if plan else None,
    )


def _write_record(
    context: Context, app: Celery, job: AssembleJob, plan: Plan, options: Options
) -> ClipRecord | None:
    """The clip's record, with what this run made of it; None where it is prepared again instead."""
    parts = _collect(context, job, plan, options)
    if parts is None:
        # Another delivery may have written the record meanwhile, and cleared the parts away.
        done = _done(context, job, plan, options)
        if done is not None:
            return done
        if plan.job.attempt < MAX_ATTEMPTS:
            _prepare_again(context, app, plan.job)
            return None
        plan, parts = _given_up(plan), []
    metadata = _metadata(context, plan.job)
    if metadata is None:
        return _done(context, job, plan, options)
    return put_record(
        context.store,
        build_record(plan, parts, options=options, metadata=metadata),
        replaces=plan.job.replaces,
    )


def put_record(store: Store, record: ClipRecord, *, replaces: str | None = None) -> ClipRecord:
    """Put a run's record of a clip into the one that the clip has; returns that.

    Several may do so at once: whoever comes second reads what the first wrote, and adds to that.
    `replaces` names the record that is done again. Raises `StoreUnavailable` where others keep
    coming first.
    """
    for tries in range(_WRITE_TRIES):
        kept = find_record(store, record.span_uuid, record.set, to_replace=True)
        if kept is None:
            merged = record
        elif kept.is_done(record.recipes, replaces=replaces):
            return kept.record
        else:
            merged = merge(kept.record, record, again=kept.digest == replaces)
        if _put(store, keys.record(record.span_uuid, record.set), merged.to_bytes(), kept):
            return merged
        time.sleep(random.uniform(0, _WAIT_S * tries))
    raise StoreUnavailable(f"the record of clip {record.span_uuid} keeps changing as it is written")


def _put(store: Store, key: str, data: bytes, kept: Kept | None) -> bool:
    """Write a record where `kept` is what lies there; whether it still was."""
    if kept is not None:
        return store.put_if_match(key, data, kept.version, content_type=_JSON)
    if store.put(key, data, content_type=_JSON, if_absent=True):
        return True
    try:
        found, version = store.get_version(key)
        read_record(found)
    except ObjectMissing:
        return False
    except ValidationError:  # what lies there is no record
        return store.put_if_match(key, data, version, content_type=_JSON)
    return False


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
    """What a run made of a clip, from its plan and its windows' parts. Pure but for the clock."""
    named = _Named()
    windows = [
        build_window(plan, window, found, recipes=options.recipes, named=named)
        for window, found in zip(plan.windows, parts, strict=True)
    ]
    job, source = plan.job, plan.source
    address = bare(job.source)  # lists of before have signatures in them
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
        valid=is_valid(windows, plan.errors),
        errors=plan.errors,
        warnings=[*options.caveats, *plan.warnings],
        metadata=metadata or {},
        source=source,
        models=named.models,
        prompts=named.prompts,
        recipes=options.recipes,
        set=job.set_name,
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


@dataclass
class _Named:
    """What a clip's texts refer to, once each: models by key, prompts by SHA-256."""

    models: dict[str, ModelRecord] = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)

    def prompt(self, text: str) -> str:
        """The prompt's key."""
        key = prompts.sha256(text)
        self.prompts[key] = text
        return key

    def text(self, part: Part, recipe: str) -> dict[str, Any]:
        """The fields of the text that a part brings, or of none."""
        said = part.completion
        if said is None:
            return {"status": part.status, "recipe": recipe}
        return {
            "status": part.status,
            **written(said),
            "model": add_model(self.models, said.variant, said.model),
            "prompt_sha256": self.prompt(said.prompt),
            "sampling": said.sampling,
            "recipe": recipe,
        }

    def first_pass(self, part: Part) -> FirstPass | None:
        """The text that the second pass was shown, if there was one."""
        said = part.completion
        if said is None or said.first is None:
            return None
        return FirstPass(**written(said.first), prompt_sha256=self.prompt(said.first_prompt or ""))


def build_window(
    plan: Plan, window: WindowPlan, parts: Parts, *, recipes: Mapping[str, str], named: _Named
) -> WindowRecord:
    """One window of the record. An error or a cancellation in any of its steps is the window's."""
    captions, enhanced = {}, None
    if ENHANCE in parts:
        recipe = recipes.get(enhanced_of(DEFAULT), "")
        enhanced = EnhancedCaption(**named.text(parts[ENHANCE], recipe))
    if CAPTION in parts:
        captions[DEFAULT] = Caption(
            **named.text(parts[CAPTION], recipes.get(caption_of(DEFAULT), "")),
            first_pass=named.first_pass(parts[CAPTION]),
            enhanced=enhanced,
        )
    preview = parts[PREVIEW].preview if PREVIEW in parts else None
    return completed(
        WindowRecord(
            start_frame=window.start_frame,
            end_frame=window.end_frame,
            start_s=window.start_s,
            end_s=window.end_s,
            status=Status.OK,
            captions=captions,
            frames=Frames(
                indices=window.frame_indices,
                times_s=window.frame_times_s,
                sampling=window.sampling,
                width=window.grid_width,
                height=window.grid_height,
                encoding=plan.frame_encoding,
            ),
            preview=Preview(**dict(preview), recipe=recipes.get(PREVIEW, "")) if preview else None,
            errors=[part.error for part in parts.values() if part.error is not None],
        )
    )
