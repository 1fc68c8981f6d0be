"""The rule by which a step is done once, however often its message is delivered."""

import logging
from collections.abc import Callable

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
from clipfleet.records import Failure, Part, Status, done_record
from clipfleet_workers.context import Context
from clipfleet_workers.steps.scratch import (
    check_window,
    clear_scratch,
    find_part,
    stored_plan,
    write_part,
)

log = logging.getLogger("clipfleet")

# Every run of a header task returns this: Redis counts a chord's parts by their distinct values.
DONE = "done"

Work = Callable[[Context, WindowJob], Part]


def do_once(context: Context, queue: str, job: WindowJob, work: Work) -> str:
    """Do a window's step unless it is done, and store its result, an error as well.

    Nothing is stored where the clip's scratch is gone: its record is there by now, or `assemble`
    will find the part missing and have the clip done again. Raises `StoreError`, `EngineDead`,
    `Interrupted` and `NewerVersion`, which say nothing about the clip, and `MessageInvalid` for a
    window that the clip's plan does not have.
    """
    found = find_part(context, job, job.start_frame, job.end_frame, queue)
    if found is not None:
        _emit(context, job, queue, found)
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
        _log_failure(job, queue, error)
        part = failed(queue, job, error)
    write_part(context, job, queue, part)
    _log_done(job, queue, part)
    _emit(context, job, queue, part)
    _delete_stale_part(context, job, queue)
    return DONE


def failed(queue: str, job: WindowJob, error: Exception) -> Part:
    """The part that says why there is no other."""
    failure = Failure(
        step=queue,
        error=type(error).__name__,
        message=str(error) or type(error).__name__,
        start_frame=job.start_frame,
        end_frame=job.end_frame,
    )
    return Part(status=Status.ERROR, error=failure)


def drop(context: Context, queue: str, job: Message) -> str:
    """Drop a message of a cancelled run; no record is written.

    The clip's scratch is cleared by its first message and by its last, or else by the lifecycle.
    """
    if queue in (PREPARE, ASSEMBLE):
        clear_scratch(context, job)
        context.emit(job, step=ASSEMBLE, status=Status.CANCELLED)
    return DONE


def _delete_stale_part(context: Context, job: WindowJob, queue: str) -> None:
    """Remove a part of a clip that another delivery finished meanwhile; nobody else would."""
    if context.store.exists(job.scratch.plan):
        return
    recipes = context.options(job).recipes
    if done_record(context.store, job.clip_uuid, recipes, job.set_name) is not None:
        context.store.delete(job.scratch.part(job.start_frame, job.end_frame, queue))


def _emit(context: Context, job: WindowJob, queue: str, part: Part) -> None:
    context.emit(
        job,
        step=queue,
        status=part.status,
        start_frame=job.start_frame,
        message=part.error.message if part.error else "",
    )


def _log_done(job: WindowJob, queue: str, part: Part) -> None:
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


def _log_failure(job: WindowJob, queue: str, error: Exception) -> None:
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
