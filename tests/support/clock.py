"""A clock that a test moves."""

import threading

from clipfleet.clock import Clock


class ManualClock(Clock):
    """Stands still until somebody sleeps by it: then so much time has passed, at once."""

    def __init__(self) -> None:
        self._now = 1_000_000.0
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        with self._lock:
            return self._now

    def sleep(self, seconds: float) -> None:
        """Let so much time pass."""
        with self._lock:
            self._now += seconds
