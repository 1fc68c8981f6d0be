"""Gives back the messages whose leases ran out, because their workers vanished.

A worker that vanished while it worked on a message counts against the message. One that was told to
stop does not, nor one whose leases ran out because the broker heard no worker at all.
"""

import json
from collections.abc import Callable
from typing import Any

import redis

from clipfleet.clock import Clock
from clipfleet.queues import QUEUES
from clipfleet_workers.delivery.broker_clock import BrokerClock
from clipfleet_workers.delivery.unacked import HOLDER, INDEX, UNACKED, delivered_again, forget

RESTORING = "clipfleet:restoring"
_RESTORED_AT_ONCE = 100


class Restorer:
    """One worker's; of all workers, one at a time restores."""

    def __init__(
        self,
        worker_id: str,
        *,
        lease_s: float,
        refuse: Callable[[str, str], None],
        clock: Clock,
        broker_clock: BrokerClock,
    ) -> None:
        """`refuse` is told of entries that are no messages (queue, reason)."""
        self._worker_id, self._lease_s, self._refuse = worker_id, lease_s, refuse
        self._clock, self._broker_clock = clock, broker_clock
        self._renewed_at = 0.0
        self._heard_since: float | None = None  # renewed without a break

    def restore_lapsed(self, client: redis.Redis) -> None:
        """Give back what vanished workers had taken, oldest first. Raises redis's errors.

        To be called each time that this worker has renewed its own leases.
        """
        here = self._clock.monotonic()
        if self._heard_since is None or here - self._renewed_at > 2 / 3 * self._lease_s:
            self._heard_since = here
        self._renewed_at = here
        if here - self._heard_since < self._lease_s:
            return  # the broker may have heard nobody: the others are to renew theirs first
        now = self._broker_clock.now()
        if not client.set(RESTORING, self._worker_id, nx=True, px=ms(self._lease_s / 3)):
            return
        until = self._clock.monotonic() + self._lease_s / 3
        while self._clock.monotonic() < until:
            lapsed: Any = client.zrange(
                INDEX, "-inf", now - self._lease_s, byscore=True, offset=0, num=_RESTORED_AT_ONCE
            )
            for tag in lapsed:
                self._restore(client, tag)
            if len(lapsed) < _RESTORED_AT_ONCE:
                return

    def _restore(self, client: redis.Redis, tag: str) -> None:
        entry: Any = client.hget(UNACKED, tag)
        again = queue = None
        if entry is not None:
            try:
                message, _, queue = json.loads(entry)
                if queue not in QUEUES:
                    raise ValueError(f"no queue is named {queue!r}"[:200])
                holder = message["properties"].get(HOLDER)
                died = isinstance(holder, str) and self._vanished(client, holder)
                again = json.dumps(delivered_again(message, died=died))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                self._refuse("unacked", f"an unacknowledged message cannot be read: {error}")
        if again is not None:
            client.rpush(str(queue), again)
        forget(client, tag)

    def _vanished(self, client: redis.Redis, holder: str) -> bool:
        """Whether a worker is gone that nobody told to stop."""
        return not client.exists(alive_key(holder), farewell_key(holder))


def alive_key(worker_id: str) -> str:
    """There for as long as the worker renews its leases."""
    return f"clipfleet:alive:{worker_id}"


def farewell_key(worker_id: str) -> str:
    """There once the worker was told to stop."""
    return f"clipfleet:farewell:{worker_id}"


def ms(seconds: float) -> int:
    """The same in whole milliseconds, 1 at least."""
    return max(1, int(seconds * 1000))
