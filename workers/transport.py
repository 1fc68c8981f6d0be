"""kombu's Redis transport, which drops what is not a message of ours and says so."""

from collections.abc import Callable
from typing import Any

from kombu import transport
from kombu.transport import redis
from kombu.utils import json

from clipfleet.errors import MessageInvalid
from workers import envelope

Refuse = Callable[[str, str], None]


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
        super()._deliver(message, queue)


def _read(text: str) -> Any:
    """The JSON of a message; what is none is told of as any other that is not ours."""
    try:
        return json.loads(text)
    except (ValueError, TypeError, KeyError, RecursionError):
        return "no JSON"


def install(refuse: Refuse) -> None:
    """Have every connection that this process makes from now on take our messages alone.

    `refuse` is told the queue and the reason of each that is dropped.
    """
    Transport.refuse = staticmethod(refuse)  # type: ignore[method-assign, assignment]
    redis.loads = _read
    for scheme in ("redis", "rediss"):
        transport.TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
        transport._transport_cache.pop(scheme, None)
