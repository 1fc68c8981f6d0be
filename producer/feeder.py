"""Feeds a run's clips, a bounded number in flight, and follows them until each has its record.

What is true is in the store: workers' events only say when to look. A clip that stays silent while
the broker holds no message is looked up, and fed again if it is not done. A run's clips are fed
shard by shard: each by the feeder that has its claim, and once all of its clips are done, what came
of them is written, so that nobody looks at them again. A feeder may die anywhere.
"""

import time
from collections import deque
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from clipfleet.broker import Broker, Event
from clipfleet.errors import BrokerError, SourceUnreadable, StoreError, UsageError
from clipfleet.feedboard import FeedBoard, FeederBeat, feeders
from clipfleet.queues import PREPARE
from clipfleet.records import ClipRecord, ManifestLine
from clipfleet.runs import LOST, Feeding, RunState, Standing, standing
from producer import manifest
from producer.feed import Found, Run
from producer.pace import Pace
from producer.rate import Rate
from producer.report import ROWS_SHOWN
from producer.sources import short_name

if TYPE_CHECKING:
    from celery import Celery

# On a shared fleet others' messages keep the broker busy: a clip silent for so long, with nothing
# left to prepare, is fed again all the same.
SILENT_S = 900.0
MAX_FEEDS = 5
_SAID_KEPT = 1000
ORDERS_S = BEAT_S = 2.0
# Between looks at events: they come one by one, and are read by the dozen.
PAUSE_S = 0.05


class Watcher(Protocol):
    """Whoever wants to know how it goes."""

    def say(self, line: str) -> None:
        """A line for a person."""

    def heard(self, event: Event) -> None:
        """A worker did a step of one of the clips in flight."""

    def done(
        self, line: ManifestLine, record: ClipRecord | None, counts: Standing, *, before: bool
    ) -> None:
        """The run is done with a clip, perhaps `before` it was fed; the first few bring records."""

    def brought(self, counts: Standing, *, before: bool) -> None:
        """Clips that others did, or that were done `before` this feeder began."""


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    """A clip of a shard that was looked up; of those done before, the first few with records."""

    found: Found
    counts: Standing | None


@dataclass(kw_only=True)
class _Shard:
    """An open shard. `waiting` are its clips yet to be fed, with their places in it."""

    number: int
    waiting: deque[tuple[int, Found]] = field(default_factory=deque)
    flying: int = 0
    standing: Standing = field(default_factory=Standing)

    @property
    def over(self) -> bool:
        """Whether all of its clips are done."""
        return not self.waiting and not self.flying


@dataclass(kw_only=True)
class _InFlight:
    found: Found
    shard: _Shard
    heard_at: float = field(default_factory=time.monotonic)
    looked_at: float = field(default_factory=time.monotonic)
    feeds: int = 1


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
        pace: Pace,
        fatal: Collection[str] = (),
    ) -> None:
        """Trouble that workers wait out is only said, unless its name is in `fatal`: then `step`
        raises `NeedsAPerson`.
        """
        self._app, self._broker, self._run, self._watcher = app, broker, run, watcher
        self._lease_s, self._pace, self._fatal = lease_s, pace, fatal
        self._board = FeedBoard(broker, run.head, lease_s=lease_s)
        self._state = RunState()
        self.held = ""  # why nothing is fed, if nothing is
        self._open: dict[int, _Shard] = {}
        self._flying: dict[str, _InFlight] = {}
        self._left: deque[int] | None = None  # shards to try to claim; None: to be looked for
        self._done: set[int] = set()
        self.total = Standing()  # of the shards that are done
        self._loader = ThreadPoolExecutor(1)
        self._loading: tuple[_Shard, Future[list[_Loaded]], int] | None = None
        self._after: str | None = None
        self._rate = Rate()
        self._times = {"orders": 0.0, "claims": 0.0, "silent": time.monotonic(), "left": 0.0}
        self._said: set[str] = set()

    @property
    def in_flight(self) -> int:
        """How many clips are on the queues."""
        return len(self._flying)

    def step(self, *, wait_s: float) -> bool:
        """Do what is due, waiting at most `wait_s` for news; whether the run is over.

        That is, at its end (`at_end`), cancelled, or written anew. Raises `BrokerError` and
        `StoreError` for what passes; the next step goes on from there.
        """
        if self._after is None:  # events of before say nothing about what is fed now
            self._after = self._broker.last_event(self._run.run_id)
        if self._is_due("orders", ORDERS_S) and not self._take_orders():
            self._count_done(before=False)  # another feeder may have brought it to its end
            return True
        if self._is_due("claims", min(BEAT_S, self._lease_s / 3)):
            self._keep_claims()
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
        if not self._take_orders():
            return 0
        while True:
            self._top_up()
            if self.at_end:
                manifest.conclude(self._run.store, self._run.head, self.total)
                return 0
            more = self._loading is not None or any(s.waiting for s in self._open.values())
            if self.held or not more or len(self._flying) >= self._pace.limit:
                return len(self._flying)
            time.sleep(0.01)

    def close(self) -> None:
        """Let others go on at once. A broker that is away just now is no error."""
        self._loader.shutdown(wait=False, cancel_futures=True)
        claimed = list(self._open) + ([self._loading[0].number] if self._loading else [])
        try:
            self._board.release(claimed)
        except BrokerError:
            return

    # What is to be fed.

    def _take_orders(self) -> bool:
        """See whether the run is paused, and whether another goes first; False: it is over."""
        state = manifest.read_state(self._run.store, self._run.run_id)
        if state is None or not manifest.is_current(self._run.store, self._run.head):
            return False
        self._state = state
        self.held = ""
        if state.feeding is Feeding.PAUSED:
            self.held = "paused"
        else:
            others = (f for f in feeders(self._broker) if f.run_id != self._run.run_id)
            first = next((f for f in others if f.hungry and f.priority > state.priority), None)
            if first is not None:
                self.held = f"run {first.run_id} goes first"
        return True

    def _top_up(self) -> None:
        """Feed as many clips as may be in flight."""
        if self._pace.due():
            waiting, held = self._broker.traffic()
            self._pace.adapt(waiting=waiting, held=held, in_flight=len(self._flying))
        if self.held:
            return
        fed: dict[int, int] = {}
        until = time.monotonic() + BEAT_S  # claims and orders do not wait for longer
        try:
            for shard in list(self._open.values()):
                while (
                    shard.waiting
                    and len(self._flying) < self._pace.limit
                    and time.monotonic() < until
                ):
                    place, found = shard.waiting[0]
                    self._feed_first(shard, found)
                    shard.waiting.popleft()
                    fed[shard.number] = place + 1
                if not shard.waiting:
                    self._end_if_over(shard)
        finally:
            self._board.fed({number: upto for number, upto in fed.items() if number in self._open})
        if sum(len(shard.waiting) for shard in self._open.values()) < self._pace.limit:
            self._load_next()

    def _feed_first(self, shard: _Shard, found: Found) -> None:
        if found.line.clip_uuid in self._flying:
            shard.standing += Standing(clips=1)
            return
        if found.redo:
            self._run.clear_scratch(found.line)
        clip = _InFlight(found=found, shard=shard)
        if self._feed(clip):
            shard.flying += 1
            self._flying[found.line.clip_uuid] = clip

    def _feed(self, clip: _InFlight) -> bool:
        """Put the clip on the queue; False, and it is given up, where it cannot be read here."""
        try:
            self._run.feed(self._app, clip.found)
        except SourceUnreadable as error:
            line = clip.found.line
            self._watcher.say(f"{short_name(line.source)}: it cannot be read ({error})")
            clip.shard.standing += LOST
            self._watcher.done(line, None, LOST, before=False)
            return False
        return True

    # Shards.

    def _load_next(self) -> None:
        """Have the next shard's clips looked up in the background, and open it once they are."""
        if self._loading is None:
            shard, fed = self._claim_next()
            if shard is None:
                return
            self._loading = (shard, self._loader.submit(_load, self._run, shard.number), fed)
        shard, loaded, fed = self._loading
        if not self._flying:  # there is nothing else to wait for
            wait([loaded], timeout=0.2)
        if not loaded.done():
            return
        self._loading = None
        try:
            clips = loaded.result()
        except UsageError:
            if manifest.is_current(self._run.store, self._run.head):
                raise
            return  # it is being written anew, as the next look at orders will find
        except StoreError:
            assert self._left is not None
            self._left.appendleft(shard.number)
            raise
        self._open_shard(shard, clips, fed)

    def _claim_next(self) -> tuple[_Shard | None, int]:
        """A shard that nobody else feeds, if there is one, and how many of its clips are fed."""
        if self._left is None or (not self._left and self._is_due("left", self._lease_s / 2)):
            self._count_done(before=self._left is None)
            every = range(self._run.head.shards)
            self._left = deque(n for n in every if n not in self._done and n not in self._open)
        while self._left:
            number = self._left[0]
            fed = self._board.claim(number)
            self._left.popleft()
            if fed is not None:
                return _Shard(number=number), fed
        return None, 0

    def _count_done(self, *, before: bool) -> None:
        """Take in the shards that are done and not by this feeder."""
        new = manifest.done_shards(self._run.store, self._run.head) - self._done
        new -= self._open.keys()  # a claim that ran out: it is done here as well, and counted then
        for shard, counts in manifest.read_all_done(self._run.store, self._run.head, new):
            self._done.add(shard)
            self.total += counts
            self._watcher.brought(counts, before=before)

    def _open_shard(self, shard: _Shard, clips: list[_Loaded], fed: int) -> None:
        """Those of its first `fed` clips that are not done are in flight, or were lost."""
        self._open[shard.number] = shard
        for place, loaded in enumerate(clips):
            found, line = loaded.found, loaded.found.line
            if loaded.counts is not None:
                shard.standing += loaded.counts
                self._watcher.done(line, found.record, loaded.counts, before=True)
            elif line.clip_uuid in self._flying:  # two lines of one clip: the one before will do
                shard.standing += Standing(clips=1)
            elif place < fed:
                shard.flying += 1
                self._flying[line.clip_uuid] = _InFlight(found=found, shard=shard)
            else:
                shard.waiting.append((place, found))
        self._end_if_over(shard)

    def _end_if_over(self, shard: _Shard) -> None:
        if not shard.over or shard.number not in self._open:
            return
        manifest.write_done(self._run.store, self._run.head, shard.number, shard.standing)
        del self._open[shard.number]
        self._done.add(shard.number)
        self.total += shard.standing
        self._board.done(shard.number)

    @property
    def at_end(self) -> bool:
        """Whether all of the run's clips are done."""
        return len(self._done) == self._run.head.shards

    # What comes of them.

    def _listen(self, wait_s: float) -> None:
        assert self._after is not None
        run_id = self._run.run_id
        pause_s = min(wait_s, PAUSE_S)
        time.sleep(pause_s)
        missed = self._broker.missed_events(run_id, self._after) if self._after != "0" else False
        for event_id, event in self._broker.events(run_id, self._after, wait_s=wait_s - pause_s):
            self._after = event_id
            self._take(event)
        if missed:
            self._finish_those_done(list(self._flying.values()))

    def _take(self, event: Event) -> None:
        if event.status == "waiting" and event.error in self._fatal:
            raise NeedsAPerson(event.message)
        clip = self._flying.get(event.clip_uuid)
        if clip is None:
            return
        clip.heard_at = time.monotonic()
        if event.status == "waiting":
            self.say_once(event.message)
            return
        self._watcher.heard(event)
        if event.step == "assemble":
            self._finish(clip, self._run.look(clip.found.line))

    def _finish_those_done(self, clips: list[_InFlight]) -> None:
        now = time.monotonic()
        found = self._run.look_up(clip.found.line for clip in clips)
        for clip, each in zip(clips, found, strict=True):
            clip.looked_at = now
            self._finish(clip, each)

    def _finish(self, clip: _InFlight, found: Found) -> None:
        """Have done with the clip, if there is its record."""
        record, line = found.record, found.line
        if record is None:
            if found.redo and not clip.found.redo:
                # Another run wrote one meanwhile that does not do: its message says so from now on.
                clip.found = found
                self._run.clear_scratch(line)
                self._feed_again(clip, counted=True)
            return
        counts = standing(record, self._run.run_id)
        self._land(clip, counts)
        self._rate.note(windows=len(record.windows))
        self._watcher.done(line, record, counts, before=False)
        if not record.valid:
            self._watcher.say(f"{short_name(line.source)}: {record.first_error()}")
        self._end_if_over(clip.shard)

    def _land(self, clip: _InFlight, counts: Standing) -> None:
        del self._flying[clip.found.line.clip_uuid]
        clip.shard.flying -= 1
        clip.shard.standing += counts

    def _look_at_silent(self) -> None:
        """Look clips up that nothing was heard of, and feed those that are lost again."""
        now, silent_s = time.monotonic(), 2 * self._lease_s
        due = [c for c in self._flying.values() if now - max(c.heard_at, c.looked_at) >= silent_s]
        if not due:
            return
        idle = self._broker.messages() == 0  # before the look: what was done by then is found
        self._finish_those_done(due)
        if self.held or (not idle and self._broker.backlog()[PREPARE]):
            return
        for clip in due:
            lost = now - clip.heard_at >= (silent_s if idle else SILENT_S)
            if lost and clip.found.line.clip_uuid in self._flying:
                self._feed_again(clip, counted=idle)

    def _feed_again(self, clip: _InFlight, *, counted: bool) -> None:
        if clip.feeds < MAX_FEEDS:
            clip.heard_at = time.monotonic()
            clip.feeds += counted
            if not self._feed(clip):
                self._land(clip, Standing())
        elif counted:
            self._land(clip, LOST)
            line = clip.found.line
            self._watcher.done(line, None, LOST, before=False)
            name = short_name(line.source)
            self._watcher.say(
                f"{name}: fed {MAX_FEEDS} times, and no record; see the workers' logs"
            )
        self._end_if_over(clip.shard)

    def _keep_claims(self) -> None:
        """Renew the claims, and say how it goes."""
        loading = [self._loading[0].number] if self._loading else []
        self._board.renew([*self._open, *loading])
        self._board.beat(
            FeederBeat(
                run_id=self._run.run_id,
                feeder=self._board.feeder,
                priority=self._state.priority,
                hungry=self._state.feeding is Feeding.ACTIVE and self._has_clips_to_feed(),
                held=self.held,
                in_flight=len(self._flying),
                most_in_flight=self._pace.limit,
                open={number: shard.standing for number, shard in self._open.items()},
                clips_per_s=self._rate.clips_per_s(),
                windows_per_s=self._rate.windows_per_s(),
            )
        )

    def _has_clips_to_feed(self) -> bool:
        waiting = any(shard.waiting for shard in self._open.values())
        return waiting or self._loading is not None or self._left is None or bool(self._left)

    def _is_due(self, what: str, every_s: float) -> bool:
        now = time.monotonic()
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


def _load(run: Run, shard: int) -> list[_Loaded]:
    """A shard's clips, looked up. Of most records that are there only counts are kept."""
    loaded, kept = [], 0
    for found in run.look_up(manifest.read_shard(run.store, run.run_id, shard)):
        counts = None
        if found.record is not None:
            counts = standing(found.record, run.run_id)
            kept += 1
            if kept > ROWS_SHOWN:
                found = Found(line=found.line, record=None)
        loaded.append(_Loaded(found=found, counts=counts))
    return loaded


class NeedsAPerson(StoreError):
    """Trouble that nobody but a person can mend."""
