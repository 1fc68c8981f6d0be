"""Messages that a worker has taken and not acknowledged: how they lie in the broker.

The broker's two keys are kombu's own, and so is what lies in them: `unacked`, a hash of delivery
tag → [message, exchange, routing key], and `unacked_index`, the same tags by when their leases
began.
"""

import enum
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis

UNACKED, INDEX = "unacked", "unacked_index"
# Fields of a message's headers and properties that are ours: kombu passes them on.
DEATHS, HOLDER = "deaths", "holder"
# The longest that a task asks to wait for the store; one whose sender was ahead gets no more.
LONGEST_WAIT_S = 60.0


class End(enum.Enum):
    """What becomes of a message that a worker has taken."""

    ACK = enum.auto()  # done with
    GIVE_BACK = enum.auto()  # to any worker, at the end of its queue
    PUT_OFF = enum.auto()  # the same, after a while


@dataclass
class Lease:
    """A worker's lease on a message that it has taken and not acknowledged."""

    message: dict[str, Any]
    queue: str
    since: float  # by the worker's own clock
    started: bool = False
    written: bool = True
    died: bool = False
    end: End | None = None
    ending: bool = False
    release: Callable[[], object] = lambda: None

    def asked_to_wait_s(self) -> float:
        """How long it may wait at most for the moment that it names."""
        return LONGEST_WAIT_S if self.message.get("headers", {}).get("eta") else 0.0


def write(
    client: redis.Redis, tag: str, message: dict[str, Any], queue: str, *, since: float
) -> None:
    """Note a message and when its lease began, by the broker's clock."""
    with client.pipeline(transaction=True) as pipe:
        pipe.zadd(INDEX, {tag: since})
        pipe.hset(UNACKED, tag, json.dumps([message, "", queue]))
        pipe.execute()


def forget(client: redis.Redis, tag: str) -> None:
    """Remove a message that is done with, or on its queue again."""
    with client.pipeline(transaction=True) as pipe:
        pipe.zrem(INDEX, tag)
        pipe.hdel(UNACKED, tag)
        pipe.execute()


def delivered_again(message: dict[str, Any], *, died: bool) -> dict[str, Any]:
    """The message as it is delivered again; `died`: a worker died of it."""
    headers = {**message["headers"], "redelivered": True}
    if died:
        headers[DEATHS] = deaths(headers) + 1
    kept = {name: value for name, value in message["properties"].items() if name != HOLDER}
    info = {**kept["delivery_info"], "redelivered": True}
    return {**message, "headers": headers, "properties": {**kept, "delivery_info": info}}


def deaths(headers: Any) -> int:
    """How many workers died with the message in their hands, as its headers say."""
    count = headers.get(DEATHS)
    return count if type(count) is int and 0 <= count < 2**31 else 0


def waits(message: dict[str, Any]) -> bool:
    """Whether a worker that takes it waits before it works on it: for a moment, or for its turn."""
    headers = message["headers"]
    return headers.get("eta") is not None or deaths(headers) > 0
