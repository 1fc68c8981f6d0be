"""The Celery app with its tasks: one for each queue, and what they have in common.

A task that fails for want of the store is tried again, with back-off, for as long as it takes. One
that has ended its worker `MAX_DELIVERIES` times is recorded as an error and not tried again.
"""

import logging
import os
import random
from collections.abc import Callable
from typing import Any

import redis
from celery import Celery

from clipfleet import keys
from clipfleet.errors import ClipError, EngineDead, ExitCode, StoreError
from clipfleet.messages import AssembleJob, ClipJob, Message, WindowJob
from clipfleet.queues import ASSEMBLE, CAPTION, ENHANCE, PREPARE, PREVIEW, make_app
from clipfleet.records import Failure, Plan
from workers.assemble import assemble
from workers.caption import caption
from workers.context import Context
from workers.enhance import enhance
from workers.leases import lease_step
from workers.parts import Work, do_once
from workers.prepare import prepare
from workers.preview import preview

log = logging.getLogger("clipfleet")

MAX_DELIVERIES = 3
LONGEST_WAIT_S = 60.0


class EndedItsWorker(ClipError):
    """The clip ended its worker 3 times and is not tried again."""


def build_app(context: Context, queues: tuple[str, ...]) -> Celery:
    """The app of a worker that serves `queues`."""
    settings = context.settings
    app = make_app(settings.broker.get_secret_value(), lease_s=settings.lease_s)
    app.steps["consumer"].add(lease_step(context, queues))
    works: dict[str, Work] = {CAPTION: caption, ENHANCE: enhance, PREVIEW: preview}
    for queue, work in works.items():
        _add_task(app, context, queue, WindowJob, _window_step(context, queue, work))
    _add_task(app, context, PREPARE, ClipJob, _prepare_step(context, app))
    _add_task(app, context, ASSEMBLE, AssembleJob, _assemble_step(context, app))
    return app


Step = Callable[[Any, bool], str | None]


def _window_step(context: Context, queue: str, work: Work) -> Step:
    def step(job: WindowJob, poisoned: bool) -> str:
        return do_once(context, queue, job, _refuse if poisoned else work)

    return step


def _refuse(context: Context, job: WindowJob) -> Any:
    raise EndedItsWorker


def _prepare_step(context: Context, app: Celery) -> Step:
    def step(job: ClipJob, poisoned: bool) -> None:
        if poisoned:
            failure = Failure(step="prepare", error="EndedItsWorker", message=str(EndedItsWorker()))
            plan = Plan(job=job, source=None, windows=[], errors=[failure])
            context.store.put(keys.plan(job.clip_uuid, job.options_hash), plan.to_bytes())
        prepare(context, app, job)

    return step


def _assemble_step(context: Context, app: Celery) -> Step:
    def step(job: AssembleJob, poisoned: bool) -> None:
        assemble(context, app, job)

    return step


def _add_task(
    app: Celery, context: Context, queue: str, message_type: type[Message], step: Step
) -> None:
    def task(self: Any, payload: Any) -> str | None:
        job = message_type.read(payload)
        try:
            return step(job, _is_poisoned(context, self.request))
        except EngineDead as error:
            log.critical("%s", error, extra={"action": "engine_dead"})
            logging.shutdown()
            os._exit(ExitCode.ENGINE_DEAD)  # what it held comes back when its leases run out
        except StoreError as error:
            wait_s = min(LONGEST_WAIT_S, 2.0 ** min(self.request.retries, 6))
            name = type(error).__name__
            context.emit(job, step=queue, status="waiting", message=str(error), error=name)
            log.warning(
                "%s waits for the store: %s", queue, error, extra={"action": "store_waiting"}
            )
            raise self.retry(
                exc=error, countdown=wait_s * random.uniform(0.5, 1.0), max_retries=None
            ) from None

    app.task(task, name=queue, bind=True, shared=False)


def _is_poisoned(context: Context, request: Any) -> bool:
    """Whether the task has been delivered `MAX_DELIVERIES` times and never came to its end."""
    if not (request.delivery_info or {}).get("redelivered"):
        return False
    try:
        return context.broker.deliveries(request.id) >= MAX_DELIVERIES
    except redis.RedisError:
        return False
