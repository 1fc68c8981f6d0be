"""What the broker loses is found by the records that are not there, and done."""

import json
import time
from pathlib import Path

import pytest
import redis

from tests.support.small_fleet import SmallFleet

CLIPS = 12


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for i in range(CLIPS):
        (folder / f"{i:02d}.mp4").write_text(f"not a video {i}")
    return folder


def empty(small_fleet: SmallFleet) -> None:
    """Lose all that the broker has."""
    redis.Redis.from_url(small_fleet.broker.url).flushall()


def test_a_broker_emptied_in_mid_run_costs_time_and_no_clip(
    small_fleet: SmallFleet, clips: Path
) -> None:
    small_fleet.start()
    follower = small_fleet.submit_in_background(clips, "--wait", "--in-flight", "6")
    while not small_fleet.records():
        assert follower.poll() is None
        time.sleep(0.05)
    small_fleet.pause_prepare()
    time.sleep(0.5)
    empty(small_fleet)
    small_fleet.continue_prepare()
    said, _ = follower.communicate(timeout=120)

    assert follower.returncode == 3, said
    assert len(small_fleet.records()) == CLIPS


def test_a_run_that_nobody_follows_is_brought_to_its_end(
    small_fleet: SmallFleet, clips: Path
) -> None:
    small_fleet.start()
    small_fleet.pause_prepare()
    assert small_fleet.submit(clips, "--run", "r").returncode == 0
    waiting = small_fleet.run("reconcile", "r")
    assert waiting.returncode == 3
    assert f"the broker has {CLIPS} messages" in waiting.stdout
    empty(small_fleet)
    small_fleet.continue_prepare()

    done = small_fleet.run("reconcile", "r", "--follow")

    assert done.returncode == 3, done.stdout
    assert len(small_fleet.records()) == CLIPS
    again = small_fleet.run("reconcile", "r")
    assert (again.returncode, again.stdout) == (0, f"All {CLIPS} clips have their records.\n")


def test_failed_clips_are_listed_and_done_again_as_meant(
    small_fleet: SmallFleet, clips: Path
) -> None:
    small_fleet.start()
    assert small_fleet.submit(clips, "--run", "r", "--wait").returncode == 3

    listed = small_fleet.run("failures", "r", "--json")
    assert listed.returncode == 3
    errors = [json.loads(line) for line in listed.stdout.splitlines()]
    assert len(errors) == CLIPS
    assert {e["error"] for each in errors for e in each["errors"]} == {"ClipUnreadable"}
    shown = small_fleet.run("failures", "r").stdout
    assert "not a video file" in shown
    assert "clipfleet retry r" in shown

    nothing = small_fleet.run("retry", "r", "--only", "MaxDeliveriesExceeded")
    assert (nothing.returncode, nothing.stdout) == (0, "There is nothing to do again.\n")
    one = small_fleet.run("retry", "r", "--only", "03.mp4", "--run", "again", "--wait")
    assert one.returncode == 3, one.stdout
    runs = {name: record.run_id for name, record in small_fleet.records().items()}
    assert {name for name, run in runs.items() if run == "again"} == {"03.mp4"}
    all_ = small_fleet.run("retry", "r", "--only", "prepare", "--run", "all", "--wait")
    assert all_.returncode == 3, all_.stdout
    assert {record.run_id for record in small_fleet.records().values()} == {"all"}


def test_refused_messages_are_listed(small_fleet: SmallFleet) -> None:
    small_fleet.start()
    client = redis.Redis.from_url(small_fleet.broker.url)
    client.lpush("prepare", "forged")
    deadline = time.monotonic() + 30
    while client.llen("prepare") or "refused" not in small_fleet.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    said = small_fleet.run("failures").stdout
    assert "on prepare: message: Input should be a valid dictionary" in said
    assert "Unrecognised messages, refused by workers: 1" in said


def test_a_run_that_there_is_not_is_refused(small_fleet: SmallFleet) -> None:
    for command in ("failures", "retry", "reconcile"):
        said = small_fleet.run(command, "nobodys")
        assert said.returncode == 2
        assert "there is no run nobodys" in said.stdout
