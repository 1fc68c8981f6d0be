"""Feeds a run's clips, a bounded number in flight, and follows them until each has its record.

What is true is in the store: workers' events only say when to look. A clip that stays silent while
the broker holds no message is looked up, and fed again if it is not done. A feeder may die
anywhere.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from clipfleet.broker.claims import FeederBeat, ShardClaims, feeders
from clipfleet.broker.client import Broker, Event
from clipfleet.clock import SYSTEM, Clock
from clipfleet.errors import BrokerError, SourceUnreadable, StoreError, UsageError
from clipfleet.queues import ASSEMBLE, PREPARE
from clipfleet.records import ClipRecord, ManifestLine, Status
from clipfleet.runs import LOST, Feeding, RunControl, RunCounts, count_record
from clipfleet_producer.feeding.in_flight import LEAST, InFlightLimit
from clipfleet_producer.feeding.shards import Shard, Shards
from clipfleet_producer.feeding.throughput import Rate
from clipfleet_producer.runs import manifest
from clipfleet_producer.runs.control import is_of
from clipfleet_producer.runs.model import Found, Run
from clipfleet_producer.sources.uris import short_name

if TYPE_CHECKING:
    from celery import Celery

# Where messages are too many to look through, a clip silent for so long, with nothing left to
# prepare, is fed again all the same; later still where others always leave something there. If its
# message was only slow, the second finds the first one's record.
SILENT_S = 900.0
SILENT_BESIDE_OTHERS_S = 4 * SILENT_S
# What is there is looked through for the silent clips' messages, where it is no more than this.
SCANNED_MESSAGES = 20_000
MAX_FEEDS = 5
_SAID_KEPT = 1000
CONTROL_S = BEAT_S = 2.0
# Between looks at events: they come one by one, and are read by the dozen.
PAUSE_S = 0.05


class Watcher(Protocol):
    """Whoever wants to know how it goes."""

    def say(self, line: str) -> None:
        """A line for a person."""

    def on_event(self, event: Event) -> None:
        """A worker did a step of one of the clips in flight."""

    def on_clip_done(
        self,
        line: ManifestLine,
        record: ClipRecord | None,
        counts: RunCounts,
        *,
        previously_done: bool,
    ) -> None:
        """The run is done with a clip, perhaps `before` it was fed; the first few bring records."""

    def on_shard_done(self, counts: RunCounts, *, previously_done: bool) -> None:
        """Clips that others did, or that were done `before` this feeder began."""


@dataclass(kw_only=True)
class _InFlight:
    found: Found
    shard: Shard
    heard_at: float
    looked_at: float
    feeds: int = 1
    missed: int = 0  # looks in a row that found no message of it


class Feeder:
    """Feeds one run. Call `step` until it says that the run is at its end, then `close`."""

    def __init__(
        self,
        app: "Celery",
        broker: Broker,
        run: Run,
        watcher: Watcher,
        *,
        lease_s: float,
        in_flight_limit: InFlightLimit,
        fatal: Collection[str] = (),
        clock: Clock = SYSTEM,
    ) -> None:
        """Trouble that workers wait out is only said, unless its name is in `fatal`: then `step`
        raises `UnrecoverableStoreError`.
        """
        self._app, self._broker, self._run, self._watcher = app, broker, run, watcher
        self._lease_s, self._in_flight_limit, self._fatal = lease_s, in_flight_limit, fatal
        self._clock = clock
        self._look_s = lease_s / 2
        self._claims = ShardClaims(broker, run.head, lease_s=lease_s)
        self._shards = Shards(run, self._claims, look_every_s=lease_s / 2, clock=clock)
        self._state = RunControl()
        self._fleet: str | None = None
        self.blocked_reason = ""  # why nothing is fed, if nothing is
        self._store_wait = ""  # what the clip last heard of waits for, if it does
        self._in_flight: dict[str, _InFlight] = {}
        self._after: str | None = None
        self._rate = Rate(clock)
        self._times = {
            "orders": 0.0,
            "claims": 0.0,
            "silent": self._clock.monotonic(),
            "others": 0.0,
        }
        self._began = self._at_limit = False
        self._said: set[str] = set()

    @property
    def in_flight(self) -> int:
        """How many clips are on the queues."""
        return len(self._in_flight)

    @property
    def _limit(self) -> int:
        """Clips in flight at most: few while a store makes them wait, which may be for long.

        Not none: a clip may wait alone, and it takes others to find that out.
        """
        return (
            min(self._in_flight_limit.limit, LEAST)
            if self._store_wait
            else self._in_flight_limit.limit
        )

    @property
    def at_end(self) -> bool:
        """Whether all of the run's clips are done."""
        return self._shards.at_end

    @property
    def total(self) -> RunCounts:
        """Counts over the shards that are done."""
        return self._shards.total

    def step(self, *, wait_s: float) -> bool:
        """Do what is due, waiting at most `wait_s` for news; whether the run is over.

        That is, at its end (`at_end`), cancelled, or written anew. Raises `BrokerError` and
        `StoreError` for what passes; the next step goes on from there.
        """
        if self._after is None:  # events of before say nothing about what is fed now
            self._after = self._broker.last_event(self._run.run_id)
        if self._is_due("orders", CONTROL_S) and not self._read_control():
            self._take_in(previously_done=False)  # another feeder may have brought it to its end
            return True
        if self._is_due("claims", min(BEAT_S, self._lease_s / 3)):
            self._keep_claims()
        self._look_at_others()
        self._top_up()
        if self.at_end:
            manifest.conclude(self._run.store, self._run.head, self.total)
            return True
        self._listen(wait_s)
        if self._is_due("silent", self._lease_s / 2):
            self._look_at_silent()
        return False

    def fill(self) -> int:
        """Feed as many clips as may be in flight now; returns how many those are."""
        if not self._read_control():
            return 0
        self._look_at_others()
        while True:
            self._top_up()
            if self.at_end:
                manifest.conclude(self._run.store, self._run.head, self.total)
                return 0
            more = self._shards.loading or self._shards.waiting
            if (
                self.blocked_reason
                or not more
                or len(self._in_flight) >= self._in_flight_limit.limit
            ):
                return len(self._in_flight)
            self._clock.sleep(0.01)

    def close(self) -> None:
        """Let others go on at once. A broker that is away just now is no error."""
        self._shards.close()

    # What is to be fed.

    def _read_control(self) -> bool:
        """See whether the run is paused, and whether another goes first; False: it is over."""
        state = manifest.read_state(self._run.store, self._run.head)
        if state is not None and self._fleet is None:
            self._fleet = state.fleet  # who began this feeder has looked whose it is
        if state is None or not manifest.is_current(self._run.store, self._run.head):
            return False
        if state.fleet != self._fleet and not is_of(self._broker, state):
            return False  # another fleet took it over
        self._state = state
        self.blocked_reason = ""
        if state.feeding is Feeding.PAUSED:
            self.blocked_reason = "paused"
        else:
            others = (f for f in feeders(self._broker) if f.run_id != self._run.run_id)
            first = next((f for f in others if self._goes_first(f)), None)
            if first is not None:
                self.blocked_reason = f"run {first.run_id} goes first"
        return True

    def _goes_first(self, other: FeederBeat) -> bool:
        """Whether another run is to be fed before this one, as the store has it."""
        if not other.has_pending or other.priority <= self._state.priority:
            return False
        try:
            head = manifest.read_head(self._run.store, other.run_id)
            state = manifest.read_state(self._run.store, head)
        except UsageError:
            return False
        fed = state is not None and state.feeding is Feeding.ACTIVE
        return fed and state is not None and state.priority > self._state.priority

    def _look_at_others(self) -> None:
        """Take in what was done before this feeder began, and now and then what others did."""
        if not self._began or (
            not self._shards.has_pending and self._is_due("others", self._look_s)
        ):
            self._take_in(previously_done=not self._began)
            self._began = True

    def _top_up(self) -> None:
        """Feed as many clips as may be in flight."""
        if self._in_flight_limit.due():
            waiting, unacked = self._broker.traffic()
            at_limit = self._at_limit and not self._store_wait
            self._in_flight_limit.adapt(waiting=waiting, unacked=unacked, at_limit=at_limit)
        if self.blocked_reason:
            self._at_limit = False
            return
        fed: dict[int, int] = {}
        until = self._clock.monotonic() + BEAT_S  # claims and orders do not wait for longer
        try:
            for shard in list(self._shards.open.values()):
                while (
                    shard.waiting
                    and len(self._in_flight) < self._limit
                    and self._clock.monotonic() < until
                ):
                    place, found = shard.waiting[0]
                    self._feed_first(shard, found)
                    shard.waiting.popleft()
                    fed[shard.number] = place + 1
                if not shard.waiting:
                    self._shards.end_if_over(shard)
        finally:
            self._claims.fed({n: upto for n, upto in fed.items() if n in self._shards.open})
        # Asked before clips are fed, it would be missed wherever some come to their end meanwhile.
        self._at_limit = len(self._in_flight) >= self._in_flight_limit.limit
        if self._shards.waiting < self._in_flight_limit.limit:
            self._open_next()

    def _feed_first(self, shard: Shard, found: Found) -> None:
        if found.line.clip_uuid in self._in_flight:
            shard.counts += RunCounts(clips=1)
            return
        if found.replaces:
            self._run.clear_scratch(found.line)
        clip = self._begin(found, shard)
        if self._feed(clip):
            shard.in_flight += 1
            self._in_flight[found.line.clip_uuid] = clip

    def _begin(self, found: Found, shard: Shard) -> _InFlight:
        now = self._clock.monotonic()
        return _InFlight(found=found, shard=shard, heard_at=now, looked_at=now)

    def _feed(self, clip: _InFlight) -> bool:
        """Put the clip on the queue; False, and it is given up, where it cannot be read here."""
        try:
            self._run.feed(self._app, clip.found)
        except BrokerError:
            self._broker.mend_queues()
            raise
        except SourceUnreadable as error:
            line = clip.found.line
            self._watcher.say(f"{short_name(line.source)}: it cannot be read ({error})")
            clip.shard.counts += LOST
            self._watcher.on_clip_done(line, None, LOST, previously_done=False)
            return False
        return True

    def _open_next(self) -> None:
        """Open the next shard: those of its clips that were fed and are not done are in flight."""
        opened = self._shards.next(patient=not self._in_flight)
        if opened is None:
            return
        shard = opened.shard
        for place, clip in enumerate(opened.clips):
            found, line = clip.found, clip.found.line
            if clip.counts is not None:
                shard.counts += clip.counts
                self._watcher.on_clip_done(line, found.record, clip.counts, previously_done=True)
            elif line.clip_uuid in self._in_flight:  # two lines of one clip: the one before will do
                shard.counts += RunCounts(clips=1)
            elif place < opened.fed:
                shard.in_flight += 1
                self._in_flight[line.clip_uuid] = self._begin(found, shard)
            else:
                shard.waiting.append((place, found))
        self._shards.end_if_over(shard)

    def _take_in(self, *, previously_done: bool) -> None:
        """Count what others brought to its end."""
        brought = self._shards.take_in()
        if brought.clips:
            self._watcher.on_shard_done(brought, previously_done=previously_done)

    # What comes of them.

    def _listen(self, wait_s: float) -> None:
        assert self._after is not None
        run_id = self._run.run_id
        pause_s = min(wait_s, PAUSE_S)
        self._clock.sleep(pause_s)
        missed = self._broker.missed_events(run_id, self._after) if self._after != "0" else False
        for event_id, event in self._broker.events(run_id, self._after, wait_s=wait_s - pause_s):
            self._after = event_id
            self._take(event)
        if missed:
            self._finish_those_done(list(self._in_flight.values()))

    def _take(self, event: Event) -> None:
        if event.status == "waiting" and event.error in self._fatal:
            raise UnrecoverableStoreError(event.message)
        clip = self._in_flight.get(event.clip_uuid)
        if clip is None:
            return
        clip.heard_at = self._clock.monotonic()
        if event.status == "waiting":
            self._store_wait = f"waiting: {event.message}"
            self.say_once(self._store_wait)
            return
        self._store_wait = ""
        self._watcher.on_event(event)
        if event.step == ASSEMBLE and event.status == Status.CANCELLED:
            # Dropped for a cancellation that was taken back since: this feeder knows of none.
            self._feed_again(clip, counted=False)
        elif event.step == ASSEMBLE:
            self._finish(clip, self._run.look(clip.found.line))

    def _finish_those_done(self, clips: list[_InFlight]) -> None:
        now = self._clock.monotonic()
        found = self._run.look_up(clip.found.line for clip in clips)
        for clip, each in zip(clips, found, strict=True):
            clip.looked_at = now
            self._finish(clip, each)

    def _finish(self, clip: _InFlight, found: Found) -> None:
        """Have done with the clip, if there is its record."""
        record, line = found.record, found.line
        if record is None:
            if found.replaces not in (None, clip.found.replaces):
                # Another run wrote one meanwhile that does not do: its message says so from now on.
                clip.found = found
                self._run.clear_scratch(line)
                self._feed_again(clip, counted=True)
            return
        counts = count_record(record, self._run.run_id)
        self._land(clip, counts)
        self._rate.note(windows=len(record.windows))
        self._watcher.on_clip_done(line, record, counts, previously_done=False)
        if not record.valid:
            self._watcher.say(f"{short_name(line.source)}: {record.first_error()}")
        self._shards.end_if_over(clip.shard)

    def _land(self, clip: _InFlight, counts: RunCounts) -> None:
        del self._in_flight[clip.found.line.clip_uuid]
        clip.shard.in_flight -= 1
        clip.shard.counts += counts

    def _look_at_silent(self) -> None:
        """Look clips up that nothing was heard of, and feed those that are lost again."""
        now, silent_s = self._clock.monotonic(), 2 * self._lease_s
        due = [c for c in self._in_flight.values() if self._is_silent(c, now, silent_s)]
        if not due:
            return
        # Before the look at records: what was done by then is found.
        at_hand = self._broker.clips_at_hand(most=SCANNED_MESSAGES)
        self._finish_those_done(due)
        if self.blocked_reason:
            return
        if at_hand is None:
            silent_s = SILENT_BESIDE_OTHERS_S if self._broker.backlog()[PREPARE] else SILENT_S
        for clip in due:
            name = clip.found.line.clip_uuid
            if name not in self._in_flight:
                continue
            if at_hand is None:
                lost = now - clip.heard_at >= silent_s
            else:
                clip.missed = 0 if name in at_hand else clip.missed + 1
                # A message that moved as it was looked for is seen the next time.
                lost = clip.missed > bool(at_hand)
            if lost:
                clip.missed = 0
                self._feed_again(clip, counted=at_hand is not None)

    def _is_silent(self, clip: _InFlight, now: float, silent_s: float) -> bool:
        """Whether it is time to look; sooner where the last look found no message of it."""
        looked_s = 0.0 if clip.missed else silent_s
        return now - clip.heard_at >= silent_s and now - clip.looked_at >= looked_s

    def _feed_again(self, clip: _InFlight, *, counted: bool) -> None:
        if clip.feeds < MAX_FEEDS:
            fed = self._feed(clip)
            clip.heard_at = self._clock.monotonic()
            clip.feeds += counted  # now that it is on the queue
            if not fed:
                self._land(clip, RunCounts())
        elif counted:
            self._land(clip, LOST)
            line = clip.found.line
            self._watcher.on_clip_done(line, None, LOST, previously_done=False)
            name = short_name(line.source)
            self._watcher.say(
                f"{name}: fed {MAX_FEEDS} times, and no record; see the workers' logs"
            )
        self._shards.end_if_over(clip.shard)

    def _keep_claims(self) -> None:
        """Renew the claims, and say how it goes."""
        self._shards.renew()
        self._claims.beat(
            FeederBeat(
                run_id=self._run.run_id,
                feeder=self._claims.feeder,
                priority=self._state.priority,
                has_pending=self._state.feeding is Feeding.ACTIVE and self._shards.has_pending,
                blocked_reason=self.blocked_reason or self._store_wait,
                in_flight=len(self._in_flight),
                most_in_flight=self._in_flight_limit.limit,
                open={n: shard.counts for n, shard in self._shards.open.items()},
                clips_per_s=self._rate.clips_per_s(),
                windows_per_s=self._rate.windows_per_s(),
            )
        )

    def _is_due(self, what: str, every_s: float) -> bool:
        now = self._clock.monotonic()
        if now - self._times[what] < every_s:
            return False
        self._times[what] = now
        return True

    def say_once(self, text: str) -> None:
        """Say it, unless it was said before."""
        if text not in self._said:
            if len(self._said) >= _SAID_KEPT:
                self._said.clear()
            self._said.add(text)
            self._watcher.say(text)


class UnrecoverableStoreError(StoreError):
    """Trouble that nobody but a person can mend."""
