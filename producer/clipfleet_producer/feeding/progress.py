"""How far a run is, counted from what workers and feeders say."""

from dataclasses import dataclass, field

from clipfleet.broker.client import Event
from clipfleet.clock import SYSTEM, Clock
from clipfleet.queues import PREPARE, WINDOW_QUEUES
from clipfleet.records import ClipRecord, ManifestLine
from clipfleet.runs import RunCounts
from clipfleet_producer.feeding.observer import FeedObserver
from clipfleet_producer.feeding.sample import Sample


@dataclass
class Tally:
    """Counts of one run. Each window's step counts once, however often it is reported."""

    clips: int
    already_done: int = 0
    finished: int = 0
    failed: int = 0
    windows: int = 0
    steps: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WINDOW_QUEUES, 0))
    clock: Clock = SYSTEM
    _seen: dict[str, set[tuple[str, int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._started_at = self.clock.monotonic()

    @property
    def todo(self) -> int:
        """Clips that were not done when the run began."""
        return self.clips - self.already_done

    @property
    def progress(self) -> int:
        """Grows with every step and every clip that is done."""
        return self.finished + self.windows + sum(self.steps.values())

    def note(self, event: Event) -> None:
        """Count a step, once."""
        seen = self._seen.setdefault(event.clip_uuid, set())
        mark = (event.step, event.start_frame)
        if mark in seen or event.status == "waiting":
            return
        seen.add(mark)
        if event.step == PREPARE:
            self.windows += event.windows
        elif event.step in self.steps:
            self.steps[event.step] += 1

    def finish(self, clip_uuid: str, *, valid: bool) -> None:
        """Count a clip that is done."""
        self._seen.pop(clip_uuid, None)
        self.finished += 1
        self.failed += not valid

    def clips_per_s(self) -> float:
        """Clips finished a second, since the run began."""
        return self.finished / max(self.clock.monotonic() - self._started_at, 1e-9)

    def seconds_left(self) -> float | None:
        """Seconds to the end at the rate so far; None before the first clip is done."""
        rate = self.clips_per_s()
        return (self.todo - self.finished) / rate if self.finished else None


class ProgressObserver(FeedObserver):
    """Counts what is done, and keeps a few clips for a report."""

    def __init__(self, clips: int) -> None:
        self.tally = Tally(clips=clips)
        self.counts = RunCounts()
        self.done_now = 0  # of those that have records: since this began to look
        self.sample = Sample()

    def on_event(self, event: Event) -> None:
        """Count a step."""
        self.tally.note(event)

    def on_clip_done(
        self,
        line: ManifestLine,
        record: ClipRecord | None,
        counts: RunCounts,
        *,
        previously_done: bool,
    ) -> None:
        """Count a clip."""
        self.counts += counts
        self.sample.add(line, record, kept=record is not None or bool(counts.lost))
        if previously_done:
            self.tally.already_done += 1
        else:
            self.done_now += counts.done
            self.tally.finish(line.clip_uuid, valid=not (counts.failed or counts.lost))

    def on_shard_done(self, counts: RunCounts, *, previously_done: bool) -> None:
        """Count clips of a shard that others did."""
        self.counts += counts
        self.sample.count += counts.clips
        if previously_done:
            self.tally.already_done += counts.clips
        else:
            self.done_now += counts.done
            self.tally.finished += counts.clips
            self.tally.failed += counts.failed + counts.lost
