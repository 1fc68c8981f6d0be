"""A run's status, by the store and the broker: true after any restart of anything."""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from clipfleet.broker import claims
from clipfleet.broker.beats import WorkerBeat
from clipfleet.broker.claims import FeederBeat, feeders
from clipfleet.broker.client import Broker
from clipfleet.errors import BrokerError, StoreError
from clipfleet.runs import (
    FeederState,
    Feeding,
    RunControl,
    RunCounts,
    RunHead,
    RunState,
)
from clipfleet_producer.runs.ending import finish, moment
from clipfleet_producer.runs.model import Run


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """One run. `in_flight` and rates are None where no feeder is alive, or the broker is away."""

    head: RunHead
    state: RunState
    feeder: FeederState
    blocked_reason: str | None  # why its feeders feed nothing, if so
    priority: int | None
    counts: RunCounts
    in_flight: int | None
    clips_per_s: float | None
    windows_per_s: float | None
    elapsed_s: float

    @property
    def left(self) -> int:
        """Clips without a record that do not count as lost."""
        return max(0, self.head.clips - self.counts.done - self.counts.lost)

    @property
    def mean_clips_per_s(self) -> float:
        """Since the run was submitted."""
        return (self.counts.done - self.counts.previously_done) / max(self.elapsed_s, 1.0)

    @property
    def seconds_left(self) -> float | None:
        """At the windows of the last minute; None where that is not known.

        Clips to come are taken to have as many windows as those that had any.
        """
        with_windows = self.counts.done - self.counts.windowless
        if not self.left or not self.windows_per_s or with_windows <= 0:
            return None
        return self.left * self.counts.windows / with_windows / self.windows_per_s


@dataclass(frozen=True, kw_only=True)
class FleetStatus:
    """The queues and the live workers; `away` says why nothing is known of them."""

    backlog: dict[str, int]
    unacked: int
    workers: list[WorkerBeat]
    away: str | None = None


class StatusReader:
    """Reads one run's status, again and again; looks at nothing twice that does not change."""

    def __init__(self, run: Run, broker: Broker | None) -> None:
        """Without a broker, nothing is known of feeders."""
        self._run, self._broker = run, broker
        self._done: set[int] = set()
        self._counts = RunCounts()
        self._known: dict[int, dict[int, RunCounts]] = {}
        self._last = ""  # when the last of the records that were looked at was written
        self._tried_to_end = False

    def is_current(self) -> bool:
        """Whether the run was not written anew since."""
        return self._run.is_current()

    def read(self) -> RunStatus:
        """As of now; that a run without a feeder has finished is written. Raises `StoreError`."""
        fed, begun = self._feeders()
        head, control = self._run.head, self._run.control()
        new = self._run.done.numbers() - self._done
        for shard, counts in self._run.done.all_counts(new):
            self._done.add(shard)
            self._known.pop(shard, None)
            self._counts += counts
        open_counts = self._by_feeders(fed, begun) if fed else self._look(range(head.shards))
        counts = sum(open_counts, self._counts)
        all_done = counts.done + counts.lost >= head.clips
        ended = len(self._done) == head.shards or (control is not None and all_done)
        if ended and not fed:
            self._end()
        return RunStatus(
            head=head,
            state=_state(control, begun=bool(fed or begun or counts.clips), ended=ended),
            feeder=FeederState.ALIVE if fed else FeederState.NONE,
            blocked_reason=", ".join(sorted({f.blocked_reason for f in fed} - {""})) or None,
            priority=control.priority if control else None,
            counts=counts,
            in_flight=sum(beat.in_flight for beat in fed) if fed else None,
            clips_per_s=sum(beat.clips_per_s for beat in fed) if fed else None,
            windows_per_s=sum(beat.windows_per_s for beat in fed) if fed else None,
            elapsed_s=self._elapsed_s(control, ended=ended),
        )

    def _end(self) -> None:
        """Write that it has finished, if nobody did; who may only read tries once."""
        if not self._tried_to_end and not isinstance(self._run.summary(), dict):
            self._tried_to_end = True
            with contextlib.suppress(StoreError):
                finish(self._run)

    def _feeders(self) -> tuple[list[FeederBeat], set[int]]:
        """The live feeders, and the shards that were begun; neither where the broker is away."""
        if self._broker is None:
            return [], set()
        try:
            return feeders(self._broker, self._run.run_id), claims.begun(
                self._broker, self._run.head
            )
        except BrokerError:
            return [], set()

    def _by_feeders(self, fed: list[FeederBeat], begun: set[int]) -> Iterator[RunCounts]:
        """Counts of the shards that feeders have open, and of those begun that none has open."""
        said: dict[int, RunCounts] = {}
        for beat in fed:
            for shard, counts in beat.open.items():  # one whose claim ran out may be open twice
                if shard not in said or said[shard].done < counts.done:
                    said[shard] = counts
        yield from (counts for shard, counts in said.items() if shard not in self._done)
        yield from self._look(sorted(begun - said.keys()))

    def _look(self, shards: Iterable[int]) -> Iterator[RunCounts]:
        """Counts of open shards by their clips' records, up to the first where nothing is done."""
        for shard in shards:
            if shard in self._done:
                continue
            known = self._known.setdefault(shard, {})
            lines = self._run.manifest.shard(shard)
            unknown = [place for place in range(len(lines)) if place not in known]
            found = self._run.check_all(lines[place] for place in unknown)
            for place, each in zip(unknown, found, strict=True):
                if each.record is not None and each.counts is not None:
                    known[place] = each.counts
                    self._last = max(self._last, each.record.finished_at)
            yield sum(known.values(), RunCounts())
            if not known:
                return

    def _elapsed_s(self, control: RunControl | None, *, ended: bool) -> float:
        """Since the run was submitted, until now or until it finished or was cancelled."""
        summary = self._run.summary()
        if summary is not None:
            return float(summary.get("seconds") or 0.0)
        until = moment(self._last) if ended else None
        cancellation = self._run.cancellation() if control is None else None
        if cancellation is not None:
            until = moment(cancellation.cancelled_at)
        return self._run.seconds_until(until or datetime.now(UTC))


def _state(control: RunControl | None, *, begun: bool, ended: bool) -> RunState:
    if ended:
        return RunState.FINISHED
    if control is None:
        return RunState.CANCELLED
    if control.feeding is Feeding.PAUSED:
        return RunState.PAUSED
    return RunState.RUNNING if begun else RunState.PENDING


def read_fleet(broker: Broker) -> FleetStatus:
    """What waits and who works; that the broker is away is part of it."""
    try:
        backlog, (_, unacked) = broker.backlog(), broker.traffic()
        return FleetStatus(backlog=backlog, unacked=unacked, workers=broker.workers())
    except BrokerError as error:
        return FleetStatus(backlog={}, unacked=0, workers=[], away=str(error))
