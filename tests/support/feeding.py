"""A run being fed, with nobody at work: what the tests of feeders share."""

import base64
import json
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from clipfleet import keys
from clipfleet.broker.client import Broker, Event
from clipfleet.options import Options
from clipfleet.queues import PREPARE, make_app
from clipfleet.records import ClipRecord, ManifestLine
from clipfleet.runs import RunControl, RunCounts, RunHead
from clipfleet.store import Store
from clipfleet_producer.feeding.feeder import Feeder
from clipfleet_producer.feeding.limit import InFlightLimit
from clipfleet_producer.feeding.observer import FeedObserver
from clipfleet_producer.runs.model import Run
from clipfleet_producer.runs.writing import write_run
from tests.support.broker import BrokerServer
from tests.support.clock import ManualClock
from tests.support.records import clip_record

OPTIONS = Options()
# A claim in the broker lives so long by the broker's own clock, which no test moves.
LEASE_S = 1.0
WAIT_S = 0.05  # for news, in each step: it passes on the scene's clock, at once


def lines(count: int, *, of: str = "a") -> list[ManifestLine]:
    """So many clips in S3."""
    sources = [f"s3://bucket/{of}/{number}.mp4" for number in range(count)]
    return [ManifestLine(clip_uuid=keys.clip_uuid(each), source=each) for each in sources]


def record_of(line: ManifestLine, **fields: object) -> ClipRecord:
    """A record of the clip that run `r1` wrote."""
    whole, now = clip_record(OPTIONS), datetime.now(UTC).isoformat(timespec="seconds")
    always = {"span_uuid": line.clip_uuid, "num_bytes": None, "finished_at": now}
    return whole.model_copy(update={**always, **fields})


class Watcher(FeedObserver):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.finished: list[str] = []
        self.previously_done: list[str] = []
        self.others = RunCounts()

    def say(self, line: str) -> None:
        self.said.append(line)

    def on_clip_done(
        self,
        line: ManifestLine,
        record: ClipRecord | None,
        counts: RunCounts,
        *,
        previously_done: bool,
    ) -> None:
        (self.previously_done if previously_done else self.finished).append(line.clip_uuid)

    def on_shard_done(self, counts: RunCounts, *, previously_done: bool) -> None:
        self.others += counts


class Scene:
    """A broker that no worker serves, a store, and feeders."""

    def __init__(self, server: BrokerServer, store: Store) -> None:
        self.server, self.store = server, store
        self.broker = Broker(server.url)
        self._app = make_app(server.url, lease_s=LEASE_S)
        self.feeders: list[Feeder] = []
        self.clock = ManualClock()

    def write(self, clips: list[ManifestLine], run_id: str = "r1", **more: Any) -> RunHead:
        orders = {name: more.pop(name) for name in [*more] if name in RunControl.model_fields}
        control = RunControl(**orders)
        self.run = write_run(self.store, run_id, OPTIONS, clips, control=control, **more)
        self.head = self.run.head
        return self.head

    def feeder(
        self, run_id: str = "r1", *, in_flight: int = 64, lease_s: float = LEASE_S
    ) -> tuple[Feeder, Watcher]:
        watcher = Watcher()
        run = Run.open(self.store, run_id)
        made = Feeder(
            self._app,
            self.broker,
            run,
            watcher,
            lease_s=lease_s,
            in_flight_limit=InFlightLimit(in_flight, clock=self.clock),
            clock=self.clock,
        )
        self.feeders.append(made)
        return made, watcher

    def waiting(self) -> int:
        return self.broker.backlog()[PREPARE]

    def jobs(self) -> list[dict[str, Any]]:
        """What waits, the last that was fed first."""
        return [job_in(str(text)) for text in self.broker.client.lrange(PREPARE, 0, -1)]

    def work_off(self, *, telling: bool = True, **fields: object) -> list[str]:
        """Do what a fleet would with all that waits; returns the clips."""
        done = []
        while text := self.broker.client.lpop(PREPARE):
            job = job_in(str(text))
            line = ManifestLine(clip_uuid=job["clip_uuid"], source=job["source"])
            record = record_of(line, run_id=job["run_id"], **fields)
            self.store.put(keys.record(line.clip_uuid), record.to_bytes())
            if telling:
                event = Event(step="assemble", clip_uuid=line.clip_uuid, status="ok")
                self.broker.emit(job["run_id"], event)
            done.append(line.clip_uuid)
        return done


def job_in(message: str | bytes) -> dict[str, Any]:
    """The job in a message as it lies on a queue."""
    ((job,), *_) = json.loads(base64.b64decode(json.loads(message)["body"]))
    assert isinstance(job, dict)
    return job


def step_until(feeder: Feeder, what: Callable[[], object], *, within_s: float = 20) -> bool:
    """Step until something holds, for so long by the true time; whether the run was over before."""
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, "it did not come to that"
        if feeder.step(wait_s=WAIT_S):
            return True
    return False


def steps(feeder: Feeder, *, for_s: float) -> None:
    """Step for a while by the scene's clock, in which the run must not finish."""
    for _ in range(math.ceil(for_s / WAIT_S)):
        assert not feeder.step(wait_s=WAIT_S)
