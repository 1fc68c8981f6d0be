"""Counts a clip's windows in the broker, and sends `assemble` once all are there.

Celery's own does more, and loses more: where the broker refuses the body just then, it removes the
chord's count and passes the error off as the task's. Here the part that came last is given back,
and sends the body when its message is delivered again.
"""

import logging
from typing import Any

import redis
from celery import states
from celery.backends.redis import RedisBackend
from celery.canvas import maybe_signature
from kombu.exceptions import OperationalError

from clipfleet.broker import connection
from clipfleet.queues import ANSWER_S
from clipfleet_workers.delivery.verdicts import GiveBack

log = logging.getLogger("clipfleet")


class ChordCounter(RedisBackend):  # type: ignore[misc]
    """The result backend, of which chords alone are used. Its keys are Celery's."""

    connection_class_ssl = connection.SSLConnection

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        secure = self.connparams.get("connection_class") is not None
        kind = connection.SSLConnection if secure else connection.Connection
        self.connparams["connection_class"] = kind
        self.connparams["socket_timeout"] = ANSWER_S
        self.connparams["socket_connect_timeout"] = connection.CONNECT_S

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Do not listen for the task's result: the broker's user need not be able to."""

    def add_pending_result(
        self, result: Any, weak: bool = False, start_drainer: bool = True
    ) -> Any:
        """Do not listen for the result either, as Celery has who makes a chord; gives it back."""
        return result

    def on_chord_part_return(
        self, request: Any, state: str, result: Any, propagate: Any = None, **kwargs: Any
    ) -> None:
        """Count a part, by what it returned; the last sends the body. Raises `GiveBack`."""
        if not request.id or not request.group:
            return
        if state != states.SUCCESS:  # a bug; reconciliation finds the clip without a record
            log.error("a window's task failed: %s", result, extra={"action": "task_failed"})
            return
        try:
            if connection.twice(self.client, lambda client: self._is_last(client, request, result)):
                maybe_signature(request.chord, app=self.app).apply_async()
                self.client.delete(*self._keys(request.group))
        except (redis.RedisError, OperationalError, OSError) as error:
            raise GiveBack(f"the broker does not count a window just now: {error}") from None

    def _is_last(self, client: redis.Redis, request: Any, result: Any) -> bool:
        parts, more, size = self._keys(request.group)
        place = "+inf" if request.group_index is None else request.group_index
        encoded = self.encode_result(result, states.SUCCESS)
        part = self.encode([1, request.id, states.SUCCESS, encoded])
        with client.pipeline() as pipe:
            pipe.zadd(parts, {part: place})
            pipe.zcard(parts)
            pipe.get(more)
            pipe.get(size)
            for key in (parts, more, size):
                pipe.expire(key, self.expires)
            _, count, extra, wanted, *_ = pipe.execute()
        return wanted is not None and count == int(wanted) + int(extra or 0)

    def _keys(self, group: str) -> list[Any]:
        return [self.get_key_for_group(group, suffix) for suffix in (".j", ".t", ".s")]
