"""How fast clips and windows are done, of late."""

from collections import deque

from clipfleet.clock import SYSTEM, Clock

SPAN_S = 60.0


class Rate:
    """Counts over the last minute, or since the beginning where that is less."""

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._began = self._clock.monotonic()
        self._noted: deque[tuple[float, int]] = deque()
        self._windows = 0

    def note(self, *, windows: int) -> None:
        """A clip of so many windows is done."""
        self._noted.append((self._clock.monotonic(), windows))
        self._windows += windows
        self._forget()

    def clips_per_s(self) -> float:
        """Clips a second."""
        self._forget()
        return len(self._noted) / self._span_s()

    def windows_per_s(self) -> float:
        """Windows a second."""
        self._forget()
        return self._windows / self._span_s()

    def _span_s(self) -> float:
        return min(SPAN_S, max(1.0, self._clock.monotonic() - self._began))

    def _forget(self) -> None:
        oldest = self._clock.monotonic() - SPAN_S
        while self._noted and self._noted[0][0] < oldest:
            self._windows -= self._noted.popleft()[1]
