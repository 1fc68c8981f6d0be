"""The time, and waiting, passed in to whatever needs them: a test moves its own clock."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class Clock:
    """This machine's clock."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait that long."""
        time.sleep(seconds)


SYSTEM = Clock()


class Deadline:
    """A moment that all waits for one thing share, `within_s` seconds from now."""

    def __init__(self, within_s: float, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._at = clock.monotonic() + within_s

    def left_s(self) -> float:
        """Seconds until then; 0 or less once it has passed."""
        return self._at - self._clock.monotonic()

    def extend(self, seconds: float) -> None:
        """Extend it, for everyone who shares it."""
        self._at += seconds


def take(lock: "threading.Lock | threading.Semaphore", deadline: Deadline) -> bool:
    """Acquire a lock or semaphore by then; returns whether it was acquired."""
    return lock.acquire(timeout=min(max(0.0, deadline.left_s()), threading.TIMEOUT_MAX))


def within(seconds: float, work: Callable[[], T]) -> T:
    """What `work` returns or raises; raises `TimeoutError` if that takes longer.

    For calls without a timeout of their own, such as a host name lookup. One that takes longer is
    left behind in a daemon thread.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done.result(seconds)
