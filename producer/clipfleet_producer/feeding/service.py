"""`clipfleet feed`: feeds all runs of a store that are not at their end."""

import contextlib
import logging
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from clipfleet.broker.client import Event
from clipfleet.clock import SYSTEM, Clock
from clipfleet.errors import BrokerError, StoreError, UsageError
from clipfleet.records import ClipRecord, ManifestLine
from clipfleet.runs import RunControl, RunCounts, RunHead
from clipfleet.settings import Settings
from clipfleet_producer.feeding.feeder import Feeder
from clipfleet_producer.feeding.following import step_with_retry
from clipfleet_producer.feeding.in_flight import DEFAULT_MOST, InFlightLimit
from clipfleet_producer.runs import control, manifest
from clipfleet_producer.runs.model import Run

log = logging.getLogger("clipfleet")

LOOK_S = 2.0


class _Log:
    """What is said of one run, as log lines."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id

    def say(self, line: str) -> None:
        log.warning("run %s: %s", self._run_id, line, extra={"action": "feed", "run": self._run_id})

    def on_event(self, event: Event) -> None:
        pass

    def on_clip_done(
        self,
        line: ManifestLine,
        record: ClipRecord | None,
        counts: RunCounts,
        *,
        previously_done: bool,
    ) -> None:
        pass

    def on_shard_done(self, counts: RunCounts, *, previously_done: bool) -> None:
        pass


@dataclass(frozen=True)
class _Fed:
    head: RunHead
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
        self._said: set[str] = set()
        self._looked_at = 0.0

    def serve(self, *, following: bool) -> None:
        """Feed until all runs are at their end; with `following`, for ever."""
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
                        self._pass_over(fed.head, str(error))
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
        for run_id in manifest.active_runs(self._store):
            if run_id in self._fed:
                continue
            try:
                head = manifest.read_head(self._store, run_id)
                state = manifest.read_state(self._store, head)
            except UsageError as error:  # it is being written, or a newer clipfleet wrote it
                self._say_once(run_id, str(error))
                continue
            if head.manifest_version in self._passed_over:
                continue
            if state is None or state.embedded:
                continue
            if not self._is_ours(head, state):
                self._say_once(run_id, control.left_to(run_id, state))
                continue
            if head.staged_from not in (None, socket.gethostname()):
                self._pass_over(
                    head,
                    f"run {run_id} is of files that lie on {head.staged_from}; feed it there: "
                    f"clipfleet feed {run_id}",
                )
                continue
            self._begin(head)

    def _is_ours(self, head: RunHead, state: RunControl) -> bool:
        """Whether the run was submitted to this broker.

        As this service begins, by the broker's address as well: it may have forgotten its name.
        """
        if control.is_of(self._broker, state):
            return True
        if self._looked_at or state.broker != self._broker.address:
            return False
        control.take_over(self._broker, self._store, head, state)
        return True

    def _pass_over(self, head: RunHead, reason: str) -> None:
        self._passed_over.add(head.manifest_version)
        self._say_once(head.run_id, reason)

    def _say_once(self, run_id: str, reason: str) -> None:
        if reason not in self._said:
            self._said.add(reason)
            log.warning("%s", reason, extra={"action": "run_passed_over", "run": run_id})

    def _begin(self, head: RunHead) -> None:
        feeder = Feeder(
            self._app,
            self._broker,
            Run(head=head, store=self._store, allowed=self._settings.sources),
            _Log(head.run_id),
            lease_s=self._settings.lease_s,
            in_flight_limit=InFlightLimit(self._in_flight or DEFAULT_MOST, clock=self._clock),
            clock=self._clock,
        )
        self._fed[head.run_id] = _Fed(head, feeder)
        log.info(
            "feeding run %s: %d clips",
            head.run_id,
            head.clips,
            extra={"action": "run_begun", "run": head.run_id},
        )

    def _end(self, fed: _Fed) -> None:
        total = fed.feeder.total
        self._let_go(fed)
        log.info(
            "run %s is over: %d of %d clips done, %d with errors",
            fed.head.run_id,
            total.done,
            fed.head.clips,
            total.failed,
            extra={"action": "run_over", "run": fed.head.run_id},
        )

    def _let_go(self, fed: _Fed) -> None:
        fed.feeder.close()
        del self._fed[fed.head.run_id]

    @contextlib.contextmanager
    def _waiting(self, on: str) -> Iterator[None]:
        try:
            yield
        except (BrokerError, StoreError) as error:
            log.warning("waiting for %s: %s", on, error, extra={"action": "feed_waiting"})
            self._clock.sleep(0.5)
