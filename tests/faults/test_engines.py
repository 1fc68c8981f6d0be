"""A GPU worker whose engine fails, dies or hangs: what its windows' messages come to."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from clipfleet import keys
from clipfleet.broker.client import Broker
from clipfleet.errors import ExitCode
from clipfleet.messages import WindowJob
from clipfleet.options import CaptionOptions, Options
from clipfleet.queues import CAPTION, make_app
from clipfleet.records import Part, Status, WindowPlan
from clipfleet.store import open_store
from clipfleet_workers.media.packs import Pack
from tests.support.broker import BrokerServer
from tests.support.records import PLAN, window_plan
from tests.support.tree import python_path

OPTIONS = Options(caption=CaptionOptions(model_variant="mini"))
CLIP = keys.clip_uuid("file:///a.mp4")
# Far longer than a test may take: what comes back does so because it is given back.
LEASE_S = 300.0
ANSWERS, FAILS, DIES, IS_SLOW, HANGS = range(1, 6)


class CaptionFleet:
    """A broker, a store, and caption workers whose engine does as windows' first frames say."""

    def __init__(self, broker: BrokerServer, folder: Path) -> None:
        self.broker, self.folder = Broker(broker.url), folder
        self._store = open_store(str(folder / "out"))
        self._store.prepare()
        self._store.put(keys.run_options("r"), OPTIONS.model_dump_json().encode())
        self._app = make_app(broker.url, lease_s=LEASE_S)
        self._url = broker.url
        self._windows: list[WindowPlan] = []
        self.workers: list[subprocess.Popen[bytes]] = []

    def start(self, *, drain_s: float = 60.0) -> "subprocess.Popen[bytes]":
        env = {
            **os.environ,
            "CLIPFLEET_BROKER": self._url,
            "CLIPFLEET_STORE": str(self.folder / "out"),
            "CLIPFLEET_LEASE_S": str(LEASE_S),
            "CLIPFLEET_DRAIN_S": str(drain_s),
            "SCRIPT_LOG": str(self.folder / "script.log"),
            "PYTHONPATH": python_path(),
        }
        command = [sys.executable, "-P", "-m", "tests.faults.scripted_worker"]
        with (self.folder / "worker.log").open("a") as log:
            worker = subprocess.Popen(command, env=env, stderr=log, stdout=log)
        self.workers.append(worker)
        return worker

    def send(self, *ways: int) -> None:
        spans = [(way, 1000 + number) for number, way in enumerate(ways)]
        self._windows += [window_plan(*span) for span in spans]
        plan = PLAN.model_copy(update={"windows": self._windows})
        self._store.put(keys.Scratch(CLIP, OPTIONS.hash).plan, plan.to_bytes())
        for number, way in enumerate(ways):
            job = WindowJob(
                run_id="r",
                clip_uuid=CLIP,
                options_hash=OPTIONS.hash,
                start_frame=way,
                end_frame=1000 + number,
            )
            frames = np.zeros((4, 28, 28, 3), np.uint8)
            pack = Pack(
                frames=frames, indices=[way, 10, 20, 30], times_s=[0, 1, 2, 3], source_fps=30
            )
            key = keys.Scratch(CLIP, OPTIONS.hash).frames(job.start_frame, job.end_frame)
            self._store.put(key, pack.to_bytes())
            self._app.send_task(CAPTION, args=[job.model_dump()], queue=CAPTION, ignore_result=True)

    def parts(self) -> dict[int, Part]:
        """What was found, by the window's first frame."""
        found = (self.folder / "out").rglob("*.caption.json")
        return {
            int(path.name.partition("_")[0]): Part.model_validate_json(path.read_bytes())
            for path in found
        }

    def requests(self) -> list[tuple[int, int]]:
        """(first frame, how many were in flight with it), in order."""
        log = self.folder / "script.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [(int(way), int(count)) for way, count in (line.split() for line in lines)]

    def wait_for(self, what: str, count: int, within_s: float = 30.0) -> None:
        deadline = time.monotonic() + within_s
        while len(self.parts() if what == "parts" else self.requests()) < count:
            assert time.monotonic() < deadline, (
                what,
                self.folder.joinpath("worker.log").read_text(),
            )
            time.sleep(0.05)

    @property
    def waiting(self) -> int:
        """Messages on the caption queue, in nobody's hands."""
        return self.broker.backlog()[CAPTION]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[CaptionFleet]:
    with BrokerServer(tmp_path) as broker:
        fleet = CaptionFleet(broker, tmp_path)
        try:
            yield fleet
        finally:
            for worker in fleet.workers:
                worker.kill()
                worker.wait()


def test_a_window_that_fails_is_tried_again_alone_and_takes_no_neighbour_with_it(
    fleet: CaptionFleet,
) -> None:
    fleet.send(IS_SLOW, FAILS, ANSWERS)
    fleet.start()
    fleet.wait_for("parts", 3)

    parts = fleet.parts()
    assert {way: part.status for way, part in parts.items()} == {
        IS_SLOW: Status.OK,
        FAILS: Status.ERROR,
        ANSWERS: Status.OK,
    }
    error = parts[FAILS].error
    assert error is not None
    assert (error.error, error.message) == ("EngineFailed", "it cannot do this one")
    tries = [in_flight for way, in_flight in fleet.requests() if way == FAILS]
    assert len(tries) == 2
    assert tries[1] == 1, "the second time it is alone"


def test_a_worker_whose_engine_dies_gives_its_windows_back_and_ends_with_a_code_of_its_own(
    fleet: CaptionFleet,
) -> None:
    fleet.send(HANGS, DIES, HANGS, HANGS)
    worker = fleet.start()

    assert worker.wait(60) == ExitCode.ENGINE_DEAD
    assert fleet.waiting == 4
    assert fleet.parts() == {}
    assert "the scripted engine died" in (fleet.folder / "worker.log").read_text()


def test_a_window_that_kills_every_engine_is_recorded_and_the_others_are_captioned(
    fleet: CaptionFleet,
) -> None:
    fleet.send(IS_SLOW, DIES, ANSWERS)
    deaths = 0
    while len(fleet.parts()) < 3:
        worker = fleet.start()
        while worker.poll() is None and len(fleet.parts()) < 3:
            time.sleep(0.05)
        deaths += worker.poll() == ExitCode.ENGINE_DEAD
        assert deaths <= 3

    parts = fleet.parts()
    assert deaths == 3
    assert parts[ANSWERS].status is parts[IS_SLOW].status is Status.OK
    error = parts[DIES].error
    assert error is not None
    assert error.message == (
        "it ended its worker 3 times and is not tried again (setting max_deliveries)"
    )


def test_a_worker_told_to_stop_ends_what_it_can_and_gives_the_rest_back(
    fleet: CaptionFleet,
) -> None:
    fleet.send(HANGS, IS_SLOW)
    worker = fleet.start(drain_s=2.0)
    fleet.wait_for("requests", 2)
    worker.send_signal(signal.SIGTERM)

    assert worker.wait(30) == ExitCode.OK
    assert set(fleet.parts()) == {IS_SLOW}
    assert fleet.waiting == 1


def test_stopping_workers_again_and_again_is_no_word_against_a_window(
    fleet: CaptionFleet,
) -> None:
    fleet.send(HANGS)
    for number in range(1, 5):
        worker = fleet.start(drain_s=0.0)
        fleet.wait_for("requests", number)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == ExitCode.OK

    assert fleet.parts() == {}
    assert fleet.waiting == 1
