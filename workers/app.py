"""The Celery app with its tasks: one for each queue, and what they have in common.

A task that the store fails is tried again, ever slower, with jitter; after `max_retries` times its
clip is given up, if that much can be stored, and else it goes on. One that ended its worker
`max_deliveries` times is recorded as an error and not tried again; from the second time on it runs
alone, so that those who were with it are not taken for it.
"""

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from celery import Celery
from celery.exceptions import Reject
from celery.worker import state

from clipfleet import keys
from clipfleet.errors import (
    BrokerError,
    ClipError,
    EngineDead,
    ExitCode,
    Interrupted,
    MessageInvalid,
    StoreError,
)
from clipfleet.messages import AssembleJob, ClipJob, Message, WindowJob
from clipfleet.queues import ASSEMBLE, CAPTION, ENHANCE, PREPARE, make_app
from clipfleet.records import Failure, Plan
from workers import transport
from workers.context import Context
from workers.leases import lease_step
from workers.parts import Work, do_once, drop

log = logging.getLogger("clipfleet")

_alone = threading.Lock()


class EndedItsWorker(ClipError):
    """The clip ended its worker too often and is not tried again."""

    def __init__(self, times: int) -> None:
        super().__init__(
            f"it ended its worker {times} times and is not tried again (setting max_deliveries)"
        )


def longest_wait_s(retries: int) -> float:
    """How long a task whose store failed waits at most: twice as long after each try."""
    return min(transport.LONGEST_WAIT_S, 2.0 ** min(retries, 6))


class StoreGaveOut(ClipError):
    """The store failed the clip time after time, and it is not tried again."""

    def __init__(self, tries: int, error: StoreError) -> None:
        super().__init__(f"{error}; tried {tries} times and not again (setting max_retries)")


def build_app(context: Context, queues: tuple[str, ...]) -> Celery:
    """The app of a worker that serves `queues`; it has their tasks and no others."""
    settings = context.settings
    transport.install(context.refuse)
    app = make_app(settings.broker.get_secret_value(), lease_s=settings.lease_s)
    app.steps["consumer"].add(lease_step(context, queues))
    for queue in queues:
        message, step = _step(context, app, queue)
        _add_task(app, context, queue, message, step)
    return app


# What is done with a job; a clip that is given up is only recorded, with the reason.
Step = Callable[[Any, ClipError | None], str | None]


def _step(context: Context, app: Celery, queue: str) -> tuple[type[Message], Step]:
    """What a queue's messages are and what is done on them: a GPU worker imports no decoder."""
    if queue == PREPARE:
        return ClipJob, _prepare_step(context, app)
    if queue == ASSEMBLE:
        return AssembleJob, _assemble_step(context, app)
    if queue == CAPTION:
        from workers.caption import caption as work
    elif queue == ENHANCE:
        from workers.enhance import enhance as work
    else:
        from workers.preview import preview as work
    return WindowJob, _window_step(context, queue, work)


def _window_step(context: Context, queue: str, work: Work) -> Step:
    def step(job: WindowJob, given_up: ClipError | None) -> str:
        def refuse(context: Context, job: WindowJob) -> Any:
            assert given_up is not None
            raise given_up

        return do_once(context, queue, job, refuse if given_up else work)

    return step


def _prepare_step(context: Context, app: Celery) -> Step:
    from workers.prepare import prepare

    def step(job: ClipJob, given_up: ClipError | None) -> None:
        if given_up:
            name = type(given_up).__name__
            failure = Failure(step="prepare", error=name, message=str(given_up))
            plan = Plan(job=job, source=None, windows=[], errors=[failure])
            context.store.put(keys.plan(job.clip_uuid, job.options_hash), plan.to_bytes())
        prepare(context, app, job)

    return step


def _assemble_step(context: Context, app: Celery) -> Step:
    from workers.assemble import assemble

    def step(job: AssembleJob, given_up: ClipError | None) -> None:
        if isinstance(given_up, EndedItsWorker):
            log.error(
                "assembling clip %s: %s",
                job.clip_uuid,
                given_up,
                extra={"action": "assemble_given_up"},
            )
            return
        assemble(context, app, job)  # the store it needs is where it would be given up

    return step


def _add_task(
    app: Celery, context: Context, queue: str, message_type: type[Message], step: Step
) -> None:
    def task(self: Any, payload: Any) -> str | None:
        if context.stopping.is_set():
            _give_back("the worker is stopping")
        try:
            job = message_type.read(payload)
            if context.cancelled(job):
                return drop(context, queue, job)
            with _suspicion(context, self.request) as given_up:
                return _do(context, self.request, step, job, given_up)
        except MessageInvalid as error:  # also of a run that there is not, or with other options
            context.refuse(queue, str(error))
            return None
        except EngineDead as error:
            _stop_worker(context, error)
            _give_back(str(error))
        except Interrupted as error:
            if not context.engine_dead:  # a worker that only stops is no word against the clip
                context.broker.count_restart(self.request.id, by=-1)
            _give_back(str(error))
        except BrokerError as error:
            log.warning("%s", error, extra={"action": "broker_refused"})
            _give_back(str(error))
        except StoreError as error:
            wait_s = longest_wait_s(self.request.retries)
            name = type(error).__name__
            context.emit(job, step=queue, status="waiting", message=str(error), error=name)
            log.warning(
                "%s waits for the store: %s",
                queue,
                error,
                extra={"action": "store_waiting", "retries": self.request.retries},
            )
            raise self.retry(exc=error, countdown=wait_s * random.uniform(0.5, 1.0)) from None

    # None tries without end; given to `retry` instead, it would stand for Celery's default of 3.
    app.task(task, name=queue, bind=True, shared=False, max_retries=None)


def _do(
    context: Context, request: Any, step: Step, job: Any, given_up: ClipError | None
) -> str | None:
    """Do a step. Where the store failed it too often, record that instead, if that can be stored.

    If not, the store is away and it is not the clip: the count begins anew.
    """
    try:
        return step(job, given_up)
    except StoreError as error:
        if request.retries < context.settings.max_retries:
            raise
        try:
            return step(job, StoreGaveOut(request.retries + 1, error))
        except StoreError:
            request.retries = 0
            raise error from None


def _give_back(reason: str) -> NoReturn:
    """Put the message back for another worker; this one waits, so as not to take it right again."""
    time.sleep(1.0)
    raise Reject(reason, requeue=True)


def _stop_worker(context: Context, error: EngineDead) -> None:
    """Have Celery end this worker, with the exit code that says why, once its tasks are back."""
    if not context.engine_dead:
        log.critical("%s", error, extra={"action": "engine_dead"})
    context.engine_dead = True
    context.interrupt()
    state.should_stop = ExitCode.ENGINE_DEAD


@contextlib.contextmanager
def _suspicion(context: Context, request: Any) -> Iterator[EndedItsWorker | None]:
    """The reason, where the task ended its worker too often to be tried again.

    Counts the times that a task which came back is begun again: it ends its worker, or was there
    when another did. From the second time on one such task runs at a time in this process.
    """
    if not (request.delivery_info or {}).get("redelivered"):
        yield None
        return
    restarts = context.broker.restarts(request.id)
    if restarts + 1 >= context.settings.max_deliveries:
        yield EndedItsWorker(context.settings.max_deliveries)
        return
    with _alone if restarts else contextlib.nullcontext():
        if context.stopping.is_set():  # the one before it ended this worker, not this one
            raise Reject("the worker is stopping", requeue=True)
        context.broker.count_restart(request.id)
        try:
            yield None
        except EngineDead as error:  # before the next one's turn, which would be counted too
            _stop_worker(context, error)
            raise
