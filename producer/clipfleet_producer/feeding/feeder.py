"""Feeds a run's clips, a bounded number in flight, and follows them until each has its record.

What is true is in the store: workers' events only say when to look. A clip that stays silent while
the broker has no message is looked up, and fed again if it is not done. A feeder may die
anywhere.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

from clipfleet.broker.claims import FeederBeat, ShardClaims
from clipfleet.broker.client import Broker, Event
from clipfleet.clock import SYSTEM, Clock
from clipfleet.errors import BrokerError, SourceUnreadable, StoreError
from clipfleet.queues import ASSEMBLE, PREPARE
from clipfleet.records import Status
from clipfleet.runs import LOST, RunCounts
from clipfleet_producer.feeding.control import FeedingControl
from clipfleet_producer.feeding.in_flight import ClipInFlight, ClipsInFlight
from clipfleet_producer.feeding.limit import LEAST, InFlightLimit
from clipfleet_producer.feeding.observer import FeedObserver
from clipfleet_producer.feeding.shards import ClaimedShards, OpenShard
from clipfleet_producer.feeding.throughput import Rate
from clipfleet_producer.runs.model import CheckedClip, Run
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


class Feeder:
    """Feeds one run. Call `step` until it says that the run is over, then `close`."""

    def __init__(
        self,
        app: "Celery",
        broker: Broker,
        run: Run,
        observer: FeedObserver,
        *,
        lease_s: float,
        in_flight_limit: InFlightLimit,
        fatal: Collection[str] = (),
        clock: Clock = SYSTEM,
    ) -> None:
        """Trouble that workers wait out is only said, unless its name is in `fatal`: then `step`
        raises `UnrecoverableStoreError`.
        """
        self._app, self._broker, self._run, self._observer = app, broker, run, observer
        self._lease_s, self._clock = lease_s, clock
        self._limit, self._fatal = in_flight_limit, fatal
        self._claims = ShardClaims(broker, run.head, lease_s=lease_s)
        self._shards = ClaimedShards(run, self._claims, look_every_s=lease_s / 2, clock=clock)
        self._control = FeedingControl(run, broker)
        self._in_flight = ClipsInFlight(silent_s=2 * lease_s, clock=clock)
        self._store_wait = ""  # what the clip last heard of waits for, if it does
        self._after: str | None = None  # the last event that was read
        self._rate = Rate(clock)
        self._times = {"control": 0.0, "claims": 0.0, "silent": clock.monotonic(), "others": 0.0}
        self._began = self._at_limit = False
        self._said: set[str] = set()

    @property
    def in_flight(self) -> int:
        """How many clips are on the queues."""
        return len(self._in_flight)

    @property
    def blocked_reason(self) -> str:
        """Why nothing is fed, if nothing is."""
        return self._control.blocked_reason

    @property
    def at_end(self) -> bool:
        """Whether all of the run's clips are done."""
        return self._shards.at_end

    @property
    def counts(self) -> RunCounts:
        """Counts over all clips that are known to be done."""
        return sum((shard.counts for shard in self._shards.open.values()), self._shards.total)

    @property
    def total(self) -> RunCounts:
        """Counts over the shards that are done."""
        return self._shards.total

    def step(self, *, wait_s: float) -> bool:
        """Do what is due, waiting at most `wait_s` for news; whether the run is over.

        That is, finished (`at_end`), cancelled, or written anew. Raises `BrokerError` and
        `StoreError` for what passes; the next step goes on from there.
        """
        if self._after is None:  # earlier events say nothing about what is fed now
            self._after = self._broker.last_event(self._run.run_id)
        if self._is_due("control", CONTROL_S) and not self._read_control():
            self._take_in(previously_done=False)  # another feeder may have finished it
            return True
        if self._is_due("claims", min(BEAT_S, self._lease_s / 3)):
            self._keep_claims()
        self._look_at_others()
        self._top_up()
        if self.at_end:
            self._run.conclude(self.total)
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
                self._run.conclude(self.total)
                return 0
            more = self._shards.loading or self._shards.waiting
            if self.blocked_reason or not more or self.in_flight >= self._limit.limit:
                return self.in_flight
            self._clock.sleep(0.01)

    def close(self) -> None:
        """Let others go on at once. A broker that is away just now is no error."""
        self._shards.close()

    # What is to be fed.

    def _read_control(self) -> bool:
        """Whether the run is to be fed, and with how many clips in flight."""
        going = self._control.read()
        self._limit.bound(self._control.state.in_flight)
        return going

    def _look_at_others(self) -> None:
        """Take in what was done before this feeder began, and now and then what others did."""
        if not self._began or (
            not self._shards.has_pending and self._is_due("others", self._lease_s / 2)
        ):
            self._take_in(previously_done=not self._began)
            self._began = True

    def _take_in(self, *, previously_done: bool) -> None:
        """Count the shards that others finished."""
        by_others = self._shards.take_in()
        if by_others.clips:
            self._observer.on_shard_done(by_others, previously_done=previously_done)

    def _top_up(self) -> None:
        """Feed as many clips as may be in flight."""
        if self._limit.due():
            waiting, unacked = self._broker.traffic()
            at_limit = self._at_limit and not self._store_wait
            self._limit.adapt(waiting=waiting, unacked=unacked, at_limit=at_limit)
        if self.blocked_reason:
            self._at_limit = False
            return
        fed: dict[int, int] = {}
        until = self._clock.monotonic() + BEAT_S  # claims and control do not wait for longer
        try:
            for shard in list(self._shards.open.values()):
                while shard.waiting and self._has_room() and self._clock.monotonic() < until:
                    place, clip = shard.waiting[0]
                    if clip.line.clip_uuid in self._in_flight:
                        shard.counts += RunCounts(clips=1)
                    elif self._feed(clip, shard, anew=True):
                        now = self._clock.monotonic()
                        each = ClipInFlight(clip=clip, shard=shard, heard_at=now)
                        self._in_flight[clip.line.clip_uuid] = each
                        shard.in_flight += 1
                    shard.waiting.popleft()
                    fed[shard.number] = place + 1
                if not shard.waiting:
                    self._shards.end_if_over(shard)
        finally:
            self._claims.fed({n: upto for n, upto in fed.items() if n in self._shards.open})
        # Asked before clips are fed, it would be missed wherever some are done meanwhile.
        self._at_limit = self.in_flight >= self._limit.limit
        if self._shards.waiting < self._limit.limit:
            self._open_next()

    def _has_room(self) -> bool:
        """Whether one clip more may be in flight: few may while a store makes them wait.

        Not none: a clip may wait alone, and it takes others to find that out.
        """
        limit = self._limit.limit
        return self.in_flight < (min(limit, LEAST) if self._store_wait else limit)

    def _feed(self, clip: CheckedClip, shard: OpenShard, *, anew: bool) -> bool:
        """Put the clip on the queue; False, and it counts as lost, where it cannot be read here.

        `anew`: whatever was made of it for a record that is to be replaced goes first.
        """
        line = clip.line
        try:
            if anew and clip.replaces:
                self._run.clear_scratch(line)
            self._run.feed(self._app, clip)
        except BrokerError:
            self._broker.mend_queues()
            raise
        except SourceUnreadable as error:
            self._observer.say(f"{short_name(line.source)}: it cannot be read ({error})")
            shard.counts += LOST
            self._observer.on_clip_done(line, None, LOST, previously_done=False)
            return False
        return True

    def _open_next(self) -> None:
        """Open the next shard: those of its clips that were fed and are not done are in flight."""
        loaded = self._shards.next(patient=not self._in_flight)
        if loaded is None:
            return
        shard = loaded.shard
        for place, clip in enumerate(loaded.clips):
            line = clip.line
            if clip.counts is not None:
                shard.counts += clip.counts
                shard.digest[line.clip_uuid] = clip.summarized()
                self._observer.on_clip_done(line, clip.record, clip.counts, previously_done=True)
            elif line.clip_uuid in self._in_flight:  # two lines of one clip: the one before will do
                shard.counts += RunCounts(clips=1)
            elif place < loaded.fed:
                each = ClipInFlight(clip=clip, shard=shard, heard_at=self._clock.monotonic())
                self._in_flight[line.clip_uuid] = each
                shard.in_flight += 1
            else:
                shard.waiting.append((place, clip))
        self._shards.end_if_over(shard)

    # What becomes of it.

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
        each = self._in_flight.get(event.clip_uuid)
        if each is None:
            return
        each.heard_at = self._clock.monotonic()
        if event.status == "waiting":
            self._store_wait = f"waiting: {event.message}"
            self.say_once(self._store_wait)
            return
        self._store_wait = ""
        self._observer.on_event(event)
        if event.step == ASSEMBLE and event.status == Status.CANCELLED:
            # Dropped for a cancellation that was taken back since: this feeder knows of none.
            self._feed_again(each, counted=False)
        elif event.step == ASSEMBLE:
            self._finish(each, self._run.check(each.clip.line))

    def _finish_those_done(self, clips: list[ClipInFlight]) -> None:
        now = self._clock.monotonic()
        checked = self._run.check_all(each.clip.line for each in clips)
        for each, clip in zip(clips, checked, strict=True):
            each.looked_at = now
            self._finish(each, clip)

    def _finish(self, each: ClipInFlight, clip: CheckedClip) -> None:
        """Have done with a clip, if there is its record."""
        record, counts, line = clip.record, clip.counts, clip.line
        if record is None or counts is None:
            if clip.replaces not in (None, each.clip.replaces):
                # Another run wrote one meanwhile that does not do: its message says so from now on.
                each.clip = clip
                self._run.clear_scratch(line)
                self._feed_again(each, counted=True)
            return
        each.shard.digest[line.clip_uuid] = clip.summarized()
        self._in_flight.land(each, counts)
        self._rate.note(windows=len(record.windows))
        self._observer.on_clip_done(line, record, counts, previously_done=False)
        if not record.valid:
            self._observer.say(f"{short_name(line.source)}: {record.first_error()}")
        self._shards.end_if_over(each.shard)

    def _look_at_silent(self) -> None:
        """Look clips up that nothing was heard of, and feed those that are lost again."""
        due = self._in_flight.silent()
        if not due:
            return
        # Before the look at records: what was done by then is found.
        at_hand = self._broker.clips_at_hand(most=SCANNED_MESSAGES)
        self._finish_those_done(due)
        if self.blocked_reason:
            return
        silent_s = SILENT_S
        if at_hand is None and self._broker.backlog()[PREPARE]:
            silent_s = SILENT_BESIDE_OTHERS_S
        for each in self._in_flight.lost(due, at_hand=at_hand, silent_s=silent_s):
            self._feed_again(each, counted=at_hand is not None)

    def _feed_again(self, each: ClipInFlight, *, counted: bool) -> None:
        line = each.clip.line
        if each.feeds < MAX_FEEDS:
            fed = self._feed(each.clip, each.shard, anew=False)
            each.heard_at = self._clock.monotonic()
            each.feeds += counted  # now that it is on the queue
            if not fed:
                self._in_flight.land(each, RunCounts())
        elif counted:
            self._in_flight.land(each, LOST)
            self._observer.on_clip_done(line, None, LOST, previously_done=False)
            name = short_name(line.source)
            self._observer.say(
                f"{name}: fed {MAX_FEEDS} times, and no record; see the workers' logs"
            )
        self._shards.end_if_over(each.shard)

    def _keep_claims(self) -> None:
        """Renew the claims, and say how it goes."""
        self._shards.renew()
        self._claims.beat(
            FeederBeat(
                run_id=self._run.run_id,
                feeder=self._claims.feeder,
                priority=self._control.state.priority,
                has_pending=self._control.active and self._shards.has_pending,
                blocked_reason=self.blocked_reason or self._store_wait,
                in_flight=self.in_flight,
                most_in_flight=self._limit.limit,
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
            self._observer.say(text)


class UnrecoverableStoreError(StoreError):
    """Trouble that nobody but a person can mend."""
