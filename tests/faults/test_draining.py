"""Workers that are told to stop in mid-work: it is finished, or given back, and counted nowhere."""

import json
import signal
from pathlib import Path

from clipfleet.queues import CAPTION, PREPARE
from clipfleet_workers.delivery.unacked import DEATHS
from tests.support.outages.fleet import LEASE_S, OutageFleet, write_clips
from tests.support.small_fleet import SmallFleet
from tests.support.waiting import wait_for

# A prepare worker that takes longer than its patience to cut a clip.
SLOW_WORKER = """
import sys, time
from clipfleet_workers.media import decode
def index(file, guard):
    print("cutting", file=sys.stderr, flush=True)
    time.sleep(60)
decode.index = index
sys.argv = ["clipfleet-worker", "prepare"]
from clipfleet_workers.cli import main
main()
"""


def test_what_a_worker_finishes_that_was_told_to_stop_is_done_once(tmp_path: Path) -> None:
    with OutageFleet(tmp_path, window_s=2 * LEASE_S) as fleet:
        paths = write_clips(tmp_path / "clips", 4, seed=0)
        running = fleet.submit(paths, "r")
        wait_for("windows", lambda: len(_captions(fleet)) == 4, 30)
        fleet.start(CAPTION, name="other")

        assert fleet.stop(CAPTION) == 0

        assert running.wait(fleet.store, 30) is not None
        assert list(_captions(fleet).values()) == [1, 1, 1, 1]
        assert fleet.wrong(running.head, running.sources, since=0.0) == []


def _captions(fleet: OutageFleet) -> dict[str, int]:
    """How often each window's caption was begun."""
    ours = {e["task"] for e in fleet.history.events() if e.get("queue") == CAPTION}
    return {task: count for task, count in fleet.history.begun().items() if task in ours}


def test_what_a_worker_cannot_finish_in_time_is_given_back_and_not_held_against_its_clip(
    small_fleet: SmallFleet, text_clip: Path
) -> None:
    small_fleet.settings["CLIPFLEET_DRAIN_S"] = "0.5"
    small_fleet.start(prepare=SLOW_WORKER)
    small_fleet.submit(text_clip)
    wait_for("beginning", lambda: "cutting" in small_fleet.log.read_text(), 30)

    prepare = small_fleet._workers.pop(0)
    prepare.send_signal(signal.SIGTERM)

    assert prepare.wait(20) == 0
    client = small_fleet.client()
    (message,) = client.lrange(PREPARE, 0, -1)
    assert DEATHS not in json.loads(str(message))["headers"]
    assert client.hlen("unacked") == 0
