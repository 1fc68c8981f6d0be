"""Feeding one run from here: to its end, or as far as clips may be in flight."""

import enum
from collections.abc import Callable, Collection
from dataclasses import dataclass

from clipfleet.broker.client import Broker
from clipfleet.clock import SYSTEM, Clock
from clipfleet.errors import BrokerError, StoreError
from clipfleet.options import Options
from clipfleet.queues import GPU_QUEUES, wanted_queues
from clipfleet.runs import RunCounts
from clipfleet.settings import Settings
from clipfleet_producer.feeding.feeder import Feeder, UnrecoverableStoreError
from clipfleet_producer.feeding.limit import DEFAULT_MOST, FIRST, InFlightLimit
from clipfleet_producer.feeding.observer import FeedObserver
from clipfleet_producer.feeding.progress import ProgressObserver
from clipfleet_producer.runs.ending import finish
from clipfleet_producer.runs.model import Run

STEP_S = 0.25
# What `on_status` is told while workers serve all queues that the run needs.
WORKING = "working"


class Outcome(enum.Enum):
    """How following a run ended."""

    FINISHED = "finished"
    INTERRUPTED = "interrupted"  # Ctrl-C; what is on the queues goes on
    LEFT = "left"  # it was cancelled, written anew, or taken over by another fleet


@dataclass(frozen=True, kw_only=True)
class Filled:
    """What is on the queues of a run; `blocked_reason` says why no more, if more could be."""

    counts: RunCounts
    in_flight: int
    blocked_reason: str


def follow(
    run: Run,
    options: Options,
    settings: Settings,
    progress: ProgressObserver,
    *,
    in_flight: int | None,
    check: Callable[[int], list[str]] = lambda progress: [],
    fatal: Collection[str] = (),
) -> Outcome:
    """Feed the run to its end, or until Ctrl-C.

    `check` looks after the workers, if they are ours: told how far the run is, it gives lines to
    say. Trouble of a store whose name is in `fatal` raises `UnrecoverableStoreError`.
    """
    broker = settings.open_broker()
    watch = _WorkerWatch(broker, options)
    limit = InFlightLimit(in_flight or DEFAULT_MOST, explicit=in_flight is not None)
    feeder = _feeder(run, settings, broker, progress, limit=limit, fatal=fatal)
    try:
        while not step_with_retry(feeder):
            for line in check(progress.tally.progress):
                progress.say(line)
            progress.on_status(watch.status())
        return Outcome.FINISHED if feeder.at_end else Outcome.LEFT
    except KeyboardInterrupt:
        return Outcome.INTERRUPTED
    finally:
        feeder.close()
        broker.close()


def fill(
    run: Run,
    settings: Settings,
    progress: ProgressObserver,
    *,
    in_flight: int | None,
    clock: Clock = SYSTEM,
) -> Filled:
    """Put as many clips on the queues as may be in flight, waiting a minute for broker and store.

    Raises `BrokerError`, `StoreError`.
    """
    broker = settings.open_broker()
    limit = InFlightLimit(in_flight or FIRST, explicit=in_flight is not None)
    feeder = _feeder(run, settings, broker, progress, limit=limit)
    try:
        for wait_s in (1, 2, 4, 8, 16, 32, 0):
            try:
                in_flight_now = feeder.fill()
                break
            except (BrokerError, StoreError):
                if not wait_s:
                    raise
                clock.sleep(wait_s)
        return Filled(
            counts=progress.counts,
            in_flight=in_flight_now,
            blocked_reason=feeder.blocked_reason,
        )
    finally:
        feeder.close()
        broker.close()


def _feeder(
    run: Run,
    settings: Settings,
    broker: Broker,
    observer: FeedObserver,
    *,
    limit: InFlightLimit,
    fatal: Collection[str] = (),
) -> Feeder:
    return Feeder(
        settings.open_app(),
        broker,
        run,
        observer,
        lease_s=settings.lease_s,
        in_flight_limit=limit,
        fatal=fatal,
    )


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
        self._status, self._looked_at = "starting", 0.0

    def status(self) -> str:
        """What the workers are doing."""
        now = self._clock.monotonic()
        if now - self._looked_at > 1.0:
            self._looked_at = now
            try:
                served = {queue for beat in self._broker.workers() for queue in beat.queues}
            except BrokerError:
                self._status = "the broker is away"
            else:
                missing = [queue for queue in self._needed if queue not in served]
                self._status = _waiting_for(missing)
        return self._status


def _waiting_for(queues: list[str]) -> str:
    if not queues:
        return WORKING
    on = " and ".join(queues)
    if set(queues) <= set(GPU_QUEUES):
        return f"waiting for the {on} worker, which loads its model"
    return f"waiting for workers: {', '.join(queues)}"


def finish_observed(run: Run, observer: FeedObserver) -> None:
    """Write that a run has finished whose clips were all done before, and tell the observer."""
    finish(
        run,
        on_clip=lambda clip, counts: observer.on_clip_done(
            clip.line, clip.record, counts, previously_done=True
        ),
        on_shard=lambda counts: observer.on_shard_done(counts, previously_done=True),
    )
