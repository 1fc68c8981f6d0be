"""Feeders that share runs, come and go, and are told what to do."""

import socket
import time

import pytest

from clipfleet import keys
from clipfleet.broker import claims
from clipfleet.broker.client import Broker
from clipfleet.errors import UsageError
from clipfleet.records import ManifestLine
from clipfleet.runs import Feeding, RunControl, RunCounts
from clipfleet.settings import read_settings
from clipfleet_producer.feeding.feeder import Feeder
from clipfleet_producer.feeding.service import Service
from clipfleet_producer.runs import control, manifest
from clipfleet_producer.runs.ending import finish, nothing_to_do
from clipfleet_producer.runs.model import CheckedClip, Run
from clipfleet_producer.runs.status import StatusReader
from clipfleet_producer.runs.store import active_runs
from tests.support.feeding import LEASE_S, Scene, lines, record_of, step_until, steps

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
    # A shard may be claimed before it is heard that the other ended it: it was done `before`.
    assert one.others.done + len(one.finished) + len(one.previously_done) == 60


def test_a_shard_whose_clips_are_all_done_is_not_looked_at_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "lines_in", lambda shard: 10)
    scene.write(lines(20))
    first, _ = scene.feeder(in_flight=10)
    step_until(first, lambda: scene.waiting() == 10)
    scene.work_off()
    step_until(first, lambda: scene.run.done.numbers() == {0})
    first.close()
    for line in lines(10):
        scene.store.delete(keys.record(line.clip_uuid))
    second, watcher = scene.feeder()
    step_until(second, lambda: scene.waiting() == 10)
    scene.work_off()
    assert step_until(second, lambda: False)
    assert watcher.others.done == 10
    assert second.total.done == 20


def have_done(scene: Scene, count: int) -> None:
    """The first so many clips have records of another run."""
    for line in lines(count):
        record = record_of(line, run_id="r0")
        scene.store.put(keys.record(line.clip_uuid), record.to_bytes())


def fed_to_the_end(scene: Scene, feeder: Feeder) -> list[str]:
    """Feed a run to its end; the clips that were fed."""
    fed: list[str] = []
    while not feeder.step(wait_s=0.02):
        fed += scene.work_off()
    return fed


def test_a_list_that_another_run_did_most_of_is_fed_from_where_that_left_off(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "lines_in", lambda shard: 10)
    scene.write(lines(200))
    have_done(scene, 125)
    looked: list[str] = []
    check = Run.check

    def noting(run: Run, line: ManifestLine) -> CheckedClip:
        looked.append(line.source)
        return check(run, line)

    monkeypatch.setattr(Run, "check", noting)
    feeder, watcher = scene.feeder(in_flight=5)
    step_until(feeder, lambda: scene.waiting() == 5)
    assert len(looked) < 30, "a few, to find the place, and its shard"
    fed = fed_to_the_end(scene, feeder)
    assert len(fed) == len(set(fed)) == len(watcher.finished) == 75
    assert (feeder.total.done, feeder.total.previously_done) == (200, 125)


@pytest.mark.parametrize("done", [0, 5, 10, 15, 55, 59, 60])
def test_wherever_a_run_left_off_all_of_it_comes_to_its_end(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    monkeypatch.setattr(manifest, "lines_in", lambda shard: 10)
    scene.write(lines(60))
    have_done(scene, done)
    feeder, _ = scene.feeder()
    fed = fed_to_the_end(scene, feeder)
    assert len(fed) == len(set(fed)) == 60 - done
    assert (feeder.total.done, feeder.total.previously_done) == (60, done)


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
    scene.run.set_control(RunControl(feeding=Feeding.PAUSED))
    step_until(feeder, lambda: feeder.blocked_reason == "paused")
    scene.work_off()
    steps(feeder, for_s=1)
    assert len(watcher.finished) == 5
    assert scene.waiting() == 0
    scene.run.set_control(RunControl())
    step_until(feeder, scene.waiting)


def test_whether_there_is_nothing_to_do_is_looked_up_without_writing(scene: Scene) -> None:
    scene.write(lines(3))
    have_done(scene, 3)
    run = Run.open(scene.store, "r1")

    before = {each.key for each in scene.store.list("")}
    assert nothing_to_do(run)
    assert {each.key for each in scene.store.list("")} == before

    finish(run)
    assert StatusReader(run, scene.broker).read().state == "finished"
    assert active_runs(scene.store) == []


def test_a_cancelled_run_is_over_for_its_feeder(scene: Scene) -> None:
    scene.write(lines(20))
    feeder, _ = scene.feeder(in_flight=5)
    step_until(feeder, lambda: scene.waiting() == 5)
    scene.store.delete(keys.active("r1", scene.head.manifest_version))
    assert step_until(feeder, lambda: False)
    assert not feeder.at_end


def test_a_run_that_is_written_anew_is_over_for_those_who_fed_it_before(scene: Scene) -> None:
    scene.write(lines(2))
    feeder, _ = scene.feeder()
    step_until(feeder, lambda: scene.waiting() == 2)
    before = scene.run
    scene.write(lines(3, of="b"))
    scene.work_off()
    assert step_until(feeder, lambda: False)
    before.conclude(feeder.total)  # as who fed it does when it has finished
    assert active_runs(scene.store) == ["r1"]
    second, watcher = scene.feeder()
    step_until(second, lambda: scene.waiting() == 3)
    scene.work_off()
    assert step_until(second, lambda: False)
    assert len(watcher.finished) == 3


def test_a_feeder_gets_its_own_claim_back(scene: Scene) -> None:
    shard_claims = claims.ShardClaims(scene.broker, scene.write(lines(1)), lease_s=LEASE_S)
    assert shard_claims.claim(0) == 0
    assert shard_claims.claim(0) == 0
    other = claims.ShardClaims(scene.broker, scene.head, lease_s=LEASE_S)
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
    assert low.blocked_reason == "run high goes first"
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
    scene.clock.sleep(LEASE_S / 2)
    feeder.step(wait_s=0.01)
    (beat,) = claims.feeders(scene.broker)
    assert (beat.run_id, beat.in_flight, beat.has_pending) == ("r1", 5, True)
    assert beat.open == {0: RunCounts()}


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


def test_status_counts_a_shard_once_that_two_feeders_say_they_have(scene: Scene) -> None:
    scene.write(lines(4))
    for done in (1, 3):
        shard_claims = claims.ShardClaims(scene.broker, scene.head, lease_s=LEASE_S * 5)
        shard_claims.beat(
            claims.FeederBeat(
                run_id="r1",
                feeder=shard_claims.feeder,
                priority=0,
                has_pending=False,
                in_flight=1,
                most_in_flight=64,
                open={0: RunCounts(clips=done, done=done)},
                clips_per_s=0,
                windows_per_s=0,
            )
        )
    assert StatusReader(Run.open(scene.store, "r1"), scene.broker).read().counts.done == 3


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
    assert StatusReader(Run.open(scene.store, "r1"), scene.broker).read().counts.done == 6


# The service.


def begun(scene: Scene, monkeypatch: pytest.MonkeyPatch, *, host: str = "another") -> set[str]:
    """The runs that a service on that host begins."""
    monkeypatch.setattr("clipfleet_producer.feeding.service.socket.gethostname", lambda: host)
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


def test_the_service_takes_the_runs_of_its_own_fleet(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = scene.broker.fleet()
    scene.write(lines(1), "ours", fleet=fleet, broker="redis://by-another-name:6379/0")
    scene.write(lines(1), "before-it-was-wiped", fleet="0", broker=scene.broker.address)
    scene.write(lines(1), "theirs", fleet="1", broker="redis://elsewhere:6379/0")
    scene.write(lines(1), "of-no-fleet")

    assert begun(scene, monkeypatch) == {"ours", "before-it-was-wiped", "of-no-fleet"}
    assert (
        "run theirs was submitted to another fleet, whose broker is redis://elsewhere:6379/0; "
        in (caplog.text)
    )


def test_a_run_of_another_fleet_is_fed_here_once_it_is_told_to_be(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.write(lines(1), "theirs", fleet="1", broker="redis://elsewhere:6379/0")
    with pytest.raises(UsageError, match="clipfleet resume theirs"):
        control.check_fleet(scene.broker, scene.run)

    control.resume(scene.run, scene.broker)

    control.check_fleet(scene.broker, scene.run)
    assert begun(scene, monkeypatch) == {"theirs"}


def test_a_broker_that_forgot_which_fleet_it_serves_is_told_by_who_remembers(scene: Scene) -> None:
    fleet = scene.broker.fleet()
    scene.broker.client.flushall()
    assert scene.broker.fleet() == fleet
    assert Broker(scene.server.url).fleet() == fleet


def test_a_run_that_another_fleet_took_over_is_over_for_who_fed_it(scene: Scene) -> None:
    scene.write(lines(2), fleet=scene.broker.fleet(), broker=scene.broker.address)
    feeder, _ = scene.feeder()
    step_until(feeder, lambda: scene.waiting() == 2)
    state = scene.run.control()
    assert state is not None
    taken = state.model_copy(update={"fleet": "1", "broker": scene.broker.address})
    scene.run.set_control(taken)

    assert step_until(feeder, lambda: False)
    assert not feeder.at_end
    control.check_fleet(scene.broker, scene.run)
    back = scene.run.control()
    assert back is not None
    assert back.fleet == scene.broker.fleet(), "asked for here, under the address of its own"


def test_a_service_under_way_takes_over_no_run_for_its_address_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = read_settings(broker=scene.server.url, store=scene.store.uri)
    service = Service(settings, in_flight=None)
    service._looked_at = 1.0
    scene.write(lines(1), "theirs", fleet="1", broker=scene.broker.address)
    service._look_for_runs()
    assert not service._fed
