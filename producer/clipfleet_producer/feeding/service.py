"""The service of a fleet: feeds all unfinished runs of a store."""

import contextlib
import logging
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from clipfleet.clock import SYSTEM, Clock
from clipfleet.errors import BrokerError, StoreError, UsageError
from clipfleet.runs import RunControl
from clipfleet.settings import Settings
from clipfleet_producer.feeding.feeder import Feeder
from clipfleet_producer.feeding.following import step_with_retry
from clipfleet_producer.feeding.limit import DEFAULT_MOST, InFlightLimit
from clipfleet_producer.feeding.observer import FeedObserver
from clipfleet_producer.runs import control
from clipfleet_producer.runs.ending import end_if_done
from clipfleet_producer.runs.model import Run
from clipfleet_producer.runs.sets import check_is_of_set
from clipfleet_producer.runs.store import active_runs

log = logging.getLogger("clipfleet")

LOOK_S = 2.0
END_LOOK_S = 60.0


class _Log(FeedObserver):
    """What is said of one run, as log lines."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id

    def say(self, line: str) -> None:
        log.warning("run %s: %s", self._run_id, line, extra={"action": "feed", "run": self._run_id})


@dataclass(frozen=True)
class _Fed:
    run: Run
    feeder: Feeder


class Service:
    """Feeds a store's runs."""

    def __init__(self, settings: Settings, *, in_flight: int | None, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._settings, self._in_flight = settings, in_flight
        self._store = settings.open_store()
        self._broker, self._app = settings.open_broker(), settings.open_app()
        self._fed: dict[str, _Fed] = {}
        self._passed_over: set[str] = set()  # versions of runs that cannot be fed from here
        self._looked_for_end: dict[str, float] = {}  # the same, and when they were looked through
        self._said: set[str] = set()
        self._looked_at = 0.0

    def serve(self, *, following: bool) -> None:
        """Feed until all runs have finished; with `following`, for ever."""
        try:
            while True:
                if self._clock.monotonic() - self._looked_at >= LOOK_S:
                    with self._waiting("the store"):
                        self._look_for_runs()
                        self._looked_at = self._clock.monotonic()
                for fed in list(self._fed.values()):
                    try:
                        over = step_with_retry(
                            fed.feeder, wait_s=0.25 / len(self._fed), clock=self._clock
                        )
                    except UsageError as error:  # a list that is damaged ends no other run
                        self._pass_over(fed.run, str(error))
                        self._let_go(fed)
                        continue
                    if over:
                        self._end(fed)
                if not self._fed:
                    if not following and self._looked_at:
                        return
                    self._clock.sleep(LOOK_S)
        finally:
            for fed in self._fed.values():
                fed.feeder.close()

    def _look_for_runs(self) -> None:
        for run_id in active_runs(self._store):
            if run_id in self._fed:
                continue
            try:
                run = Run.open(self._store, run_id, allowed=self._settings.sources)
                state = run.control()
            except UsageError as error:  # it is being written, or a newer clipfleet wrote it
                self._say_once(run_id, str(error))
                continue
            if run.head.manifest_version in self._passed_over:
                continue
            if state is None or self._is_over(run, state):
                continue
            if state.embedded:
                continue
            if not self._is_ours(run, state):
                self._say_once(run_id, control.other_fleet(run, state))
                continue
            if run.head.staged_from not in (None, socket.gethostname()):
                self._pass_over(
                    run,
                    f"run {run_id} is of files that lie on {run.head.staged_from}; feed it there: "
                    f"clipfleet feed {run_id}",
                )
                continue
            try:
                check_is_of_set(run)
            except UsageError as error:
                self._pass_over(run, str(error))
                continue
            self._begin(run)

    def _is_over(self, run: Run, state: RunControl) -> bool:
        """Whether a run that is not fed here has finished, as is written where nobody did so."""
        here = run.head.staged_from in (None, socket.gethostname())
        if here and not state.embedded and control.is_of(self._broker, state):
            return False  # its feeder will find out
        version, now = run.head.manifest_version, self._clock.monotonic()
        if now - self._looked_for_end.get(version, -END_LOOK_S) < END_LOOK_S:
            return False
        self._looked_for_end[version] = now
        try:
            return end_if_done(run)
        except UsageError as error:  # a list that is damaged
            self._pass_over(run, str(error))
            return True

    def _is_ours(self, run: Run, state: RunControl) -> bool:
        """Whether the run was submitted to this broker.

        As this service begins, by the broker's address as well: it may have forgotten its name.
        """
        if control.is_of(self._broker, state):
            return True
        if self._looked_at or state.broker != self._broker.address:
            return False
        control.take_over(self._broker, run, state)
        return True

    def _pass_over(self, run: Run, reason: str) -> None:
        self._passed_over.add(run.head.manifest_version)
        self._say_once(run.run_id, reason)

    def _say_once(self, run_id: str, reason: str) -> None:
        if reason not in self._said:
            self._said.add(reason)
            log.warning("%s", reason, extra={"action": "run_passed_over", "run": run_id})

    def _begin(self, run: Run) -> None:
        feeder = Feeder(
            self._app,
            self._broker,
            run,
            _Log(run.run_id),
            lease_s=self._settings.lease_s,
            in_flight_limit=InFlightLimit(self._in_flight or DEFAULT_MOST, clock=self._clock),
            clock=self._clock,
        )
        self._fed[run.run_id] = _Fed(run, feeder)
        log.info(
            "feeding run %s: %d clips",
            run.run_id,
            run.head.clips,
            extra={"action": "run_begun", "run": run.run_id},
        )

    def _end(self, fed: _Fed) -> None:
        counts = fed.feeder.counts
        how = "has finished" if fed.feeder.at_end else "is fed here no more"
        self._let_go(fed)
        log.info(
            "run %s %s: %d of %d clips done, %d with errors",
            fed.run.run_id,
            how,
            counts.done,
            fed.run.head.clips,
            counts.failed,
            extra={"action": "run_over", "run": fed.run.run_id},
        )

    def _let_go(self, fed: _Fed) -> None:
        fed.feeder.close()
        del self._fed[fed.run.run_id]

    @contextlib.contextmanager
    def _waiting(self, on: str) -> Iterator[None]:
        try:
            yield
        except (BrokerError, StoreError) as error:
            log.warning("waiting for %s: %s", on, error, extra={"action": "feed_waiting"})
            self._clock.sleep(0.5)
