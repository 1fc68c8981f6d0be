"""The threads of a GPU worker, each of which acknowledges or gives back its message, always."""

import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from billiard.einfo import ExceptionInfo
from celery.concurrency import thread
from celery.exceptions import Reject

from clipfleet_workers.delivery.transport import Transport
from clipfleet_workers.delivery.verdicts import Died, GiveBack


class ThreadPool(thread.TaskPool):  # type: ignore[misc]
    """Celery's pool of threads, but no error is swallowed.

    Celery's own loses what is raised on the way from a task to its acknowledgement, such as the
    broker's refusal to count a chord's part: the message is then neither acknowledged nor given
    back, its slot is gone, and after so many the worker takes nothing more.
    """

    def on_apply(
        self,
        target: Callable[..., Any],
        args: Any = None,
        kwargs: Any = None,
        callback: Any = None,
        accept_callback: Any = None,
        **_: Any,
    ) -> "thread.ApplyResult":
        # It counts as started, though it may wait for a thread to be free.
        Transport.leases.started(callback.__self__.tag)
        future: Future[None] = self.executor.submit(
            _run, target, args, kwargs or {}, callback, accept_callback
        )
        return thread.ApplyResult(future)


def _run(target: Any, args: Any, kwargs: Any, callback: Any, accept_callback: Any) -> None:
    try:
        accept_callback(os.getpid(), time.monotonic())
        outcome = target(*args, **kwargs)
    except BaseException as error:
        verdict = error if isinstance(error, Reject) else GiveBack(repr(error))
        verdict = Died(repr(error)) if isinstance(error, MemoryError) else verdict
        outcome = (1, ExceptionInfo((type(verdict), verdict, error.__traceback__)), 0.0)
    callback(outcome)
