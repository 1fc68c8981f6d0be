"""The Celery app with its tasks: one for each queue, and what they have in common.

A task whose store fails is tried again, ever later, with jitter; after `max_retries` times its clip
is given up, if that can be stored, and else it goes on. A poison message, one that `max_deliveries`
workers died of, is recorded as an error and not tried again; its last try is alone, so that those
in flight beside it are not blamed. `leases` counts deaths, in the message itself.
"""

import contextlib
import importlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from celery import Celery, bootsteps
from celery.exceptions import Reject
from celery.worker import state
from kombu.exceptions import OperationalError
from redis import RedisError

from clipfleet.errors import (
    BrokerError,
    ClipError,
    EngineDead,
    ExitCode,
    Interrupted,
    MessageInvalid,
    NewerVersion,
    StoreError,
)
from clipfleet.messages import Message, WindowJob
from clipfleet.queues import SPECS
from clipfleet_workers.context import Context
from clipfleet_workers.delivery import transport
from clipfleet_workers.delivery.leases import Leases
from clipfleet_workers.delivery.unacked import LONGEST_WAIT_S, deaths
from clipfleet_workers.delivery.verdicts import Died, GiveBack, PutOff, give_back
from clipfleet_workers.steps.given_up import MaxDeliveriesExceeded, StoreRetriesExhausted
from clipfleet_workers.steps.idempotent import DONE, Work, do_once, drop

log = logging.getLogger("clipfleet")

_alone = threading.Lock()
_RECONNECT_S, _TURN_S = 0.5, 0.5


def longest_wait_s(retries: int) -> float:
    """How long a task whose store failed waits at most: twice as long after each try."""
    return min(LONGEST_WAIT_S, 2.0 ** min(retries, 6))


class WorkerApp(Celery):  # type: ignore[misc]
    """Celery's app, but a task is given back where the broker refuses a message that it sends.

    Celery would take the error for the task's own and acknowledge it: that message would be lost.
    """

    def send_task(self, *args: Any, **kwargs: Any) -> Any:
        """See Celery. Raises `GiveBack` for trouble with the broker."""
        try:
            return super().send_task(*args, **kwargs)
        except (OperationalError, RedisError, OSError) as error:
            raise GiveBack(f"the broker takes no message just now: {error}") from None


def build_app(context: Context, queues: tuple[str, ...], leases: Leases) -> Celery:
    """The app of a worker that serves `queues`; it has their tasks and no others."""
    transport.install(leases, refuse=context.refuse, leave=context.leave)
    app = context.settings.open_app(
        kind=WorkerApp, backend="clipfleet_workers.delivery.chord:ChordCounter"
    )
    app.steps["consumer"].add(_connected(leases))
    for queue in queues:
        message, step = _step(context, app, queue)
        _add_task(app, context, queue, message, step)
    return app


def _connected(leases: Leases) -> type[bootsteps.StartStopStep]:
    """The consumer's bootstep that starts each time it has connected."""

    class Connected(bootsteps.StartStopStep):  # type: ignore[misc]
        requires = ("celery.worker.consumer.tasks:Tasks",)
        last = 0.0

        def start(self, consumer: Any) -> None:
            leases.reconnected()
            # A broker that answers with errors still accepts connections.
            if time.monotonic() - Connected.last < _RECONNECT_S:
                time.sleep(_RECONNECT_S)
            Connected.last = time.monotonic()

        def stop(self, consumer: Any) -> None:
            pass

    return Connected


# What is done with a job; a clip that is given up is only recorded, with the reason.
Step = Callable[[Any, ClipError | None], str | None]


def _step(context: Context, app: Celery, queue: str) -> tuple[type[Message], Step]:
    """What a queue's messages are and what is done on them.

    Its module is imported here: a GPU worker imports no decoder.
    """
    spec = SPECS[queue]
    work = getattr(importlib.import_module(f"clipfleet_workers.steps.{queue}"), queue)
    if spec.message is WindowJob:
        return spec.message, _window_step(context, queue, work)
    return spec.message, lambda job, given_up: work(context, app, job, given_up)


def _window_step(context: Context, queue: str, work: Work) -> Step:
    def step(job: WindowJob, given_up: ClipError | None) -> str:
        def refuse(context: Context, job: WindowJob) -> Any:
            assert given_up is not None
            raise given_up

        return do_once(context, queue, job, refuse if given_up else work)

    return step


def _add_task(
    app: Celery, context: Context, queue: str, message: type[Message], step: Step
) -> None:
    def task(self: Any, payload: Any) -> str | None:
        if context.stopping.is_set():
            give_back("the worker is stopping")
        job = message.received(payload)  # `envelope` has checked it
        try:
            if context.cancelled(job):
                return drop(context, queue, job)
            with _poison_guard(context, self.request) as given_up:
                return _do(context, self.request, step, job, given_up)
        except MessageInvalid as error:  # of a run that there is not, or with other options
            context.refuse(queue, str(error))
            return DONE  # as ever: a chord counts its parts by their distinct values
        except NewerVersion as error:
            context.leave(str(error))
            raise PutOff(error) from None
        except EngineDead as error:
            _stop_worker(context, error)
            raise Died(error) from None
        except Interrupted as error:
            if context.engine_dead:  # it was in flight with what the engine died of
                raise Died(error) from None
            give_back(error)
        except BrokerError as error:
            log.warning("%s", error, extra={"action": "broker_refused"})
            give_back(error)
        except StoreError as error:
            _wait_and_retry(self, context, job, error)

    # None tries without end; given to `retry` instead, it would stand for Celery's default of 3.
    app.task(
        task,
        name=queue,
        bind=True,
        shared=False,
        max_retries=None,
        Request="clipfleet_workers.delivery.verdicts:Request",
    )


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
            return step(job, StoreRetriesExhausted(request.retries + 1, error))
        except StoreError:
            request.retries = 0
            raise error from None


def _wait_and_retry(task: Any, context: Context, job: Message, error: StoreError) -> NoReturn:
    """Have the task tried again after a while, and say so."""
    queue, retries, name = task.name, task.request.retries, type(error).__name__
    context.emit(job, step=queue, status="waiting", message=str(error), error=name)
    log.warning(
        "%s waits for the store: %s",
        queue,
        error,
        extra={"action": "store_waiting", "retries": retries},
    )
    wait_s = longest_wait_s(retries) * random.uniform(0.5, 1.0)
    try:
        raise task.retry(exc=error, countdown=wait_s) from None
    except Reject as refused:  # Celery would drop the message, as the broker takes no new one
        raise GiveBack(refused.reason) from None


def _stop_worker(context: Context, error: EngineDead) -> None:
    """Have Celery end this worker, with the exit code that says why, once its tasks are back."""
    if not context.engine_dead:
        log.critical("%s", error, extra={"action": "engine_dead"})
    context.engine_dead = True
    context.interrupt()
    state.should_stop = ExitCode.ENGINE_DEAD


@contextlib.contextmanager
def _poison_guard(context: Context, request: Any) -> Iterator[MaxDeliveriesExceeded | None]:
    """The reason, where too many workers died of the task for it to be tried again.

    Its last try is alone in this process.
    """
    died = deaths(vars(request))
    if died >= context.settings.max_deliveries:
        yield MaxDeliveriesExceeded(died)
        return
    if died + 1 < context.settings.max_deliveries or died == 0:
        _at_work(context, request)
        yield None
        return
    with _turn(context):
        _at_work(context, request)
        try:
            yield None
        except EngineDead as error:  # before the next one's turn, which would be counted too
            _stop_worker(context, error)
            raise


def _at_work(context: Context, request: Any) -> None:
    """From now on, a worker that vanishes counts against this message.

    In a pool of processes, it does so from the moment that one accepts it.
    """
    if context.models and deaths(vars(request)):
        transport.Transport.leases.at_work(request.properties["delivery_tag"])


@contextlib.contextmanager
def _turn(context: Context) -> Iterator[None]:
    """A turn to be tried alone. Raises `GiveBack` where the worker stops before it comes."""
    while not _alone.acquire(timeout=_TURN_S):
        if context.stopping.is_set():
            raise GiveBack("the worker is stopping")
    try:
        if context.stopping.is_set():  # the one before it ended this worker, not this one
            raise GiveBack("the worker is stopping")
        yield
    finally:
        _alone.release()
