"""How a step went: its status, and what went wrong."""

import enum

from clipfleet.queues import QueueName
from clipfleet.records.stored import Stored


class Status(enum.StrEnum):
    """The result of a step."""

    OK = "ok"  # its output is there
    ERROR = "error"  # it failed; the reason is in `errors`
    SKIPPED = "skipped"  # not asked for, or nothing to do it on
    CANCELLED = "cancelled"  # the run was cancelled first


class Failure(Stored):
    """One thing that went wrong: on which queue, the error's name, and what to read and do."""

    step: QueueName
    error: str
    message: str
    start_frame: int | None = None
    end_frame: int | None = None
