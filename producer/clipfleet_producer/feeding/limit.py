"""How many clips to have in flight: enough that no worker waits, few enough that nothing piles up.

The queues say which it is: more are let in as long as fewer messages wait than are unacknowledged,
fewer once several times as many wait. Runs that share a fleet see the same queues: all grow by the
same steps and shrink by the same share, and so come to have as much in flight as one another.
"""

from clipfleet.clock import SYSTEM, Clock

STEP_S = 5.0
LEAST = 16
FIRST = 64
DEFAULT_MOST = 4096
_GROW = 32
_SHRINK = 0.8


class InFlightLimit:
    """A bound on clips in flight, from `FIRST` on, between `LEAST` and `most`."""

    def __init__(
        self, most: int = DEFAULT_MOST, *, explicit: bool = False, clock: Clock = SYSTEM
    ) -> None:
        """`explicit`: asked for here, whatever the run was submitted with."""
        self.most, self._clock = most, clock
        self._given, self._explicit = most, explicit
        self.limit = min(FIRST, most)
        self._starting = True  # doubles until there is once too much
        self._next_at = self._clock.monotonic() + STEP_S

    def bound(self, most: int | None) -> None:
        """Bound it by what was asked for with the run, unless it was asked for here."""
        if not self._explicit:
            self.most = min(self._given, most or self._given)
            self.limit = min(self.limit, self.most)

    def due(self) -> bool:
        """Whether it is time to look at the queues."""
        return self._clock.monotonic() >= self._next_at

    def adapt(self, *, waiting: int, unacked: int, at_limit: bool) -> None:
        """Move the limit by what waits and what is unacked; unless it is reached, never up."""
        self._next_at = self._clock.monotonic() + STEP_S
        if waiting > max(3 * unacked, FIRST):
            self._starting = False
            self.limit = max(min(LEAST, self.most), int(self.limit * _SHRINK))
        elif waiting < max(unacked, LEAST) and at_limit:
            more = self.limit if self._starting else _GROW
            self.limit = min(self.most, self.limit + more)
