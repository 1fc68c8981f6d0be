"""How far a run is, counted from what workers and feeders say."""

from collections.abc import Sequence
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
    queues: Sequence[str] = WINDOW_QUEUES  # that each of its windows goes through
    already_done: int = 0
    finished: int = 0
    failed: int = 0
    windows: int = 0
    steps: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WINDOW_QUEUES, 0))
    clock: Clock = SYSTEM
    _seen: dict[str, set[tuple[str, int]]] = field(default_factory=dict)
    _prepared: dict[str, int] = field(default_factory=dict)  # windows of clips that are not done
    _done_clips: int = 0  # that have windows, and
    _done_windows: int = 0  # those
    _ready: tuple[float, int] | None = None  # when the workers were, and windows done by then

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
            self._prepared[event.clip_uuid] = event.windows
        elif event.step in self.steps:
            self.steps[event.step] += 1

    def finish(self, clip_uuid: str, counts: RunCounts) -> None:
        """Count a clip that is done."""
        self._seen.pop(clip_uuid, None)
        self._prepared.pop(clip_uuid, None)
        self.add(counts)

    def add(self, counts: RunCounts) -> None:
        """Count clips that are done."""
        self.finished += counts.clips
        self.failed += counts.failed + counts.lost
        self._done_clips += counts.done - counts.windowless
        self._done_windows += counts.windows

    def workers_ready(self) -> None:
        """Workers serve all of the run's queues: what is done from now on tells how fast it goes.

        Before, a model is loaded, while clips that cannot be captioned fail at once.
        """
        if self._ready is None:
            self._ready = (self.clock.monotonic(), self.windows_done)

    @property
    def windows_done(self) -> int:
        """Windows that have been through all of their queues, as far as is known."""
        slowest = min((self.steps[queue] for queue in self.queues), default=0)
        return max(slowest, self._done_windows)

    def windows_per_s(self) -> float | None:
        """Windows done a second since the workers were ready; None where that is not known."""
        if self._ready is None:
            return None
        since, before = self._ready
        done, seconds = self.windows_done - before, self.clock.monotonic() - since
        return done / seconds if done > 0 and seconds > 0 else None

    def seconds_left(self) -> float | None:
        """Seconds to the end at the windows a second so far; None where that is not known.

        Clips of which nothing is known yet are taken to have as many windows as those that have
        any: those that failed at once say nothing of the others.
        """
        rate = self.windows_per_s()
        prepared = [windows for windows in self._prepared.values() if windows]
        clips, known = self._done_clips + len(prepared), self._done_windows + sum(prepared)
        if not rate or not clips:
            return None
        unknown = max(0, self.todo - self.finished - len(self._prepared))
        return max(0.0, known - self.windows_done + unknown * known / clips) / rate


class ProgressObserver(FeedObserver):
    """Counts what is done, and keeps a few clips for a report."""

    def __init__(self, clips: int, queues: Sequence[str] = WINDOW_QUEUES) -> None:
        """`queues` are those that each of the run's windows goes through."""
        self.tally = Tally(clips=clips, queues=queues)
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
            self.tally.finish(line.clip_uuid, counts)

    def on_shard_done(self, counts: RunCounts, *, previously_done: bool) -> None:
        """Count clips of a shard that others did."""
        self.counts += counts
        self.sample.count += counts.clips
        if previously_done:
            self.tally.already_done += counts.clips
        else:
            self.done_now += counts.done
            self.tally.add(counts)
