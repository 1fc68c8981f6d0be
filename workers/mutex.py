"""kombu's lock on the broker without a script, which the broker's user may not run."""

import contextlib
import secrets
from collections.abc import Iterator
from typing import Any

from kombu.transport.redis import MutexHeld
from redis import WatchError


@contextlib.contextmanager
def mutex(client: Any, name: str, expire_s: int) -> Iterator[None]:
    """Hold the lock `name`, for at most `expire_s`. Raises `MutexHeld` where another holds it."""
    token = secrets.token_hex(8).encode()
    if not client.set(name, token, nx=True, ex=expire_s):
        raise MutexHeld
    try:
        yield
    finally:
        _release(client, name, token)


def _release(client: Any, name: str, token: bytes) -> None:
    """Let go of the lock unless it ran out; another may hold it then."""
    with client.pipeline() as pipe, contextlib.suppress(WatchError):
        pipe.watch(name)
        if pipe.get(name) == token:
            pipe.multi()
            pipe.delete(name)
            pipe.execute()
