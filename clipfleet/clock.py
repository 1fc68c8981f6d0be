"""The time, and waiting for it, handed to whatever looks at it or waits: a test moves its own."""

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
        """Wait so long."""
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
        """Put it off, for everyone who shares it."""
        self._at += seconds


def take(lock: "threading.Lock | threading.Semaphore", deadline: Deadline) -> bool:
    """Take a lock, or a place of a semaphore, if there is one by then; returns whether."""
    return lock.acquire(timeout=min(max(0.0, deadline.left_s()), threading.TIMEOUT_MAX))


def within(seconds: float, work: Callable[[], T]) -> T:
    """What `work` gives, or raises; raises `TimeoutError` where that takes longer.

    For calls that cannot be told how long they may take, such as looking up a host's name. One that
    takes longer is left behind in a thread of its own, which ends no later than the process.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done.result(seconds)
