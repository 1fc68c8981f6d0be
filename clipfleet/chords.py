"""Celery's Redis backend as far as chords need it: it counts parts, and nobody waits for results.

Celery has whoever makes a chord subscribe to every part of it, for answers that are never read.
Without that, the broker's user needs no right to listen.
"""

from typing import Any

from celery.backends.redis import RedisBackend


class ChordBackend(RedisBackend):  # type: ignore[misc]
    """Named by `make_app`."""

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Do not listen for the task's result."""

    def add_pending_result(
        self, result: Any, weak: bool = False, start_drainer: bool = True
    ) -> Any:
        """Do not listen for the result; gives it back."""
        return result
