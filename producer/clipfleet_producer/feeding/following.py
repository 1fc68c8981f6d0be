"""Following a run to its end: what people see meanwhile, and what they are told of it then."""

from collections.abc import Callable, Collection

from rich.console import Console

from clipfleet.broker.client import Broker, Event
from clipfleet.clock import SYSTEM, Clock
from clipfleet.errors import BrokerError, StoreError
from clipfleet.options import Options
from clipfleet.printable import printable
from clipfleet.queues import GPU_QUEUES, wanted_queues, window_queues
from clipfleet.records import ClipRecord, ManifestLine
from clipfleet.runs import LOST, RunCounts, count_record
from clipfleet.settings import Settings
from clipfleet_producer.feeding.feeder import Feeder, UnrecoverableStoreError
from clipfleet_producer.feeding.in_flight import DEFAULT_MOST, FIRST, InFlightLimit
from clipfleet_producer.feeding.progress import Tally, View
from clipfleet_producer.feeding.sample import Sample
from clipfleet_producer.runs import manifest
from clipfleet_producer.runs.model import Run

STEP_S = 0.25


class ProgressObserver:
    """Counts what is done and shows it; keeps a few clips for the report."""

    def __init__(self, tally: Tally, say: Callable[[str], None]) -> None:
        self._tally, self._say = tally, say
        self.counts = RunCounts()
        self.sample = Sample()
        self.interrupted = self.left_off = False

    def say(self, line: str) -> None:
        """Print a line above the progress."""
        self._say(line)

    def on_event(self, event: Event) -> None:
        """Count a step."""
        self._tally.note(event)

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
            self._tally.already_done += 1
        else:
            self._tally.finish(line.clip_uuid, valid=not (counts.failed or counts.lost))

    def on_shard_done(self, counts: RunCounts, *, previously_done: bool) -> None:
        """Count clips of a shard that others did."""
        self.counts += counts
        self.sample.count += counts.clips
        if previously_done:
            self._tally.already_done += counts.clips
        else:
            self._tally.finished += counts.clips
            self._tally.failed += counts.failed + counts.lost


def follow(
    run: Run,
    options: Options,
    settings: Settings,
    console: Console,
    *,
    in_flight: int | None,
    check: Callable[[int], list[str]] = lambda progress: [],
    fatal: Collection[str] = (),
) -> ProgressObserver:
    """Feed the run to its end, or until Ctrl-C, and show how it goes.

    `check` looks after the workers, if they are ours, told how far the run is.
    """
    broker = settings.open_broker()
    tally = Tally(clips=run.head.clips)
    watch = _WorkerWatch(broker, options)
    with View(console, tally, steps=window_queues(options)) as view:
        screen = ProgressObserver(tally, view.say)
        most = in_flight or DEFAULT_MOST
        feeder = _feeder(run, settings, broker, screen, most=most, fatal=fatal)
        try:
            while not step_with_retry(feeder):
                for line in check(tally.progress):
                    view.say(line)
                view.update(watch.line())
            screen.left_off = not feeder.at_end
        except KeyboardInterrupt:
            screen.interrupted = True
        finally:
            feeder.close()
    broker.close()
    return screen


def _feeder(
    run: Run,
    settings: Settings,
    broker: Broker,
    screen: ProgressObserver,
    *,
    most: int,
    fatal: Collection[str] = (),
) -> Feeder:
    return Feeder(
        settings.open_app(),
        broker,
        run,
        screen,
        lease_s=settings.lease_s,
        in_flight_limit=InFlightLimit(most),
        fatal=fatal,
    )


def fill(
    run: Run,
    settings: Settings,
    console: Console,
    *,
    in_flight: int | None,
    clock: Clock = SYSTEM,
) -> tuple[RunCounts, int, str]:
    """Put as many clips on the queues as may be in flight, waiting a minute for broker and store.

    Returns what is done already, how many are in flight, and why no more are, if they could be.
    """
    broker = settings.open_broker()
    tally = Tally(clips=run.head.clips)
    screen = ProgressObserver(tally, lambda line: console.print(printable(line), markup=False))
    feeder = _feeder(run, settings, broker, screen, most=in_flight or FIRST)
    try:
        for wait_s in (1, 2, 4, 8, 16, 32, 0):
            try:
                with console.status("feeding"):
                    in_flight_now = feeder.fill()
                break
            except (BrokerError, StoreError):
                if not wait_s:
                    raise
                clock.sleep(wait_s)
        return screen.counts, in_flight_now, feeder.blocked_reason
    finally:
        feeder.close()
        broker.close()


def step_with_retry(feeder: Feeder, *, wait_s: float = STEP_S, clock: Clock = SYSTEM) -> bool:
    """A step of the feeder, what passes said and waited for; whether the run is over."""
    try:
        return feeder.step(wait_s=wait_s)
    except UnrecoverableStoreError:
        raise
    except (BrokerError, StoreError) as error:
        feeder.say_once(f"waiting: {error}")
        clock.sleep(0.5)
        return False


class _WorkerWatch:
    """Says which of the queues that a run needs have no live worker, looking once a second."""

    def __init__(self, broker: Broker, options: Options, clock: Clock = SYSTEM) -> None:
        self._broker, self._clock = broker, clock
        self._needed = wanted_queues(options)
        self._line, self._looked_at = "starting", 0.0

    def line(self) -> str:
        """What to show beside the bars."""
        now = self._clock.monotonic()
        if now - self._looked_at > 1.0:
            self._looked_at = now
            try:
                served = {queue for beat in self._broker.workers() for queue in beat.queues}
            except BrokerError:
                self._line = "the broker is away"
            else:
                missing = [queue for queue in self._needed if queue not in served]
                self._line = _waiting_for(missing)
        return self._line


def _waiting_for(queues: list[str]) -> str:
    if not queues:
        return "working"
    on = " and ".join(queues)
    if set(queues) <= set(GPU_QUEUES):
        return f"waiting for the {on} worker, which loads its model"
    return f"waiting for workers: {', '.join(queues)}"


def nothing_to_do(run: Run) -> bool:
    """Whether all of the run's clips are done; looks no further than the first that is not."""
    done = manifest.done_shards(run.store, run.head)
    for shard in range(run.head.shards):
        if shard in done:
            continue
        counts = RunCounts()
        clips = list(run.look_up(manifest.read_shard(run.store, run.head, shard)))
        for found in clips:
            if found.record is None:
                return False
            counts += count_record(found.record, run.run_id)
        manifest.write_done(run.store, run.head, shard, counts)
    return True


def count_done(run: Run) -> ProgressObserver:
    """What there is of a run whose clips are all done, counted from their records."""
    screen = ProgressObserver(Tally(clips=run.head.clips), lambda line: None)
    for shard in range(run.head.shards):
        for found in run.look_up(manifest.read_shard(run.store, run.head, shard)):
            # By whichever run: this one did nothing.
            counts = LOST if found.record is None else count_record(found.record, "")
            screen.on_clip_done(found.line, found.record, counts, previously_done=True)
    return screen
