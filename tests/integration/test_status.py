"""A run's status, compared with the store: at its start, with a dead worker, and finished."""

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import BIN
from tests.support.small_fleet import SmallFleet, write_texts
from tests.support.terminal import Terminal
from tests.support.waiting import wait_for

CLIPS = 60
IN_FLIGHT = 4


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "clips", CLIPS)


def status(fleet: SmallFleet) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(fleet.run("status", "r", "--json").stdout)
    return found


def holds(fleet: SmallFleet, found: dict[str, Any]) -> None:
    """What it says of clips is what lies in the store."""
    records = fleet.records().values()
    assert found["done"] == len(records)
    assert found["failed"] == sum(not record.valid for record in records)
    assert found["missing"] == CLIPS - len(records)
    assert found["windows"] == sum(len(record.windows) for record in records)


def stands_still(fleet: SmallFleet) -> bool:
    """Whether what was on its way is done, and the feeder has fed the next and said so."""
    before = len(fleet.records())
    time.sleep(1.0)
    found = status(fleet)
    refilled = found["in_flight"] == min(IN_FLIGHT, found["missing"])
    return bool(before == len(fleet.records()) == found["done"]) and refilled


def watched(fleet: SmallFleet) -> Terminal:
    command = [str(BIN / "clipfleet"), "status", "r", "--follow"]
    return Terminal(command, env={**fleet.env, **fleet.settings}, cwd=fleet.work)


def test_what_is_shown_is_true_from_start_to_end(small_fleet: SmallFleet, clips: Path) -> None:
    small_fleet.start()
    small_fleet.pause_prepare()
    small_fleet.submit(clips, "--run", "r", "--in-flight", "4")
    found = status(small_fleet)
    holds(small_fleet, found)
    assert (found["state"], found["done"], found["in_flight"]) == ("running", 0, None)

    with watched(small_fleet) as terminal:
        wait_for("such a screen", lambda: "no feeder" in terminal.screens, 60)
        feeder = small_fleet.start_command("feed", "r", "--in-flight", str(IN_FLIGHT))
        small_fleet.continue_prepare()
        wait_for("such records", lambda: len(small_fleet.records()) >= 4, 60)
        small_fleet.pause_prepare()
        wait_for("truth", lambda: stands_still(small_fleet), 60)
        found = status(small_fleet)
        holds(small_fleet, found)
        assert found["in_flight"] == min(IN_FLIGHT, found["missing"])
        wait_for("such a screen", lambda: "in flight" in terminal.last("run r"), 60)

        small_fleet.kill_prepare()
        wait_for(
            "such a state",
            lambda: not any("prepare" in w["queues"] for w in status(small_fleet)["workers"]),
            60,
        )
        wait_for(
            "such a screen", lambda: re.search(r"prepare +\d+ +none", terminal.last("run r")), 60
        )
        holds(small_fleet, status(small_fleet))

        small_fleet.start()
        feeder.communicate(timeout=60)
        terminal.process.wait(30)
        assert terminal.process.returncode == 3, "clips have errors"
        last = terminal.last("run r")
    found = status(small_fleet)
    holds(small_fleet, found)
    assert found["state"] == "finished"
    assert f"{CLIPS} of {CLIPS} done, {CLIPS} with errors" in last
    assert f"ClipUnreadable {CLIPS}" in last


def test_it_is_true_after_the_broker_was_emptied_and_without_a_broker(
    small_fleet: SmallFleet, clips: Path
) -> None:
    small_fleet.start()
    small_fleet.submit(clips, "--run", "r", "--in-flight", "5")
    wait_for("such records", lambda: len(small_fleet.records()) == 5, 60)
    small_fleet.empty_broker()
    found = status(small_fleet)
    holds(small_fleet, found)
    assert found["done"] == 5
    small_fleet.broker.kill()
    said = small_fleet.run("status", "r")
    assert f"5 of {CLIPS} done, 5 with errors" in said.stdout
    assert "cannot be reached" in said.stdout
    small_fleet.broker.start()


def test_a_feeder_that_is_gone_is_not_counted_on(small_fleet: SmallFleet, clips: Path) -> None:
    small_fleet.start()
    small_fleet.pause_prepare()
    small_fleet.submit(clips, "--run", "r", "--in-flight", "4")
    feeder = small_fleet.start_command("feed", "r", "--in-flight", "4")
    wait_for("such a state", lambda: status(small_fleet)["feeder"] == "alive", 60)
    os.killpg(feeder.pid, signal.SIGKILL)
    feeder.communicate()
    wait_for("such a state", lambda: status(small_fleet)["feeder"] == "none", 60)
    holds(small_fleet, status(small_fleet))
    small_fleet.continue_prepare()
