"""Workers' heartbeats in the broker."""

import json
from dataclasses import dataclass

from clipfleet.queues import QUEUES

BEATS = "clipfleet:worker:"


@dataclass(frozen=True, kw_only=True)
class WorkerBeat:
    """A live worker: its name, its queues, and how many messages it works on, or
    has taken to do so.

    `busy`: the share of the time since its last beat in which its engine had something to do; None
    for a worker without one. `stuck`: how many of its messages make no progress.
    """

    name: str
    queues: tuple[str, ...]
    unacked: int
    busy: float | None = None
    stuck: int = 0

    def to_json(self) -> str:
        """As it lies in the broker, under `beat_key`."""
        return json.dumps(
            {
                "queues": self.queues,
                "unacked": self.unacked,
                "busy": self.busy,
                "stuck": self.stuck,
            }
        )

    @classmethod
    def read(cls, name: str, value: object) -> "WorkerBeat | None":
        """A worker's heartbeat, or None where it is unrecognised."""
        try:
            said = json.loads(str(value))
            queues, unacked, busy, stuck = said["queues"], said["unacked"], said["busy"], 0
            stuck = said.get("stuck", 0)  # older workers do not say
            busy = None if busy is None else float(busy)
            counts = type(unacked) is type(stuck) is int and unacked >= 0 <= stuck
            if not counts or not set(queues) <= set(QUEUES):
                return None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
            return None
        return cls(name=name, queues=tuple(queues), unacked=unacked, busy=busy, stuck=stuck)


def beat_key(name: str) -> str:
    """Where a worker of that name writes its heartbeat."""
    return f"{BEATS}{name}"
