"""Connections to the broker that take its passing troubles for what they are: a lost connection.

A broker that is full, was made a replica, or lost its own replicas answers errors, and is well
again after a while. Celery and kombu retry what they know as connection errors, and let a worker
end at others: after eight seconds of such answers whole fleets were gone. So here they are
connection errors, and the connection is closed, as a failover may have put another server at its
address.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import redis
from redis.exceptions import ExecAbortError, MasterDownError, OutOfMemoryError, ReadOnlyError

from clipfleet.queues import ANSWER_S

CONNECT_S = 5.0

_PASSING_TYPES = (ExecAbortError, MasterDownError, OutOfMemoryError, ReadOnlyError)
# Those that redis-py has no class of its own for, by the word that they begin with.
_PASSING_WORDS = ("NOREPLICAS", "MISCONF", "BUSY ", "TRYAGAIN", "CLUSTERDOWN", "UNBLOCKED")

Found = TypeVar("Found")


def passes(error: redis.RedisError) -> bool:
    """Whether the broker says so of itself, not of what it was asked."""
    return isinstance(error, _PASSING_TYPES) or str(error).startswith(_PASSING_WORDS)


class _Watched:
    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().read_response(*args, **kwargs)  # type: ignore[misc]
        except redis.ResponseError as error:
            if not passes(error):
                raise
            self.disconnect()  # type: ignore[attr-defined]
            raise redis.ConnectionError(f"the broker is not well: {error}") from error


class Connection(_Watched, redis.Connection):
    """A plain connection."""


class SSLConnection(_Watched, redis.SSLConnection):
    """One by TLS."""


def connect(url: str) -> redis.Redis:
    """A client for `url` (redis:// or rediss://); no call takes longer than `ANSWER_S`."""
    pool = redis.ConnectionPool.from_url(
        url,
        connection_class=SSLConnection if url.startswith("rediss:") else Connection,
        socket_timeout=ANSWER_S,
        socket_connect_timeout=CONNECT_S,
        socket_keepalive=True,
        decode_responses=True,
    )
    return redis.Redis(connection_pool=pool)


def twice(client: redis.Redis, do: Callable[[redis.Redis], Found]) -> Found:
    """What `do` returns, tried a second time on a new connection.

    Where one connection died, those that lie idle in the pool are dead as well, and each would take
    a time-out of its own to say so. Raises `redis.RedisError`, `OSError`.
    """
    try:
        return do(client)
    except (redis.ConnectionError, redis.TimeoutError, OSError):
        client.connection_pool.disconnect(inuse_connections=False)
        return do(client)
