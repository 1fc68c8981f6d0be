"""The store or the broker goes away for a while; nothing is lost and nobody lends a hand."""

import time
from pathlib import Path

from tests.support.small_fleet import SmallFleet
from tests.support.waiting import wait_for

TRIES = 5  # more than the 3 that Celery makes by itself

# A prepare worker that tries again soon each time.
IMPATIENT = """
import sys
from clipfleet_workers.delivery import tasks as app
app.longest_wait_s = lambda retries: 0.5
sys.argv = ["clipfleet-worker", "prepare"]
from clipfleet_workers.cli import main
main()
"""


def test_tasks_wait_for_a_store_however_long_it_is_away(
    small_fleet: SmallFleet, text_clip: Path
) -> None:
    small_fleet.start(prepare=IMPATIENT)
    wait_for("worker", lambda: small_fleet.log.read_text().count(" ready.") == 2, 30)
    small_fleet.submit(text_clip, "--run", "first")
    wait_for("record", small_fleet.records, 30)

    other = text_clip.with_name("other.mp4")
    other.write_text("not a video either")
    away = small_fleet.out.with_name("away")

    def hide() -> None:
        small_fleet.out.rename(away)
        small_fleet.out.symlink_to(small_fleet.out)  # a loop: every look-up fails

    small_fleet.pause_prepare()
    small_fleet.submit(other, "--run", "second")
    hide()
    small_fleet.continue_prepare()
    tries = "prepare waits for the store"
    wait_for("try", lambda: small_fleet.log.read_text().count(tries) >= TRIES, 60)
    small_fleet.out.unlink()
    away.rename(small_fleet.out)

    wait_for("record", lambda: "other.mp4" in small_fleet.records(), 60)


def test_a_broker_that_is_killed_and_comes_back_costs_time_and_no_clip(
    small_fleet: SmallFleet, text_clip: Path, tmp_path: Path
) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for i in range(30):
        (clips / f"{i:02d}.mp4").write_text(f"not a video {i}")
    small_fleet.start()
    follower = small_fleet.submit_in_background(clips, "--wait", "--in-flight", "4")
    wait_for("record", small_fleet.records, 30)
    small_fleet.broker.kill()
    time.sleep(3)
    small_fleet.broker.start()
    said, _ = follower.communicate(timeout=120)

    assert follower.returncode == 3, said
    assert len(small_fleet.records()) == 30
    assert "bug" not in said


def test_a_clip_that_never_comes_is_given_up_after_so_many_tries_and_says_so(
    small_fleet: SmallFleet, text_clip: Path
) -> None:
    small_fleet.settings["CLIPFLEET_MAX_RETRIES"] = "2"
    small_fleet.start()
    wait_for("worker", lambda: small_fleet.log.read_text().count(" ready.") == 2, 30)
    small_fleet.pause_prepare()
    small_fleet.submit(text_clip)
    text_clip.unlink()
    text_clip.symlink_to(text_clip)  # a loop: a disk that fails
    small_fleet.continue_prepare()
    wait_for("record", small_fleet.records, 30)

    (error,) = small_fleet.records()["text.mp4"].errors
    assert error.error == "StoreRetriesExhausted"
    assert "cannot be read just now" in error.message
    assert error.message.endswith("; tried 3 times and not again (setting max_retries)")
