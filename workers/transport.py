"""kombu's Redis transport by the broker's clock, which drops what is no message of ours.

Workers' own clocks may be wrong. By theirs, a worker an hour ahead took all that others held, one
an hour behind had its own taken, and what one ahead had held when it died came back in an hour.
"""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from kombu import transport
from kombu.transport import redis

from clipfleet.errors import MessageInvalid
from workers import envelope
from workers.mutex import mutex

Refuse = Callable[[str, str], None]

# The longest that a task asks to wait for the store; one whose sender was ahead gets no more.
LONGEST_WAIT_S = 60.0


class Clock:
    """The broker's time; between looks at it, by a clock that does not jump."""

    _ahead_s = 0.0

    def set(self, client: Any) -> None:
        """Look at the broker's clock through a connection to it."""
        seconds, microseconds = client.time()
        self._ahead_s = seconds + microseconds / 1e6 - time.monotonic()

    def now(self) -> float:
        """In seconds since 1970."""
        return self._ahead_s + time.monotonic()


clock = Clock()


class _QoS(redis.QoS):  # type: ignore[misc]
    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        """As kombu's, but that a held message which cannot be read is forgotten.

        Left there, it would end every look for those whose lease ran out, at every worker.
        """
        try:
            super().restore_by_tag(tag, client, leftmost)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            self._remove_from_indices(tag).execute()
            Transport.refuse("unacked", f"a held message cannot be read: {error}")


class _Channel(redis.Channel):  # type: ignore[misc]
    QoS = _QoS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        with self.conn_or_acquire() as client:
            clock.set(client)  # kombu looks for expired leases before we do


class Transport(redis.Transport):  # type: ignore[misc]
    """See `install`."""

    Channel = _Channel

    @staticmethod
    def refuse(queue: str, reason: str) -> None:
        """What is done with the word on a refused message."""

    def _deliver(self, message: Any, queue: str) -> None:
        try:
            envelope.check(message, queue)
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
    """The JSON of a message; what is none is told of as any other that is not ours.

    kombu's own reader makes objects of whatever the text names, and fails in as many ways.
    """
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return "no JSON"


def install(refuse: Refuse) -> None:
    """Have every connection that this process makes from now on take our messages alone.

    `refuse` is told the queue and the reason of each that is dropped.
    """
    Transport.refuse = staticmethod(refuse)  # type: ignore[method-assign, assignment]
    redis.loads = _read
    redis.time = clock.now  # by which leases begin and end
    redis.Mutex = mutex
    for scheme in ("redis", "rediss"):
        transport.TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
        transport._transport_cache.pop(scheme, None)
