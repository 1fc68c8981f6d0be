"""Users may have modules called producer, workers, review and samples: all of ours still works."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import BIN, OWN_MODULES
from tests.support.small_fleet import SmallFleet

SCRIPT = """
import json
import producer, review, samples, workers
from clipfleet import ClipfleetError, Fleet, Options, PrepareOptions

fleet = Fleet()
options = Options(prepare=PrepareOptions(generate_previews=False))
run = fleet.submit(["clips.jsonl"], options, run_id="own")
done = run.feed().counts.done
try:
    fleet.run("other")
except ClipfleetError:
    print(json.dumps([done, producer.WHOSE, review.WHOSE, samples.WHOSE, workers.WHOSE]))
"""
PYTHON = [sys.executable, "-m"]
COMMANDS = {  # and what each says
    (str(BIN / "clipfleet"), "status", "own", "--json"): '"run": "own"',
    (str(BIN / "clipfleet-worker"), "prepare", "--check"): "alive",
    (*PYTHON, "clipfleet_producer", "status", "own", "--json"): '"run": "own"',
    (*PYTHON, "clipfleet_workers", "prepare", "--check"): "alive",
}


@pytest.fixture
def folder(small_fleet: SmallFleet, tmp_path: Path) -> Path:
    """A user's folder: their modules, which say so where anybody reads them, a script and clips."""
    small_fleet.start()
    for name in OWN_MODULES:
        (tmp_path / name).write_text(f"print('{name} is read')\nWHOSE = 'mine'\n")
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "clip.mp4").write_text("not a video")
    (tmp_path / "clips.jsonl").write_text(json.dumps({"source": "clip.mp4"}))
    return tmp_path


def test_the_api_and_the_commands_work_beside_them(folder: Path, small_fleet: SmallFleet) -> None:
    env = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"} | small_fleet.settings

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False
        )
        assert "Traceback" not in done.stderr
        return done.stdout

    *read, said = run(sys.executable, "script.py").splitlines()
    assert sorted(read) == sorted(f"{name} is read" for name in OWN_MODULES)
    assert json.loads(said) == [1, "mine", "mine", "mine", "mine"]

    for command, expected in COMMANDS.items():
        told = run(*command)
        assert expected in told
        assert "is read" not in told
