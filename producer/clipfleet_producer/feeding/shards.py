"""The shards of a run's list: which are done, which are whose, and what is in those that are ours.

A shard is fed by whoever has its claim. Once all of its clips are done, its counts are written, and
nobody looks at them again.
"""

from bisect import bisect_left
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from clipfleet.broker.claims import ShardClaims
from clipfleet.clock import SYSTEM, Clock
from clipfleet.errors import BrokerError, StoreError, UsageError
from clipfleet.runs import RunCounts
from clipfleet_producer.feeding.sample import ROWS_SHOWN
from clipfleet_producer.runs.model import CheckedClip, Run


@dataclass(kw_only=True)
class OpenShard:
    """A shard of ours. `waiting` are its clips yet to be fed, with their places in it.

    `digest` has a line (`ClipDigest`) of each that is done, by its UUID.
    """

    number: int
    waiting: deque[tuple[int, CheckedClip]] = field(default_factory=deque)
    in_flight: int = 0
    counts: RunCounts = field(default_factory=RunCounts)
    digest: dict[str, str] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Whether all of its clips are done."""
        return not self.waiting and not self.in_flight


@dataclass(frozen=True, kw_only=True)
class LoadedShard:
    """A shard just claimed, with its clips in order; `fed` of them were fed before."""

    shard: OpenShard
    clips: list[CheckedClip]
    fed: int


class ClaimedShards:
    """A run's shards as one feeder has them. All raise `BrokerError` and `StoreError`."""

    def __init__(
        self, run: Run, claims: ShardClaims, *, look_every_s: float, clock: Clock = SYSTEM
    ) -> None:
        self._run, self._claims, self._clock = run, claims, clock
        self._look_every_s, self._looked_at = look_every_s, 0.0
        self.open: dict[int, OpenShard] = {}
        self.total = RunCounts()  # of those that are done
        self._done: set[int] = set()
        self._left: deque[int] | None = None  # to try to claim; None: to be looked for
        self._loader = ThreadPoolExecutor(1)
        self._loading: tuple[int, Future[list[CheckedClip]], int] | None = None

    @property
    def at_end(self) -> bool:
        """Whether all of the run's clips are done."""
        return len(self._done) == self._run.head.shards

    @property
    def waiting(self) -> int:
        """Clips of open shards that are yet to be fed."""
        return sum(len(shard.waiting) for shard in self.open.values())

    @property
    def loading(self) -> bool:
        """Whether the next one is being looked up."""
        return self._loading is not None

    @property
    def has_pending(self) -> bool:
        """Whether there may be clips to feed."""
        return bool(self.waiting or self.loading or self._left is None or self._left)

    def next(self, *, patient: bool) -> LoadedShard | None:
        """The next shard that nobody else feeds, once its clips are looked up.

        They are, in the background; `patient` waits a moment for it. None: not yet, or there is
        none. Raises `UsageError` at a list that is damaged.
        """
        if self._loading is None and not self._begin_next():
            return None
        assert self._loading is not None
        number, loaded, fed = self._loading
        if patient:
            wait([loaded], timeout=0.2)
        if not loaded.done():
            return None
        self._loading = None
        try:
            clips = loaded.result()
        except UsageError:
            if self._run.is_current():
                raise
            return None  # it is being written anew, as the next look at its control will find
        except StoreError:
            assert self._left is not None
            self._left.appendleft(number)
            raise
        shard = self.open[number] = OpenShard(number=number)
        return LoadedShard(shard=shard, clips=clips, fed=fed)

    def _begin_next(self) -> bool:
        """Claim a shard and have it looked up; False: there is none."""
        now = self._clock.monotonic()
        if self._left is None or (not self._left and now - self._looked_at >= self._look_every_s):
            every = range(self._run.head.shards)
            left = [n for n in every if n not in self._done and n not in self.open]
            if self._left is None:
                left = self._where_left_off(left)
            self._left, self._looked_at = deque(left), now
        while self._left:
            number = self._left[0]
            fed = self._claims.claim(number)
            self._left.popleft()
            if fed is not None:
                check = self._run.check_shard
                loaded = self._loader.submit(check, number, records=ROWS_SHOWN)
                self._loading = (number, loaded, fed)
                return True
        return False

    def _where_left_off(self, numbers: list[int]) -> list[int]:
        """The shards, those first whose first clip is not done.

        A list that was fed before, under whatever run's name, is done up to somewhere. Found by
        halves, what is left is fed long before the records of what is done have all been read.
        """
        if len(numbers) < 2 or not self._begins_done(numbers[0]):
            return numbers
        upto = bisect_left(numbers, True, key=lambda number: not self._begins_done(number))
        upto = min(upto, len(numbers) - 1)  # the last may be done in part
        return numbers[upto:] + numbers[:upto]

    def _begins_done(self, number: int) -> bool:
        line = self._run.manifest.first(number)
        return line is not None and self._run.check(line).record is not None

    def take_in(self) -> RunCounts:
        """Counts of the shards that others finished since this was last asked, for the total."""
        new = self._run.done.numbers() - self._done
        new -= self.open.keys()  # a claim that ran out: it is done here as well, and counted then
        by_others = RunCounts()
        for number, counts in self._run.done.all_counts(new):
            self._done.add(number)
            self.total += counts
            by_others += counts
        return by_others

    def end_if_over(self, shard: OpenShard) -> None:
        """Write the shard's counts, if all of its clips are done."""
        if not shard.over or shard.number not in self.open:
            return
        self._run.done.write(shard.number, shard.counts, shard.digest.values())
        del self.open[shard.number]
        self._done.add(shard.number)
        self.total += shard.counts
        self._claims.done(shard.number)

    def renew(self) -> None:
        """Keep the claims."""
        self._claims.renew(self._claimed)

    def close(self) -> None:
        """Let others have them at once. A broker that is away just now is no error."""
        self._loader.shutdown(wait=False, cancel_futures=True)
        try:
            self._claims.release(self._claimed)
        except BrokerError:
            return

    @property
    def _claimed(self) -> list[int]:
        return [*self.open, *([self._loading[0]] if self._loading else [])]
