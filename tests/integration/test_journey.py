"""The way of one clip from the command line to the broker: short, and with few ways back."""

from pathlib import Path

import pytest

from clipfleet import keys
from tests.support.cli_here import run_here
from tests.support.journey import Journey
from tests.support.small_fleet import SmallFleet

MOST_FUNCTIONS = 35  # before the rooms were put in order: 56
MOST_RETURNS = 10  # before: 23


@pytest.fixture
def journey(small_fleet: SmallFleet, tmp_path: Path) -> Journey:
    """That of a clip which is submitted by its path."""
    clip = tmp_path / "the-one-clip.mp4"
    clip.write_text("no worker looks at it")
    env = {**small_fleet.env, **small_fleet.settings}
    traced = Journey(clip.name, keys.clip_uuid(clip.as_uri()))
    with traced:
        done = run_here(["submit", clip, "--run", "r"], env=env, cwd=small_fleet.work)
    assert done.returncode == 0, done.stdout
    return traced


def test_one_clip_passes_few_functions_and_seldom_comes_back(journey: Journey) -> None:
    told = "\n".join(journey.functions)
    assert "feeding/feeder.py:Feeder._feed" in told, told
    assert "clipfleet/queues.py:send_clip" in told, "the trace reaches the broker's side"
    assert len(journey.functions) <= MOST_FUNCTIONS, told
    assert journey.returns <= MOST_RETURNS, journey.rooms
