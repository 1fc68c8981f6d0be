"""Feeding a run: only a record in the store ends a clip, whatever broker and other feeders say."""

import base64
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clipfleet import feedboard, keys
from clipfleet.broker import Broker, Event
from clipfleet.errors import BrokerError, StoreError
from clipfleet.messages import ClipJob
from clipfleet.options import Options
from clipfleet.queues import PREPARE, make_app, send_clip
from clipfleet.records import ClipRecord, ManifestLine
from clipfleet.runs import Feeding, RunHead, RunState, Standing
from clipfleet.settings import read_settings
from clipfleet.store.folder import FolderStore
from producer import manifest
from producer.feed import Run
from producer.feeder import Feeder
from producer.pace import Pace
from producer.service import Service
from producer.standing import Reader
from tests.broker import BrokerServer
from tests.unit.records import clip_record

pytestmark = pytest.mark.integration

OPTIONS = Options()
LEASE_S = 1.0


def lines(count: int, *, of: str = "a") -> list[ManifestLine]:
    """So many clips in S3."""
    sources = [f"s3://bucket/{of}/{number}.mp4" for number in range(count)]
    return [ManifestLine(clip_uuid=keys.clip_uuid(each), source=each) for each in sources]


def record_of(line: ManifestLine, **fields: object) -> ClipRecord:
    """A record of the clip that run `r1` wrote."""
    whole = clip_record(options_hash=OPTIONS.hash)
    return whole.model_copy(update={"span_uuid": line.clip_uuid, "num_bytes": None, **fields})


class Watcher:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.finished: list[str] = []
        self.before: list[str] = []
        self.others = Standing()

    def say(self, line: str) -> None:
        self.said.append(line)

    def heard(self, event: Event) -> None: ...

    def done(
        self, line: ManifestLine, record: ClipRecord | None, counts: Standing, *, before: bool
    ) -> None:
        (self.before if before else self.finished).append(line.clip_uuid)

    def brought(self, counts: Standing, *, before: bool) -> None:
        self.others += counts


class Scene:
    """A broker that no worker serves, a store, and feeders."""

    def __init__(self, server: BrokerServer, store: FolderStore) -> None:
        self.server, self.store = server, store
        self.broker = Broker(server.url)
        self._app = make_app(server.url, lease_s=LEASE_S)
        self.feeders: list[Feeder] = []

    def write(self, clips: list[ManifestLine], run_id: str = "r1", **more: Any) -> RunHead:
        self.head = manifest.write_run(self.store, run_id, OPTIONS, clips, **more)
        return self.head

    def feeder(
        self, run_id: str = "r1", *, in_flight: int = 64, lease_s: float = LEASE_S
    ) -> tuple[Feeder, Watcher]:
        watcher = Watcher()
        run = Run(head=manifest.read_head(self.store, run_id), store=self.store)
        made = Feeder(self._app, self.broker, run, watcher, lease_s=lease_s, pace=Pace(in_flight))
        self.feeders.append(made)
        return made, watcher

    def waiting(self) -> int:
        return self.broker.backlog()[PREPARE]

    def work_off(self, *, telling: bool = True, **fields: object) -> list[str]:
        """Do what a fleet would with all that waits; returns the clips."""
        done = []
        while text := self.broker.client.lpop(PREPARE):
            ((job,), *_) = json.loads(base64.b64decode(json.loads(str(text))["body"]))
            line = ManifestLine(clip_uuid=job["clip_uuid"], source=job["source"])
            record = record_of(line, run_id=job["run_id"], **fields)
            self.store.put(keys.record(line.clip_uuid), record.to_bytes())
            if telling:
                event = Event(step="assemble", clip_uuid=line.clip_uuid, status="ok")
                self.broker.emit(job["run_id"], event)
            done.append(line.clip_uuid)
        return done


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BrokerServer]:
    with BrokerServer(tmp_path) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    made = FolderStore(tmp_path / "out")
    made.prepare()
    return made


@pytest.fixture
def scene(server: BrokerServer, store: FolderStore) -> Iterator[Scene]:
    made = Scene(server, store)
    yield made
    for feeder in made.feeders:
        feeder.close()
    made.broker.close()


def step_until(feeder: Feeder, what: Callable[[], object], *, within_s: float = 20) -> bool:
    """Step until something holds; whether the run was over before."""
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, "it did not come to that"
        if feeder.step(wait_s=0.05):
            return True
    return False


def steps(feeder: Feeder, *, for_s: float) -> None:
    """Step for a while, in which the run must not come to its end."""
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        assert not feeder.step(wait_s=0.05)


def test_no_more_clips_are_in_flight_than_asked_for_and_all_come_to_their_end(
    scene: Scene,
) -> None:
    scene.write(lines(25))
    feeder, watcher = scene.feeder(in_flight=10)
    most = 0
    while not feeder.step(wait_s=0.05):
        most = max(most, scene.waiting())
        scene.work_off()
    assert most == 10
    assert sorted(watcher.finished) == sorted(line.clip_uuid for line in lines(25))
    assert feeder.total.done == 25


def test_an_event_of_before_ends_nothing(scene: Scene) -> None:
    (line,) = lines(1)
    scene.broker.emit("r1", Event(step="assemble", clip_uuid=line.clip_uuid, status="ok"))
    scene.write([line])
    feeder, watcher = scene.feeder()
    steps(feeder, for_s=1)
    assert watcher.finished == []


def test_a_record_that_nobody_told_of_is_found(scene: Scene) -> None:
    scene.write(lines(1))
    feeder, watcher = scene.feeder()
    step_until(feeder, scene.waiting)
    scene.work_off(telling=False)
    assert step_until(feeder, lambda: False)
    assert len(watcher.finished) == 1


def test_completions_that_fell_out_of_the_events_are_looked_for_at_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipfleet.broker.EVENTS_KEPT", 100)
    scene.write(lines(2))
    feeder, watcher = scene.feeder()
    step_until(feeder, lambda: scene.waiting() == 2)
    scene.broker.emit("r1", Event(step="prepare", clip_uuid=lines(2)[0].clip_uuid, status="ok"))
    feeder.step(wait_s=0.05)
    (first, _) = scene.work_off()
    for _ in range(400):  # Redis trims its streams by the hundred
        scene.broker.emit("r1", Event(step="preview", clip_uuid=first, status="ok"))
    assert feeder.step(wait_s=0.05) or feeder.step(wait_s=0.05)
    assert len(watcher.finished) == 2


def test_a_clip_whose_message_was_lost_is_fed_again(scene: Scene) -> None:
    scene.write(lines(1))
    feeder, _ = scene.feeder()
    step_until(feeder, scene.waiting)
    scene.broker.client.flushall()
    step_until(feeder, scene.waiting)


def test_a_broker_that_is_away_raises_and_the_next_step_goes_on(scene: Scene) -> None:
    scene.write(lines(1))
    feeder, watcher = scene.feeder()
    scene.server.kill()
    with pytest.raises(BrokerError):
        steps(feeder, for_s=5)
    scene.server.start()
    step_until(feeder, scene.waiting)
    scene.work_off()
    assert step_until(feeder, lambda: False)
    assert len(watcher.finished) == 1


def test_a_store_that_fails_in_mid_step_loses_no_clip(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.write(lines(3))
    feeder, watcher = scene.feeder()
    step_until(feeder, lambda: scene.waiting() == 3)
    scene.work_off()
    real = manifest.write_done

    def fails(*_: object) -> None:
        monkeypatch.setattr(manifest, "write_done", real)
        raise StoreError("away")

    monkeypatch.setattr(manifest, "write_done", fails)
    with pytest.raises(StoreError):
        steps(feeder, for_s=5)
    assert step_until(feeder, lambda: False)
    assert len(watcher.finished) == 3
    assert feeder.total.done == 3


def test_sending_to_a_broker_that_is_away_raises_an_error_of_ours(server: BrokerServer) -> None:
    server.kill()
    (line,) = lines(1)
    job = ClipJob(
        run_id="r1", clip_uuid=line.clip_uuid, options_hash=OPTIONS.hash, source=line.source
    )
    with pytest.raises(BrokerError, match="takes no message"):
        send_clip(make_app(server.url, lease_s=1), job)


# Feeders that come and go.


def test_the_next_feeder_feeds_what_the_last_one_did_not(scene: Scene) -> None:
    scene.write(lines(20))
    first, _ = scene.feeder(in_flight=5)
    step_until(first, lambda: scene.waiting() == 5)  # and dies: its claims run out
    second, watcher = scene.feeder(in_flight=20)
    step_until(second, lambda: scene.waiting() == 20)
    assert len(set(scene.work_off())) == 20, "none twice"
    assert step_until(second, lambda: False)
    assert len(watcher.finished) == 20


def test_a_feeder_that_is_told_to_stop_lets_the_next_go_on_at_once(scene: Scene) -> None:
    scene.write(lines(20))
    first, _ = scene.feeder(in_flight=5)
    step_until(first, lambda: scene.waiting() == 5)
    first.close()
    second, _ = scene.feeder(in_flight=20)
    step_until(second, lambda: scene.waiting() == 20, within_s=LEASE_S / 2)


def test_two_feeders_share_a_run_and_feed_no_clip_twice(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "lines_in", lambda shard: 10)
    scene.write(lines(60))
    (first, one), (second, two) = scene.feeder(in_flight=10), scene.feeder(in_flight=10)
    fed: list[str] = []
    ended = [False, False]
    while not all(ended):
        for number, feeder in enumerate((first, second)):
            ended[number] = ended[number] or feeder.step(wait_s=0.02)
        fed += scene.work_off()
    assert len(fed) == len(set(fed)) == 60
    assert one.finished
    assert two.finished
    assert first.total.done == second.total.done == 60
    assert one.others.done + len(one.finished) == 60


def test_a_shard_whose_clips_are_all_done_is_not_looked_at_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "lines_in", lambda shard: 10)
    scene.write(lines(20))
    first, _ = scene.feeder(in_flight=10)
    step_until(first, lambda: scene.waiting() == 10)
    scene.work_off()
    step_until(first, lambda: manifest.done_shards(scene.store, scene.head) == {0})
    first.close()
    for line in lines(10):
        scene.store.delete(keys.record(line.clip_uuid))
    second, watcher = scene.feeder()
    step_until(second, lambda: scene.waiting() == 10)
    scene.work_off()
    assert step_until(second, lambda: False)
    assert watcher.others.done == 10
    assert second.total.done == 20


def test_a_broker_that_was_emptied_has_everything_fed_again_by_the_next_feeder(
    scene: Scene,
) -> None:
    scene.write(lines(5))
    first, _ = scene.feeder()
    step_until(first, lambda: scene.waiting() == 5)
    scene.broker.client.flushall()
    second, _ = scene.feeder()
    step_until(second, lambda: scene.waiting() == 5, within_s=1.5)


# Orders.


def test_a_paused_run_is_not_fed_and_what_is_in_flight_comes_to_its_end(scene: Scene) -> None:
    scene.write(lines(20))
    feeder, watcher = scene.feeder(in_flight=5)
    step_until(feeder, lambda: scene.waiting() == 5)
    manifest.write_state(scene.store, "r1", RunState(feeding=Feeding.PAUSED))
    step_until(feeder, lambda: feeder.held == "paused")
    scene.work_off()
    steps(feeder, for_s=1)
    assert len(watcher.finished) == 5
    assert scene.waiting() == 0
    manifest.write_state(scene.store, "r1", RunState())
    step_until(feeder, scene.waiting)


def test_a_cancelled_run_is_over_for_its_feeder(scene: Scene) -> None:
    scene.write(lines(20))
    feeder, _ = scene.feeder(in_flight=5)
    step_until(feeder, lambda: scene.waiting() == 5)
    scene.store.delete(keys.active("r1"))
    assert step_until(feeder, lambda: False)
    assert not feeder.at_end


def test_a_run_that_is_written_anew_is_over_for_those_who_fed_it_before(scene: Scene) -> None:
    scene.write(lines(2))
    feeder, _ = scene.feeder()
    step_until(feeder, lambda: scene.waiting() == 2)
    scene.write(lines(3, of="b"))
    scene.work_off()
    assert step_until(feeder, lambda: False)
    manifest.conclude(scene.store, feeder._run.head, feeder.total)  # as who fed it does at its end
    assert manifest.active_runs(scene.store) == ["r1"]
    second, watcher = scene.feeder()
    step_until(second, lambda: scene.waiting() == 3)
    scene.work_off()
    assert step_until(second, lambda: False)
    assert len(watcher.finished) == 3


def test_a_feeder_gets_its_own_claim_back(scene: Scene) -> None:
    board = feedboard.FeedBoard(scene.broker, scene.write(lines(1)), lease_s=LEASE_S)
    assert board.claim(0) == 0
    assert board.claim(0) == 0
    other = feedboard.FeedBoard(scene.broker, scene.head, lease_s=LEASE_S)
    assert other.claim(0) is None


def test_the_run_of_the_higher_priority_goes_first(scene: Scene) -> None:
    scene.write(lines(20), "low")
    scene.write(lines(20, of="b"), "high", priority=5)
    (low, low_watcher), (high, _) = (
        scene.feeder("low", in_flight=5),
        scene.feeder("high", in_flight=5),
    )
    step_until(high, lambda: scene.waiting() == 5)
    steps(low, for_s=1)
    assert low.held == "run high goes first"
    assert scene.waiting() == 5
    while not high.step(wait_s=0.02):
        scene.work_off()
    high.close()
    step_until(low, scene.waiting)
    assert low_watcher.finished == []


def test_feeders_say_how_it_goes(scene: Scene) -> None:
    scene.write(lines(20))
    feeder, _ = scene.feeder(in_flight=5)
    step_until(feeder, lambda: scene.waiting() == 5)
    time.sleep(LEASE_S / 2)
    feeder.step(wait_s=0.01)
    (beat,) = feedboard.feeders(scene.broker)
    assert (beat.run_id, beat.in_flight, beat.hungry) == ("r1", 5, True)
    assert beat.open == {0: Standing()}


# What is done already.


def test_a_clip_of_another_size_than_its_record_says_is_done_again(scene: Scene) -> None:
    same, other = (line.model_copy(update={"num_bytes": 5}) for line in lines(2))
    for line, size in ((same, 5), (other, 4)):
        record = record_of(line, num_bytes=size, run_id="r0")
        scene.store.put(keys.record(line.clip_uuid), record.to_bytes())
    scene.write([same, other])
    feeder, watcher = scene.feeder()
    step_until(feeder, scene.waiting)
    assert watcher.before == [same.clip_uuid]
    assert scene.work_off(num_bytes=5) == [other.clip_uuid]
    assert step_until(feeder, lambda: False)


@pytest.mark.parametrize("retry_failed", [False, True])
def test_a_failed_clip_is_done_again_only_when_asked_and_keeps_its_record_till_then(
    scene: Scene, retry_failed: bool
) -> None:
    (line,) = lines(1)
    failed = record_of(line, valid=False, run_id="r0")
    scene.store.put(keys.record(line.clip_uuid), failed.to_bytes())
    part = keys.part(line.clip_uuid, OPTIONS.hash, 0, 255, "caption")
    scene.store.put(part, b"an error of before")
    scene.write([line], retry_failed=retry_failed)
    feeder, watcher = scene.feeder()
    over = step_until(feeder, scene.waiting)
    assert over != retry_failed
    assert scene.store.exists(keys.record(line.clip_uuid))
    assert scene.store.exists(part) != retry_failed, "or it would be taken for done"
    if retry_failed:
        assert scene.work_off(valid=False) == [line.clip_uuid]
        assert step_until(feeder, lambda: False), "its own record ends it, errors or not"
        assert watcher.finished == [line.clip_uuid]


# Between runs and feeders.


def test_a_feeder_that_another_was_quicker_than_knows_the_run_at_its_end(scene: Scene) -> None:
    scene.write(lines(3))
    (first, _), (second, watcher) = scene.feeder(lease_s=30), scene.feeder(lease_s=30)
    step_until(first, lambda: scene.waiting() == 3)
    second.step(wait_s=0.01)
    scene.work_off()
    assert step_until(first, lambda: False)
    assert step_until(second, lambda: False, within_s=5)
    assert second.at_end
    assert second.total.done == watcher.others.done == 3


def test_a_shard_that_two_have_open_is_counted_once(scene: Scene) -> None:
    scene.write(lines(4))
    first, _ = scene.feeder()
    step_until(first, lambda: scene.waiting() == 4)
    time.sleep(1.5 * LEASE_S)  # it stands still, and its claim runs out
    second, _ = scene.feeder()
    step_until(second, lambda: second.in_flight == 4)
    scene.work_off()
    steps_to_the_end = [step_until(second, lambda: False), step_until(first, lambda: False)]
    assert all(steps_to_the_end)
    assert first.total.done == second.total.done == 4


def test_a_record_with_errors_that_another_run_wrote_meanwhile_is_replaced(scene: Scene) -> None:
    (line,) = lines(1)
    scene.write([line], retry_failed=True)
    feeder, watcher = scene.feeder()
    step_until(feeder, scene.waiting)
    scene.broker.client.delete(PREPARE)  # its message found the other's record, and was done
    scene.store.put(
        keys.record(line.clip_uuid), record_of(line, valid=False, run_id="other").to_bytes()
    )
    step_until(feeder, scene.waiting)
    ((job,), *_) = json.loads(
        base64.b64decode(json.loads(str(scene.broker.client.lindex(PREPARE, 0)))["body"])
    )
    assert job["redo"] is True
    scene.work_off()
    assert step_until(feeder, lambda: False)
    assert watcher.finished == [line.clip_uuid]


def test_clips_that_were_given_up_are_looked_for_again_where_that_is_asked_for(
    scene: Scene,
) -> None:
    scene.write(lines(2))
    head = scene.head
    manifest.write_done(scene.store, head, 0, Standing(clips=2, done=1, lost=1))
    manifest.conclude(scene.store, head, Standing(clips=2, done=1, lost=1))
    manifest.reopen(scene.store, head)
    assert manifest.active_runs(scene.store) == ["r1"]
    feeder, _ = scene.feeder()
    step_until(feeder, lambda: scene.waiting() == 2)


def test_a_run_of_which_nothing_was_given_up_stays_at_its_end(scene: Scene) -> None:
    scene.write(lines(1))
    manifest.write_done(scene.store, scene.head, 0, Standing(clips=1, done=1))
    manifest.conclude(scene.store, scene.head, Standing(clips=1, done=1))
    manifest.reopen(scene.store, scene.head)
    assert manifest.active_runs(scene.store) == []


def test_status_counts_a_shard_once_that_two_feeders_say_they_have(scene: Scene) -> None:
    scene.write(lines(4))
    for done in (1, 3):
        board = feedboard.FeedBoard(scene.broker, scene.head, lease_s=LEASE_S * 5)
        board.beat(
            feedboard.FeederBeat(
                run_id="r1",
                feeder=board.feeder,
                priority=0,
                hungry=False,
                in_flight=1,
                most_in_flight=64,
                open={0: Standing(clips=done, done=done)},
                clips_per_s=0,
                windows_per_s=0,
            )
        )
    assert Reader(scene.store, scene.broker, "r1").read().counts.done == 3


def test_status_counts_what_is_begun_and_what_no_feeder_has_open_yet(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "lines_in", lambda shard: 4)
    scene.write(lines(8))
    first, _ = scene.feeder(in_flight=6)
    step_until(first, lambda: scene.waiting() == 6)
    scene.work_off(telling=False)
    first.close()
    second, _ = scene.feeder(in_flight=1)
    second.fill()
    second._keep_claims()
    assert Reader(scene.store, scene.broker, "r1").read().counts.done == 6


# The service.


def begun(scene: Scene, monkeypatch: pytest.MonkeyPatch, *, host: str = "another") -> set[str]:
    """The runs that a service on that host begins."""
    monkeypatch.setattr("producer.service.socket.gethostname", lambda: host)
    settings = read_settings(broker=scene.server.url, store=scene.store.uri)
    service = Service(settings, in_flight=None)
    service._look_for_runs()
    found = set(service._fed)
    for fed in service._fed.values():
        fed.feeder.close()
    return found


def test_the_service_takes_runs_whose_clips_every_machine_reaches(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = ManifestLine(clip_uuid=keys.clip_uuid("file:///a.mp4"), source="file:///a.mp4")
    scene.write(lines(2), "in-s3", staged=True)
    scene.write([here], "of-files", staged=True)
    scene.write([here], "of-shared-files")
    scene.write([here], "of-clipfleet-run", embedded=True)
    assert begun(scene, monkeypatch) == {"in-s3", "of-shared-files"}
    monkeypatch.undo()
    assert "of-files" in begun(scene, monkeypatch, host=socket.gethostname())
