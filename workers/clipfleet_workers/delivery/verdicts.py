"""What a task raises to have its message given back, and why.

Each is a `Reject`, so that Celery gives the message back; `Request` reads what else it means.
They cross from a pool's process to the worker's own.
"""

import time
from typing import Any, NoReturn

from billiard.exceptions import WorkerLostError
from celery.exceptions import Reject, TimeLimitExceeded
from celery.worker import state
from celery.worker.request import Request as CeleryRequest

from clipfleet.queues import GPU_QUEUES
from clipfleet_workers.delivery.transport import Transport
from clipfleet_workers.delivery.unacked import deaths


class GiveBack(Reject):  # type: ignore[misc]
    """Another worker may take it at once."""

    def __init__(self, reason: object = None, requeue: bool = True) -> None:
        super().__init__(str(reason), requeue)


class PutOff(GiveBack):
    """A worker may take it later; this one cannot do it."""


class Died(GiveBack):
    """Its process or engine died of it, or of another in flight beside it."""


def give_back(reason: object) -> NoReturn:
    """Give the message back to another worker; this one waits, so as not to take it itself."""
    time.sleep(1.0)
    raise GiveBack(reason)


class Request(CeleryRequest):  # type: ignore[misc]
    """A message that is being worked on; it tells `leases` what happens."""

    @property
    def tag(self) -> str:
        """Its delivery tag, under which it is noted as unacknowledged."""
        return str(self._message.delivery_tag)

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        if self._takes_turns:
            Transport.leases.started(self.tag)
        else:
            Transport.leases.at_work(self.tag)
        super().on_accepted(pid, time_accepted)

    @property
    def _takes_turns(self) -> bool:
        """Whether it waits in its thread until it may be alone (`app`), which says so then."""
        return deaths(self._request_dict) > 0 and self._message.delivery_info["routing_key"] in (
            GPU_QUEUES
        )

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """A process that took too long is killed, and `on_failure` is told as well."""

    def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        error = exc_info.exception
        error = getattr(error, "exc", error)  # as it comes from a pool's process
        if isinstance(error, Died | WorkerLostError | TimeLimitExceeded | MemoryError):
            Transport.leases.died(self.tag)
        if isinstance(error, PutOff):
            Transport.leases.put_off(self.tag)
        if isinstance(error, MemoryError | TimeLimitExceeded):  # Celery would end the worker
            state.task_ready(self)
            return self.reject(requeue=True)
        return super().on_failure(exc_info, *args, **kwargs)
