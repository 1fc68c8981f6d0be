"""How fast clips and windows are done, of late."""

from collections import deque

from clipfleet.clock import SYSTEM, Clock

SPAN_S = 60.0


class Rate:
    """Counts over the last minute, or since the first was done where that is less.

    Before, a model may have been loaded. The first itself only starts the clock; that of windows
    is started by the first clip that has any, whatever failed at once before it.
    """

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._began: float | None = None
        self._windows_began: float | None = None
        self._noted: deque[tuple[float, int]] = deque()
        self._windows = 0

    def note(self, *, windows: int) -> None:
        """A clip of so many windows is done."""
        now, first = self._clock.monotonic(), self._began is None
        if windows and self._windows_began is None:
            self._windows_began, windows = now, 0
        if first:
            self._began = now
        else:
            self._noted.append((now, windows))
            self._windows += windows
        self._forget()

    def clips_per_s(self) -> float:
        """Clips a second."""
        self._forget()
        return len(self._noted) / self._span_s(self._began)

    def windows_per_s(self) -> float:
        """Windows a second."""
        self._forget()
        return self._windows / self._span_s(self._windows_began)

    def _span_s(self, began: float | None) -> float:
        return SPAN_S if began is None else min(SPAN_S, max(1.0, self._clock.monotonic() - began))

    def _forget(self) -> None:
        oldest = self._clock.monotonic() - SPAN_S
        while self._noted and self._noted[0][0] < oldest:
            self._windows -= self._noted.popleft()[1]
