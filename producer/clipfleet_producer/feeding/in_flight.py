"""The clips of a run that are on the queues, and which of them were lost there."""

from collections.abc import Iterator
from dataclasses import dataclass

from clipfleet.clock import Clock
from clipfleet.runs import RunCounts
from clipfleet_producer.feeding.shards import OpenShard
from clipfleet_producer.runs.model import CheckedClip


@dataclass(kw_only=True)
class ClipInFlight:
    """A clip on the queues. Times are the clock's."""

    clip: CheckedClip
    shard: OpenShard
    heard_at: float
    looked_at: float = 0.0
    feeds: int = 1
    missed: int = 0  # looks in a row that found no message of it


class ClipsInFlight(dict[str, ClipInFlight]):
    """All of them, by their UUIDs."""

    def __init__(self, *, silent_s: float, clock: Clock) -> None:
        super().__init__()
        self._silent_s, self._clock = silent_s, clock

    def land(self, each: ClipInFlight, counts: RunCounts) -> None:
        """The run is done with the clip."""
        del self[each.clip.line.clip_uuid]
        each.shard.in_flight -= 1
        each.shard.counts += counts

    def silent(self) -> list[ClipInFlight]:
        """Those that it is time to look up; sooner where the last look found no message."""
        now = self._clock.monotonic()
        return [
            each
            for each in self.values()
            if now - each.heard_at >= self._silent_s
            and now - each.looked_at >= (0.0 if each.missed else self._silent_s)
        ]

    def lost(
        self, clips: list[ClipInFlight], *, at_hand: set[str] | None, silent_s: float
    ) -> Iterator[ClipInFlight]:
        """Those of these clips, where they are still in flight, of which there is no message.

        `at_hand` are the clips of which there is one. Where nobody could look through them all
        (None), those that nothing was heard of for `silent_s`.
        """
        now = self._clock.monotonic()
        for each in clips:
            name = each.clip.line.clip_uuid
            if name not in self:
                continue
            if at_hand is None:
                lost = now - each.heard_at >= silent_s
            else:
                each.missed = 0 if name in at_hand else each.missed + 1
                # A message that moved as it was looked for is seen the next time.
                lost = each.missed > bool(at_hand)
            if lost:
                each.missed = 0
                yield each
