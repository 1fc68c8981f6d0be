"""Orders to runs that are under way, on a real fleet; feeders that come, go, and are two."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
import redis

from tests.support.small_fleet import SmallFleet, write_texts
from tests.support.waiting import wait_for

CLIPS = 12


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "clips", CLIPS)


def messages(fleet: SmallFleet) -> int:
    client = redis.Redis.from_url(fleet.broker.url)
    return int(client.llen("prepare")) + int(client.hlen("unacked"))


def status(fleet: SmallFleet, run: str) -> dict[str, object]:
    said = fleet.run("status", run, "--json")
    found: dict[str, object] = json.loads(said.stdout)
    return found


def served(fleet: SmallFleet) -> "subprocess.Popen[str]":
    """`clipfleet feed --follow`, as a service."""
    return fleet.start_command("feed", "--follow", "--in-flight", "4")


def end(process: "subprocess.Popen[str]", how: signal.Signals = signal.SIGTERM) -> None:
    process.send_signal(how)
    process.communicate(timeout=20)


def test_a_service_feeds_what_is_submitted_to_its_end(small_fleet: SmallFleet, clips: Path) -> None:
    small_fleet.start()
    done = small_fleet.submit(clips, "--run", "r", "--in-flight", "4")
    assert done.returncode == 0
    assert "4 clips put on the queues" in done.stdout
    assert "The other 8 are fed as those are done" in done.stdout
    service = served(small_fleet)
    wait_for("end of the run", lambda: status(small_fleet, "r")["state"] == "finished", 60)
    end(service)
    assert len(small_fleet.records()) == CLIPS
    found = status(small_fleet, "r")
    assert (found["clips"], found["done"], found["failed"]) == (CLIPS, CLIPS, CLIPS)
    assert list(small_fleet.out.glob("active/*")) == []


def test_a_service_that_is_killed_again_and_again_loses_no_clip(
    small_fleet: SmallFleet, tmp_path: Path
) -> None:
    small_fleet.start()
    small_fleet.submit(write_texts(tmp_path / "many", 100), "--run", "r", "--in-flight", "2")
    seen = [len(small_fleet.records())]
    for _ in range(4):
        service = served(small_fleet)
        wait_for("such records", lambda: len(small_fleet.records()) > seen[-1] + 4, 60)
        end(service, signal.SIGKILL)
        seen.append(len(small_fleet.records()))
    assert seen[-1] < 100, "in the middle of it"
    last = small_fleet.run("feed", "r")
    assert last.returncode == 3, last.stdout
    assert "100 of 100 clips done" in last.stdout
    assert len(small_fleet.records()) == 100


def test_two_feeders_at_once_do_each_clip_once(small_fleet: SmallFleet, clips: Path) -> None:
    small_fleet.start()
    followers = [
        small_fleet.submit_in_background(clips, "--wait", "--run", "r", "--in-flight", "3")
    ]
    wait_for("run", lambda: list(small_fleet.out.glob("active/r@*.json")), 60)
    followers.append(small_fleet.start_command("feed", "r", "--in-flight", "3"))
    for follower in followers:
        said, _ = follower.communicate(timeout=120)
        assert follower.returncode in (0, 3), said
        assert f"{CLIPS} of {CLIPS} clips done" in said or "has finished" in said
    assert len(small_fleet.records()) == CLIPS
    assert messages(small_fleet) == 0


def test_a_paused_run_stands_still_until_it_is_resumed(
    small_fleet: SmallFleet, clips: Path
) -> None:
    small_fleet.start()
    small_fleet.submit(clips, "--run", "r", "--in-flight", "2")
    assert "is paused" in small_fleet.run("pause", "r").stdout
    service = served(small_fleet)
    wait_for("such records", lambda: len(small_fleet.records()) == 2, 60)
    time.sleep(4)
    assert len(small_fleet.records()) == 2
    assert status(small_fleet, "r")["state"] == "paused"
    assert small_fleet.run("resume", "r").returncode == 0
    wait_for("such records", lambda: len(small_fleet.records()) == CLIPS, 60)
    end(service)


def test_a_cancelled_run_is_dropped_and_can_be_taken_up_again(
    small_fleet: SmallFleet, clips: Path
) -> None:
    small_fleet.start()
    small_fleet.pause_prepare()
    small_fleet.submit(clips, "--run", "r")
    assert messages(small_fleet) == CLIPS
    assert "is cancelled" in small_fleet.run("cancel", "r").stdout
    small_fleet.continue_prepare()
    wait_for("end of messages", lambda: messages(small_fleet) == 0, 60)
    assert small_fleet.records() == {}
    assert list(small_fleet.out.glob("scratch/*")) == []
    assert status(small_fleet, "r")["state"] == "cancelled"
    assert "Run r is cancelled" in small_fleet.run("feed", "r").stdout

    assert small_fleet.run("resume", "r").returncode == 0
    assert small_fleet.run("feed", "r").returncode == 3
    assert len(small_fleet.records()) == CLIPS


def test_of_two_runs_the_one_of_higher_priority_is_done_first(
    small_fleet: SmallFleet, tmp_path: Path
) -> None:
    small_fleet.start()
    small_fleet.pause_prepare()
    low, high = write_texts(tmp_path / "low", 30), write_texts(tmp_path / "high", 30)
    small_fleet.submit(low, "--run", "low", "--in-flight", "2")
    small_fleet.submit(high, "--run", "high", "--in-flight", "2", "--priority", "9")
    service = served(small_fleet)
    small_fleet.continue_prepare()
    wait_for("such records", lambda: len(small_fleet.records()) == 60, 120)
    end(service)
    order = sorted(
        small_fleet.out.glob("metas/v0/*.json"), key=lambda path: path.stat().st_mtime_ns
    )
    runs = [json.loads(path.read_text())["run_id"] for path in order]
    assert runs.index("low") < 4, "what was in flight is not taken back"
    assert runs[-25:] == ["low"] * 25


def test_runs_of_one_priority_share_the_fleet(small_fleet: SmallFleet, tmp_path: Path) -> None:
    small_fleet.start()
    for name in ("one", "two"):
        small_fleet.submit(write_texts(tmp_path / name, 30), "--run", name, "--in-flight", "2")
    service = served(small_fleet)
    wait_for("such records", lambda: len(small_fleet.records()) == 60, 120)
    end(service)
    order = sorted(
        small_fleet.out.glob("metas/v0/*.json"), key=lambda path: path.stat().st_mtime_ns
    )
    half = [json.loads(path.read_text())["run_id"] for path in order][10:40]
    assert 8 <= half.count("one") <= 22


def test_a_status_without_a_run_lists_those_under_way(small_fleet: SmallFleet, clips: Path) -> None:
    small_fleet.start()
    small_fleet.pause_prepare()
    small_fleet.submit(clips, "--run", "r")
    said = small_fleet.run("status").stdout
    assert "no feeder" in said
    assert "prepare" in said
    found = json.loads(small_fleet.run("status", "--json").stdout)
    assert [run["run"] for run in found["runs"]] == ["r"]
    assert found["backlog"]["prepare"] + sum(w["unacked"] for w in found["workers"]) >= CLIPS
    small_fleet.continue_prepare()


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    small_fleet: SmallFleet, clips: Path, tmp_path: Path
) -> None:
    small_fleet.start()
    first = sorted(clips.iterdir())[:3]
    assert small_fleet.submit(*first, "--run", "r", "--wait").returncode == 3
    before = sorted(small_fleet.out.rglob("*"))
    said = small_fleet.submit(clips, "--dry-run")
    assert said.returncode == 0
    assert f"{CLIPS} clips: 3 are done already (3 with errors), 9 would be fed" in said.stdout
    assert "How long it takes is not known" in said.stdout  # run r had no windows to go by
    assert sorted(small_fleet.out.rglob("*")) == before


def test_a_run_whose_list_is_damaged_keeps_no_other_from_being_fed(
    small_fleet: SmallFleet, clips: Path, tmp_path: Path
) -> None:
    small_fleet.start()
    small_fleet.submit(write_texts(tmp_path / "bad", 30), "--run", "bad", "--in-flight", "2")
    (shard,) = small_fleet.out.glob("runs/bad/manifest/*/*.jsonl")
    shard.write_text("garbage\n")
    small_fleet.submit(clips, "--run", "good", "--in-flight", "2")
    service = served(small_fleet)
    wait_for("end of it", lambda: status(small_fleet, "good")["state"] == "finished", 60)
    service.send_signal(signal.SIGTERM)
    said, _ = service.communicate(timeout=20)
    name = shard.relative_to(small_fleet.out)
    assert said.count(f"{name}, line 1: ") == 1
    alone = small_fleet.run("feed", "bad")
    assert alone.returncode == 2
    assert "line 1" in alone.stdout
