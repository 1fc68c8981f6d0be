"""Feeding a run whose clips wait for a store that fails."""

from clipfleet.broker.claims import feeders
from clipfleet.broker.client import Event
from clipfleet_producer.feeding import limit
from tests.support.feeding import (
    Scene,
    lines,
    step_until,
    steps,
)


def wait_for_the_store(scene: Scene, clips: list[str], run_id: str = "r1") -> None:
    """Say of these clips what a worker says that is refused by their bucket."""
    for clip in clips:
        event = Event(
            step="prepare",
            clip_uuid=clip,
            status="waiting",
            message="s3://raw: ExpiredToken",
            error="SourceDenied",
        )
        scene.broker.emit(run_id, event)


def test_a_run_whose_clips_wait_for_a_store_is_not_fed_on_and_says_why(scene: Scene) -> None:
    scene.write(lines(1000))
    feeder, watcher = scene.feeder(in_flight=500)
    step_until(feeder, lambda: scene.waiting() == limit.FIRST)

    wait_for_the_store(scene, [line.clip_uuid for line in lines(limit.FIRST)])
    for _ in range(10):
        feeder.step(wait_s=0.05)
        scene.clock.sleep(limit.STEP_S)

    assert feeder.in_flight == limit.FIRST
    assert watcher.said == ["waiting: s3://raw: ExpiredToken"]
    (beat,) = feeders(scene.broker)
    assert beat.blocked_reason == "waiting: s3://raw: ExpiredToken"


def test_a_run_goes_on_once_a_clip_need_not_wait(scene: Scene) -> None:
    scene.write(lines(300))
    feeder, _ = scene.feeder()
    step_until(feeder, lambda: scene.waiting() == limit.FIRST)
    wait_for_the_store(scene, [lines(1)[0].clip_uuid])
    feeder.step(wait_s=0.05)

    while not feeder.step(wait_s=0.05):
        scene.clock.sleep(limit.STEP_S)
        scene.work_off()

    assert feeder.total.done == 300


def test_while_clips_wait_a_few_are_fed_all_the_same(scene: Scene) -> None:
    """Whether one is refused alone shows only as another is read."""
    scene.write(lines(300))
    feeder, _ = scene.feeder()
    step_until(feeder, lambda: scene.waiting() == limit.FIRST)
    wait_for_the_store(scene, [lines(1)[0].clip_uuid])
    feeder.step(wait_s=0.05)

    scene.work_off(telling=False)

    step_until(feeder, lambda: scene.waiting() == limit.LEAST)
    steps(feeder, for_s=1)
    assert scene.waiting() == limit.LEAST
