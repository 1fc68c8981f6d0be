"""kombu's Redis transport, which drops unrecognised messages and leaves leases to `leases`."""

import functools
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from kombu.transport import redis, virtual

from clipfleet.broker import transport
from clipfleet.errors import MessageInvalid, NewerVersion
from clipfleet_workers.delivery import envelope
from clipfleet_workers.delivery.leases import Leases
from clipfleet_workers.delivery.unacked import LONGEST_WAIT_S, End

Refuse = Callable[[str, str], None]


class _QoS(redis.QoS):  # type: ignore[misc]
    """What a channel has delivered, for its prefetch count alone."""

    restore_at_shutdown = False  # what is being worked on is given back by who works on it

    def append(self, message: Any, delivery_tag: str) -> None:
        release = functools.partial(virtual.QoS.ack, self, delivery_tag)
        queue = message.delivery_info["routing_key"]
        Transport.leases.take(delivery_tag, message._raw, queue, release)
        virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        Transport.leases.end(delivery_tag, End.ACK)
        virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        Transport.leases.end(delivery_tag, End.GIVE_BACK if requeue else End.ACK)
        virtual.QoS.ack(self, delivery_tag)

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        pass


class _Channel(transport.Channel):
    QoS = _QoS


class Transport(transport.Transport):
    """See `install`."""

    Channel = _Channel
    leases: Leases

    @staticmethod
    def refuse(queue: str, reason: str) -> None:
        """Called with the queue of a refused message, and the reason."""

    @staticmethod
    def leave(reason: str) -> None:
        """Called with the reason where a message is left to newer workers."""

    def _deliver(self, message: Any, queue: str) -> None:
        try:
            envelope.check(message, queue)
        except NewerVersion as error:
            Transport.leave(str(error))
            Transport.leases.leave(message["properties"]["delivery_tag"], message, queue)
            return
        except MessageInvalid as error:
            Transport.refuse(queue, str(error))
            return
        wait_no_longer(message["headers"])
        super()._deliver(message, queue)


def wait_no_longer(headers: dict[str, Any]) -> None:
    """Bring `eta`, which is by the clock of whoever sent it, within a task's longest wait.

    By `time.time`, as the timer that it is put in has it.
    """
    if headers.get("eta") is not None:
        eta = datetime.fromisoformat(headers["eta"])
        latest = datetime.fromtimestamp(time.time() + LONGEST_WAIT_S, eta.tzinfo or UTC)
        headers["eta"] = min(eta, latest.replace(tzinfo=eta.tzinfo)).isoformat()


def _read(text: str) -> Any:
    """The JSON of a message; what is no JSON is refused like any other unrecognised message.

    kombu's own reader makes objects of whatever the text names, and fails in as many ways.
    """
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return "no JSON"


def install(leases: Leases, *, refuse: Refuse, leave: Callable[[str], None]) -> None:
    """Have every connection that this process makes from now on take valid messages alone.

    `refuse` is told the queue and the reason of each that is dropped, `leave` of each that is left
    to newer workers.
    """
    Transport.leases = leases
    Transport.refuse = staticmethod(refuse)  # type: ignore[method-assign, assignment]
    Transport.leave = staticmethod(leave)  # type: ignore[method-assign, assignment]
    redis.loads = _read
    transport.use(Transport)
