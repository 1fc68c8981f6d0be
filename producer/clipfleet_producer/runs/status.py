"""How a run stands, by the store and the broker: true after any restart of anything."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from clipfleet.broker import feedboard
from clipfleet.broker.beats import WorkerBeat
from clipfleet.broker.client import Broker
from clipfleet.broker.feedboard import FeederBeat, feeders
from clipfleet.errors import BrokerError
from clipfleet.runs import Feeding, RunHead, Standing, standing
from clipfleet.store import Store
from clipfleet_producer.runs import manifest
from clipfleet_producer.runs.model import Run


@dataclass(frozen=True, kw_only=True)
class RunStands:
    """One run. `in_flight` and rates are None where nobody feeds it, or the broker is away."""

    head: RunHead
    state: str
    priority: int | None
    counts: Standing
    in_flight: int | None
    clips_per_s: float | None
    windows_per_s: float | None
    elapsed_s: float

    @property
    def left(self) -> int:
        """Clips without a record that are not given up."""
        return max(0, self.head.clips - self.counts.done - self.counts.lost)

    @property
    def mean_clips_per_s(self) -> float:
        """Since the run was submitted."""
        return (self.counts.done - self.counts.before) / max(self.elapsed_s, 1.0)

    @property
    def seconds_left(self) -> float | None:
        """At the rate of the last minute."""
        if not self.left or not self.clips_per_s:
            return None
        return self.left / self.clips_per_s


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The queues and the workers that live; `away` says why nothing is known of them."""

    backlog: dict[str, int]
    held: int
    workers: list[WorkerBeat]
    away: str | None = None


class Reader:
    """Reads how one run stands, again and again; looks at nothing twice that does not change."""

    def __init__(self, store: Store, broker: Broker, run_id: str) -> None:
        self._store, self._broker = store, broker
        self.head = manifest.read_head(store, run_id)
        self._run = Run(head=self.head, store=store)
        self._done: set[int] = set()
        self._counts = Standing()
        self._known: dict[int, dict[int, Standing]] = {}

    def is_current(self) -> bool:
        """Whether the run was not written anew since."""
        return manifest.is_current(self._store, self.head)

    def read(self) -> RunStands:
        """As of now. Raises `StoreError`."""
        fed = self._feeders()
        state = manifest.read_state(self._store, self.head)
        new = manifest.done_shards(self._store, self.head) - self._done
        for shard, counts in manifest.read_all_done(self._store, self.head, new):
            self._done.add(shard)
            self._known.pop(shard, None)
            self._counts += counts
        open_counts = self._by_feeders(fed) if fed else self._look(range(self.head.shards))
        ended = len(self._done) == self.head.shards
        return RunStands(
            head=self.head,
            state=_spelled(state.feeding if state else None, fed, ended),
            priority=state.priority if state else None,
            counts=sum(open_counts, self._counts),
            in_flight=sum(beat.in_flight for beat in fed) if fed else None,
            clips_per_s=sum(beat.clips_per_s for beat in fed) if fed else None,
            windows_per_s=sum(beat.windows_per_s for beat in fed) if fed else None,
            elapsed_s=self._elapsed_s(),
        )

    def _feeders(self) -> list[FeederBeat]:
        try:
            return feeders(self._broker, self.head.run_id)
        except BrokerError:
            return []

    def _by_feeders(self, fed: list[FeederBeat]) -> Iterator[Standing]:
        """Counts of the shards that feeders have open, and of those begun that none has open."""
        said: dict[int, Standing] = {}
        for beat in fed:
            for shard, counts in beat.open.items():  # one whose claim ran out may be open twice
                if shard not in said or said[shard].done < counts.done:
                    said[shard] = counts
        yield from (counts for shard, counts in said.items() if shard not in self._done)
        try:
            begun = feedboard.begun(self._broker, self.head)
        except BrokerError:
            return
        yield from self._look(sorted(begun - said.keys()))

    def _look(self, shards: Iterable[int]) -> Iterator[Standing]:
        """Counts of open shards by their clips' records, up to the first where nothing is done."""
        for shard in shards:
            if shard in self._done:
                continue
            known = self._known.setdefault(shard, {})
            lines = manifest.read_shard(self._store, self.head, shard)
            unknown = [place for place in range(len(lines)) if place not in known]
            found = self._run.look_up(lines[place] for place in unknown)
            for place, each in zip(unknown, found, strict=True):
                if each.record is not None:
                    known[place] = standing(each.record, self.head.run_id)
            yield sum(known.values(), Standing())
            if not known:
                return

    def _elapsed_s(self) -> float:
        """Since the run was submitted, to its end where it has come to that."""
        summary = manifest.read_summary(self._store, self.head)
        if summary is not None:
            return float(summary.get("seconds") or 0.0)
        began = datetime.fromisoformat(self.head.created_at)
        return (datetime.now(UTC) - began).total_seconds()


def _spelled(feeding: Feeding | None, fed: list[FeederBeat], ended: bool) -> str:
    if ended:
        return "at its end"
    if feeding is None:
        return "cancelled"
    if feeding is Feeding.PAUSED:
        return "paused"
    held = {beat.held for beat in fed if beat.held}
    if held:
        return f"held back: {', '.join(sorted(held))}"
    if not fed:
        return "nobody feeds it"
    return "fed" if len(fed) == 1 else f"fed by {len(fed)}"


def read_fleet(broker: Broker) -> Fleet:
    """What waits and who works; that the broker is away is part of it."""
    try:
        backlog, (_, held) = broker.backlog(), broker.traffic()
        return Fleet(backlog=backlog, held=held, workers=broker.workers())
    except BrokerError as error:
        return Fleet(backlog={}, held=0, workers=[], away=str(error))
