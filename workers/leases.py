"""Leases on messages: a live worker keeps what it holds, a dead one's messages come back.

Celery's Redis transport gives a message back once `visibility_timeout` has passed since it was
taken, whether its worker lives or not, and rarely looks while its loop blocks. (Measured: a task
longer than the timeout ran twice; after kill -9 a task had not come back 60 s after a timeout of
6 s.) So every worker, on a timer, renews its own messages and restores those whose lease ran out.
Leases are by the broker's clock. Where that jumps, work may be done twice, and nothing is lost.
"""

import logging
from typing import Any

import redis
from celery import bootsteps

from clipfleet.broker import WorkerBeat
from workers import transport
from workers.context import Context

log = logging.getLogger("clipfleet")


def lease_step(context: Context, queues: tuple[str, ...]) -> type[bootsteps.StartStopStep]:
    """The step to add to an app's consumer blueprint."""
    lease_s = context.settings.lease_s

    class Leases(bootsteps.StartStopStep):  # type: ignore[misc]
        requires = ("celery.worker.consumer.tasks:Tasks",)

        def __init__(self, consumer: Any, **kwargs: Any) -> None:
            self._timer: Any = None
            super().__init__(consumer, **kwargs)

        def start(self, consumer: Any) -> None:
            self._keep(consumer)
            self._timer = consumer.timer.call_repeatedly(lease_s / 3, self._keep, (consumer,))

        def stop(self, consumer: Any) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _keep(self, consumer: Any) -> None:
            try:
                held = renew(consumer.task_consumer.channel)
                beat = WorkerBeat(
                    name=consumer.hostname, queues=queues, holds=held, busy=context.busy()
                )
                context.broker.beat(beat, expires_s=2 * lease_s)
            except (redis.RedisError, OSError, AttributeError, RuntimeError) as error:
                # The connection is down or being made anew; the next beat comes in a third of a
                # lease, and a lease that runs out meanwhile only means that work is done twice.
                log.warning("cannot renew leases: %s", error, extra={"action": "lease_missed"})
                if isinstance(error, redis.ConnectionError):
                    # Celery then connects anew. Left to itself it may listen to a dead connection
                    # for ever: in 4 of 6 trials after the broker was killed.
                    raise

    return Leases


def renew(channel: Any) -> int:
    """Renew the messages this worker holds, restore expired ones; returns how many it holds."""
    qos = channel.qos
    tags = list(qos._delivered)
    with channel.conn_or_acquire() as client:
        transport.clock.set(client)
        now = transport.clock.now()
        # Leases from the future are of before the broker's clock went back: they begin now.
        future = client.zrange(qos.unacked_index_key, f"({now}", "+inf", byscore=True)
        if tags or future:
            client.zadd(qos.unacked_index_key, dict.fromkeys([*tags, *future], now), xx=True)
    qos.restore_visible(num=100, interval=1)
    return len(tags)
