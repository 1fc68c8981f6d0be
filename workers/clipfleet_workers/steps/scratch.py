"""A window's parts in scratch: what each queue wrote, and the rule by which it writes once."""

import logging
from collections.abc import Callable

from pydantic import ValidationError

from clipfleet import keys
from clipfleet.errors import (
    EngineDead,
    Interrupted,
    MessageInvalid,
    NewerVersion,
    ObjectMissing,
    StoreError,
)
from clipfleet.messages import Message, WindowJob
from clipfleet.queues import ASSEMBLE, PREPARE
from clipfleet.records import Failure, Part, Plan, Status, done_record
from clipfleet_workers.context import Context
from clipfleet_workers.media.packs import Pack

log = logging.getLogger("clipfleet")

# Every run of a header task returns this: Redis counts a chord's parts by their distinct values.
DONE = "done"

Work = Callable[[Context, WindowJob], Part]


def find_part(context: Context, job: Message, start: int, end: int, queue: str) -> Part | None:
    """What `queue` wrote for the window, or None; a part that is not whole counts as none.

    Raises `NewerVersion`.
    """
    key = keys.part(job.clip_uuid, job.options_hash, start, end, queue)
    try:
        return Part.read(context.store.get(key))
    except (ObjectMissing, ValidationError):
        return None


def stored_plan(context: Context, job: Message) -> Plan | None:
    """The clip's plan, if it is there and whole. Raises `NewerVersion`."""
    try:
        return Plan.read(context.store.get(keys.plan(job.clip_uuid, job.options_hash)))
    except (ObjectMissing, ValidationError):
        return None


def check_window(plan: Plan, job: WindowJob) -> None:
    """Raises `MessageInvalid` unless the plan has the window: a message may say anything."""
    spans = {(window.start_frame, window.end_frame) for window in plan.windows}
    if (job.start_frame, job.end_frame) not in spans:
        raise MessageInvalid(
            f"clip {job.clip_uuid} has no window of frames {job.start_frame} to {job.end_frame}"
        )


def write_part(context: Context, job: WindowJob, queue: str, part: Part) -> None:
    """Store what `queue` found for the window, and tell whoever watches."""
    key = keys.part(job.clip_uuid, job.options_hash, job.start_frame, job.end_frame, queue)
    context.store.put(key, part.to_bytes(), content_type="application/json")
    log.info(
        "%s done",
        queue,
        extra={
            "action": "window_done",
            "queue": queue,
            "run": job.run_id,
            "clip": job.clip_uuid,
            "start_frame": job.start_frame,
            "status": part.status,
        },
    )
    _tell(context, job, queue, part)


def clear_scratch(context: Context, job: Message) -> None:
    """Remove a finished clip's parts: the plan first, so that late writers see that it is over."""
    context.store.delete(keys.plan(job.clip_uuid, job.options_hash))
    context.store.delete_prefix(keys.scratch(job.clip_uuid, job.options_hash))


def drop(context: Context, queue: str, job: Message) -> str:
    """Let go of what came of a run that was cancelled: no record is written.

    The clip's scratch goes as it begins, as its windows are through, or else by its lifecycle.
    """
    if queue in (PREPARE, ASSEMBLE):
        clear_scratch(context, job)
        context.emit(job, step=ASSEMBLE, status=Status.CANCELLED)
    return DONE


def _delete_stale_part(context: Context, job: WindowJob, queue: str) -> None:
    """Remove a part of a clip that another delivery finished meanwhile; nobody else would."""
    if context.store.exists(keys.plan(job.clip_uuid, job.options_hash)):
        return
    if done_record(context.store, job.clip_uuid, job.options_hash) is not None:
        where = (job.clip_uuid, job.options_hash, job.start_frame, job.end_frame)
        context.store.delete(keys.part(*where, queue))


def _tell(context: Context, job: WindowJob, queue: str, part: Part) -> None:
    context.emit(
        job,
        step=queue,
        status=part.status,
        start_frame=job.start_frame,
        message=part.error.message if part.error else "",
    )


def do_once(context: Context, queue: str, job: WindowJob, work: Work) -> str:
    """Do a window's step unless it is done, and store what came of it, an error as well.

    Nothing is stored where the clip's scratch is gone: its record is there by now, or `assemble`
    will find the part missing and have the clip done again. Raises `StoreError`, `EngineDead`,
    `Interrupted` and `NewerVersion`, which say nothing about the clip, and `MessageInvalid` for a
    window that the clip's plan does not have.
    """
    found = find_part(context, job, job.start_frame, job.end_frame, queue)
    if found is not None:
        _tell(context, job, queue, found)
        _delete_stale_part(context, job, queue)  # whoever wrote it may not have come to that
        return DONE
    plan = stored_plan(context, job)
    if plan is None:
        log.warning("clip %s has no plan", job.clip_uuid, extra={"action": "scratch_gone"})
        return DONE
    check_window(plan, job)
    try:
        part = work(context, job)
    except (StoreError, EngineDead, Interrupted, NewerVersion, MessageInvalid) as error:
        if isinstance(error, ObjectMissing):
            log.warning("scratch is gone: %s", error, extra={"action": "scratch_gone"})
            return DONE
        raise
    except Exception as error:
        log.warning(
            "%s failed on clip %s, frames %d to %d: %s",
            queue,
            job.clip_uuid,
            job.start_frame,
            job.end_frame,
            error,
            extra={"action": "window_failed"},
            exc_info=log.isEnabledFor(logging.DEBUG),
        )
        part = failed(queue, job, error)
    write_part(context, job, queue, part)
    _delete_stale_part(context, job, queue)
    return DONE


def failed(queue: str, job: WindowJob, error: Exception) -> Part:
    """The part that says why there is no other."""
    failure = Failure.model_validate(
        {
            "step": queue,
            "error": type(error).__name__,
            "message": str(error) or type(error).__name__,
            "start_frame": job.start_frame,
            "end_frame": job.end_frame,
        }
    )
    return Part(status=Status.ERROR, error=failure)


def read_pack(
    context: Context, job: WindowJob, key_of: Callable[[str, str, int, int], str]
) -> Pack:
    """One of the window's packs. Raises `ObjectMissing` or `PackInvalid`."""
    key = key_of(job.clip_uuid, job.options_hash, job.start_frame, job.end_frame)
    return Pack.from_bytes(context.store.get(key), key=key)
