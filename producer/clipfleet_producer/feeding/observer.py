"""Whoever wants to know how feeding goes."""

from clipfleet.broker.client import Event
from clipfleet.records import ClipRecord, ManifestLine
from clipfleet.runs import RunCounts


class FeedObserver:
    """Told of each step of feeding a run. Every hook does nothing until it is overridden."""

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
        """The run is done with a clip, perhaps before it was fed; the first few bring records."""

    def on_shard_done(self, counts: RunCounts, *, previously_done: bool) -> None:
        """Clips that other feeders did, perhaps before this one began."""

    def on_status(self, status: str) -> None:
        """A step of feeding is over; `status` says what the workers are doing."""
