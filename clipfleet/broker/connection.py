"""Connections to the broker that take its passing troubles for what they are: a lost connection.

A broker that is full, was made a replica, or lost its own replicas answers errors, and is well
again after a while. Celery and kombu retry what they know as connection errors, and let a worker
end at others: after eight seconds of such answers whole fleets were gone. So here they are
connection errors, and the connection is closed, as a failover may have put another server at its
address.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.exceptions import MasterDownError, OutOfMemoryError, ReadOnlyError
from redis.retry import Retry

from clipfleet.queues import ANSWER_S

CONNECT_S = 5.0
IDLE_S = 3.0

_PASSING_TYPES = (MasterDownError, OutOfMemoryError, ReadOnlyError)
# Those that redis-py has no class of its own for, by the word that they begin with.
_PASSING_WORDS = ("NOREPLICAS", "MISCONF", "BUSY ", "TRYAGAIN", "CLUSTERDOWN", "UNBLOCKED")

Found = TypeVar("Found")


def passes(error: redis.RedisError) -> bool:
    """Whether the broker says so of itself, not of what it was asked."""
    return isinstance(error, _PASSING_TYPES) or str(error).startswith(_PASSING_WORDS)


# When a connection to a server (host, port) was last found dead, by this process's clock.
_found_dead: dict[tuple[str, int], float] = {}


class _Watched:
    """Made anew before it is used, where it lay idle or where it must be dead.

    A half-open connection takes a time-out to say so, one process after the other as work reaches
    them; to connect takes a millisecond. What was made before another to the same server was found
    dead is dead too. One that waits for a message is left to kombu, which would otherwise wait
    twice.
    """

    _made_at = _used_at = 0.0

    def _connect(self) -> Any:
        self._made_at = self._used_at = time.monotonic()
        return super()._connect()  # type: ignore[misc]

    def send_command(self, *args: Any, **kwargs: Any) -> None:
        if args[0] == "BRPOP":
            self._made_at = self._used_at = time.monotonic()
        super().send_command(*args, **kwargs)  # type: ignore[misc]

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        idle_s = time.monotonic() - self._used_at
        if idle_s > IDLE_S or self._made_at < _found_dead.get(self._server, 0.0):
            self.disconnect()  # type: ignore[attr-defined]
        self._used_at = time.monotonic()
        super().send_packed_command(command, check_health)  # type: ignore[misc]

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().read_response(*args, **kwargs)  # type: ignore[misc]
        except redis.TimeoutError:
            _found_dead[self._server] = time.monotonic()
            raise
        except redis.ResponseError as error:
            if not passes(error):
                raise
            self.disconnect()  # type: ignore[attr-defined]
            raise redis.ConnectionError(f"the broker is not well: {error}") from error

    @property
    def _server(self) -> tuple[str, int]:
        return self.host, self.port  # type: ignore[attr-defined]


class Connection(_Watched, redis.Connection):
    """A plain connection."""


class SSLConnection(_Watched, redis.SSLConnection):
    """One by TLS."""


def connect(url: str, *, encoding: str = "utf-8", retries: int = 0) -> redis.Redis:
    """A client for `url` (redis:// or rediss://) that reads texts.

    No attempt takes longer than `ANSWER_S`, to connect `CONNECT_S`; after a failure it is made
    `retries` times more, at once. Bytes that are none of the encoding are read as escapes.
    """
    pool = redis.ConnectionPool.from_url(
        url,
        connection_class=SSLConnection if url.startswith("rediss:") else Connection,
        socket_timeout=ANSWER_S,
        socket_connect_timeout=CONNECT_S,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), retries),
        encoding=encoding,
        encoding_errors="backslashreplace",
        decode_responses=True,
    )
    return redis.Redis(connection_pool=pool)


def twice(client: redis.Redis, do: Callable[[redis.Redis], Found]) -> Found:
    """What `do` returns, tried a second time on a new connection.

    Raises `redis.RedisError`, `OSError`.
    """
    try:
        return do(client)
    except (redis.ConnectionError, redis.TimeoutError, OSError):
        return do(client)
