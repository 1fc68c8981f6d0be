"""Feeding a run: only a record in the store ends a clip, whatever broker and other feeders say."""

import contextlib
import json
from typing import Any

import pytest

from clipfleet import keys
from clipfleet.broker.claims import FeederBeat
from clipfleet.broker.client import Event
from clipfleet.errors import BrokerError, StoreError
from clipfleet.messages import ClipJob
from clipfleet.queues import PREPARE, make_app, send_clip
from clipfleet.records import digest
from clipfleet.runs import RunControl, RunCounts
from clipfleet_producer.feeding import feeder as feeder_module
from clipfleet_producer.feeding import limit
from clipfleet_producer.feeding.feeder import SILENT_BESIDE_OTHERS_S, SILENT_S, Feeder
from clipfleet_producer.runs.done import DoneShards
from clipfleet_producer.runs.store import active_runs
from tests.support.feeding import (
    LEASE_S,
    OPTIONS,
    Scene,
    job_in,
    lines,
    record_of,
    step_until,
    steps,
)
from tests.support.records import SOURCE
from tests.support.waiting import wait_for


def most_waiting(scene: Scene, feeder: Feeder) -> int:
    """Feed a run to its end; the most clips that waited after a step."""
    most = 0
    while not feeder.step(wait_s=0.05):
        most = max(most, scene.waiting())
        scene.clock.sleep(limit.STEP_S)
        scene.work_off()
    return most


def test_no_more_clips_are_in_flight_than_asked_for_and_all_come_to_their_end(
    scene: Scene,
) -> None:
    scene.write(lines(25))
    feeder, watcher = scene.feeder(in_flight=10)
    assert most_waiting(scene, feeder) == 10
    assert sorted(watcher.finished) == sorted(line.clip_uuid for line in lines(25))
    assert feeder.total.done == 25


def test_a_fleet_that_ends_clips_all_the_time_is_given_more_of_them(
    scene: Scene,
) -> None:
    scene.write(lines(1000))
    feeder, _ = scene.feeder(in_flight=500)
    assert most_waiting(scene, feeder) > 2 * limit.FIRST


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
    monkeypatch.setattr("clipfleet.broker.client.EVENTS_KEPT", 100)
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


@pytest.mark.parametrize(
    "beside", [0, 1], ids=["with nothing left to prepare", "beside a busy run"]
)
def test_among_more_messages_than_can_be_looked_through_a_lost_clip_is_fed_again_late(
    scene: Scene, beside: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeder_module, "SCANNED_MESSAGES", 1)
    scene.write(lines(1))
    scene.write(lines(2, of="b"), "other")
    feeder, _ = scene.feeder()
    step_until(feeder, scene.waiting)
    scene.broker.client.flushall()
    other, _ = scene.feeder("other")
    step_until(other, lambda: scene.waiting() == 2)
    if not beside:
        scene.broker.client.rename(PREPARE, "caption")
    scene.clock.sleep(0.9 * SILENT_S)
    steps(feeder, for_s=2)
    assert scene.waiting() == 2 * beside, "so soon it may only be slow"
    scene.clock.sleep(0.2 * SILENT_S)
    if beside:
        steps(feeder, for_s=2)
        assert scene.waiting() == 2, "it may be behind the other run's"
        scene.clock.sleep(SILENT_BESIDE_OTHERS_S)
    step_until(feeder, lambda: scene.waiting() > 2 * beside)


def test_on_a_shared_fleet_a_clip_without_a_message_anywhere_is_fed_again_soon(
    scene: Scene,
) -> None:
    scene.write(lines(3))
    scene.write(lines(2, of="b"), "other")
    feeder, _ = scene.feeder()
    step_until(feeder, lambda: scene.waiting() == 3)
    taken = str(scene.broker.client.lpop(PREPARE))
    held = str(scene.broker.client.lpop(PREPARE))
    scene.broker.client.hset("unacked", "tag", json.dumps([json.loads(held), "", PREPARE]))
    other, _ = scene.feeder("other")
    step_until(other, lambda: scene.waiting() == 3)

    scene.clock.sleep(2 * LEASE_S)
    steps(feeder, for_s=2 * LEASE_S)

    fed = [job["clip_uuid"] for job in scene.jobs()]
    assert len(fed) == 4
    assert fed[0] == job_in(taken)["clip_uuid"]


def test_a_clip_dropped_for_a_cancellation_that_was_taken_back_is_fed_again_at_once(
    scene: Scene,
) -> None:
    scene.write(lines(1))
    feeder, _ = scene.feeder()
    step_until(feeder, scene.waiting)
    (job,) = scene.jobs()
    scene.broker.client.delete(PREPARE)
    dropped = Event(step="assemble", clip_uuid=job["clip_uuid"], status="cancelled")
    scene.broker.emit("r1", dropped)
    step_until(feeder, scene.waiting, within_s=2)
    assert scene.jobs() == [job]


FORGED = {
    "no JSON": {"e": "not json"},
    "no field": {"x": "1"},
    "no object": {"e": "[1]"},
    "nested too deep": {"e": "[" * 100_000},
    "of the wrong type": {"e": '{"step": 1, "clip_uuid": [], "status": {}}'},
}


@pytest.mark.parametrize("forged", FORGED)
def test_an_event_that_is_none_of_ours_is_passed_over(scene: Scene, forged: str) -> None:
    scene.write(lines(1))
    feeder, watcher = scene.feeder()
    step_until(feeder, scene.waiting)
    scene.broker.client.xadd("clipfleet:events:r1", FORGED[forged])  # type: ignore[arg-type]
    scene.work_off()
    assert step_until(feeder, lambda: False)
    assert len(watcher.finished) == 1


@pytest.mark.parametrize("count", ["abc", "-5", "9" * 30, "", "1e3"])
def test_a_count_of_fed_clips_that_is_none_costs_time_and_no_clip(scene: Scene, count: str) -> None:
    head = scene.write(lines(2))
    scene.broker.client.hset(f"clipfleet:fed:r1:{head.manifest_version}", "0", count)
    scene.broker.client.hset(f"clipfleet:fed:r1:{head.manifest_version}", "x", "1")
    feeder, _ = scene.feeder()
    step_until(feeder, lambda: scene.waiting() == 2)


@pytest.mark.parametrize("key", ["clipfleet:events:r1", "clipfleet:fed:r1:{}", PREPARE])
def test_a_key_of_another_kind_is_removed_and_the_run_goes_on(scene: Scene, key: str) -> None:
    head = scene.write(lines(2))
    scene.broker.client.set(key.format(head.manifest_version), "text")
    feeder, _ = scene.feeder()

    def patient() -> bool:
        with contextlib.suppress(BrokerError):
            feeder.step(wait_s=0.05)
        return scene.broker.client.type(PREPARE) == "list"

    wait_for("feeding", patient, 20)
    assert scene.waiting() == 2


def test_a_claim_that_no_feeder_renews_ends_though_it_was_made_for_ever(scene: Scene) -> None:
    head = scene.write(lines(2))
    scene.broker.client.set(f"clipfleet:claim:r1:{head.manifest_version}:0", "nobody")
    feeder, _ = scene.feeder()
    step_until(feeder, lambda: scene.waiting() == 2)


def test_a_feeder_that_only_says_that_it_goes_first_keeps_nobody_waiting(scene: Scene) -> None:
    scene.write(lines(2))
    forged = FeederBeat(
        run_id="zz",
        feeder="evil",
        priority=1000,
        has_pending=True,
        in_flight=0,
        most_in_flight=1,
        open={},
        clips_per_s=0,
        windows_per_s=0,
    )
    scene.broker.client.set("clipfleet:feeder:zz:evil", forged.model_dump_json())
    feeder, _ = scene.feeder()
    step_until(feeder, lambda: scene.waiting() == 2)


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
    real = DoneShards.write

    def fails(*_: object) -> None:
        monkeypatch.setattr(DoneShards, "write", real)
        raise StoreError("away")

    monkeypatch.setattr(DoneShards, "write", fails)
    with pytest.raises(StoreError):
        steps(feeder, for_s=5)
    assert step_until(feeder, lambda: False)
    assert len(watcher.finished) == 3
    assert feeder.total.done == 3


def test_sending_to_a_broker_that_is_away_raises_an_error_of_ours(scene: Scene) -> None:
    scene.server.kill()
    (line,) = lines(1)
    job = ClipJob(
        run_id="r1", clip_uuid=line.clip_uuid, options_hash=OPTIONS.hash, source=line.source
    )
    with pytest.raises(BrokerError, match="takes no message"):
        send_clip(make_app(scene.server.url, lease_s=1), job)


# What is done already.


REPLACED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"num_bytes": 4}, {"num_bytes": 5}),
    ({"etag": "a"}, {"etag": "b"}),
    ({"mtime": "2026-01-01T00:00:00+00:00"}, {"mtime": "2026-01-02T00:00:00+00:00"}),
]


@pytest.mark.parametrize("redo_changed", [False, True])
@pytest.mark.parametrize(("before", "now"), REPLACED)
def test_a_clip_whose_source_was_replaced_is_counted_and_done_again_only_when_asked(
    scene: Scene, before: dict[str, Any], now: dict[str, Any], redo_changed: bool
) -> None:
    same, other = (line.model_copy(update=now) for line in lines(2))
    for line, found in ((same, now), (other, before)):
        made_of = SOURCE.model_copy(update=found)
        record = record_of(line, num_bytes=found.get("num_bytes"), source=made_of, run_id="r0")
        scene.store.put(keys.record(line.clip_uuid), record.to_bytes())
    scene.write([same, other], redo_changed=redo_changed)
    feeder, watcher = scene.feeder()

    over = step_until(feeder, scene.waiting)

    assert over != redo_changed
    assert same.clip_uuid in watcher.previously_done
    assert scene.work_off(num_bytes=now.get("num_bytes")) == [other.clip_uuid] * redo_changed
    assert over or step_until(feeder, lambda: False)
    assert feeder.total.changed == (not redo_changed)


def test_of_a_source_of_which_nothing_is_known_nothing_is_said(scene: Scene) -> None:
    (line,) = lines(1)
    made_of = SOURCE.model_copy(update={"etag": "a"})
    record = record_of(line, num_bytes=5, source=made_of, run_id="r0")
    scene.store.put(keys.record(line.clip_uuid), record.to_bytes())
    scene.write([line])
    feeder, _ = scene.feeder()

    assert step_until(feeder, lambda: False)
    assert feeder.total.changed == 0


@pytest.mark.parametrize("retry_failed", [False, True])
def test_a_failed_clip_is_done_again_only_when_asked_and_keeps_its_record_till_then(
    scene: Scene, retry_failed: bool
) -> None:
    (line,) = lines(1)
    failed = record_of(line, valid=False, run_id="r0")
    scene.store.put(keys.record(line.clip_uuid), failed.to_bytes())
    part = keys.Scratch(line.clip_uuid, OPTIONS.hash).part(0, 255, "caption")
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


def test_a_record_with_errors_that_another_run_wrote_meanwhile_is_replaced(scene: Scene) -> None:
    (line,) = lines(1)
    scene.write([line], retry_failed=True)
    feeder, watcher = scene.feeder()
    step_until(feeder, scene.waiting)
    scene.broker.client.delete(PREPARE)  # its message found the other's record, and was done
    record = record_of(line, valid=False, run_id="other").to_bytes()
    scene.store.put(keys.record(line.clip_uuid), record)
    step_until(feeder, scene.waiting)
    assert scene.jobs()[0]["replaces"] == digest(record)
    scene.work_off()
    assert step_until(feeder, lambda: False)
    assert watcher.finished == [line.clip_uuid]


def test_clips_that_were_given_up_are_looked_for_again_where_that_is_asked_for(
    scene: Scene,
) -> None:
    scene.write(lines(2))
    scene.run.done.write(0, RunCounts(clips=2, done=1, lost=1), [])
    scene.run.conclude(RunCounts(clips=2, done=1, lost=1))
    scene.run.reopen(RunControl())
    assert active_runs(scene.store) == ["r1"]
    feeder, _ = scene.feeder()
    step_until(feeder, lambda: scene.waiting() == 2)


def test_a_run_of_which_nothing_was_given_up_stays_at_its_end(scene: Scene) -> None:
    scene.write(lines(1))
    scene.run.done.write(0, RunCounts(clips=1, done=1), [])
    scene.run.conclude(RunCounts(clips=1, done=1))
    scene.run.reopen(RunControl())
    assert active_runs(scene.store) == []
