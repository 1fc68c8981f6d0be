"""Whether a feeder may feed its run now: it may be paused, another's turn, or another fleet's."""

from clipfleet.broker.claims import FeederBeat, feeders
from clipfleet.broker.client import Broker
from clipfleet.errors import UsageError
from clipfleet.runs import Feeding, RunControl
from clipfleet_producer.runs.control import is_of
from clipfleet_producer.runs.model import Run
from clipfleet_producer.runs.store import RunStore


class FeedingControl:
    """How one run is to be fed, as of the last `read`."""

    def __init__(self, run: Run, broker: Broker) -> None:
        self._run, self._broker = run, broker
        self._fleet: str | None = None
        self.state = RunControl()
        self.blocked_reason = ""  # why nothing is fed, if nothing is

    @property
    def active(self) -> bool:
        """Whether the run is not paused."""
        return self.state.feeding is Feeding.ACTIVE

    def read(self) -> bool:
        """Read it anew; False where the run is over: finished, cancelled, another fleet's, or
        written anew. Raises `BrokerError`, `StoreError`.
        """
        state = self._run.control()
        if state is not None and self._fleet is None:
            self._fleet = state.fleet  # who began this feeder has looked whose it is
        if state is None or not self._run.is_current():
            return False
        if state.fleet != self._fleet and not is_of(self._broker, state):
            return False  # another fleet took it over
        self.state = state
        self.blocked_reason = "" if self.active else "paused"
        if self.active:
            others = (f for f in feeders(self._broker) if f.run_id != self._run.run_id)
            first = next((f for f in others if self._goes_first(f)), None)
            if first is not None:
                self.blocked_reason = f"run {first.run_id} goes first"
        return True

    def _goes_first(self, other: FeederBeat) -> bool:
        """Whether another run is to be fed before this one, as the store has it."""
        if not other.has_pending or other.priority <= self.state.priority:
            return False
        try:
            state = RunStore.open(self._run.store, other.run_id).control()
        except UsageError:
            return False
        if state is None or state.feeding is not Feeding.ACTIVE:
            return False
        return state.priority > self.state.priority
