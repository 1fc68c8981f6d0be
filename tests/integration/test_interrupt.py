"""Ctrl-C ends a command at once, whatever it is waiting for."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clipfleet.errors import ExitCode
from clipfleet.store import open_store
from tests.support.exported_run import RUN, StoredRun
from tests.support.found_clips import write
from tests.support.tree import python_path

WITHIN_S = 1.0
# A store that is quick once, and then takes half a minute for each object.
SLOW = """
import sys, time
from clipfleet.store import folder
asked = []
def slowed(get):
    def slow(self, key, *rest, **more):
        if key.startswith("metas/"):
            asked.append(key)
            if len(asked) == 3:
                print("waiting", flush=True)
            time.sleep(0.01 if len(asked) < 3 else 30)
        return get(self, key, *rest, **more)
    return slow
folder.FolderStore.get = slowed(folder.FolderStore.get)
folder.FolderStore.get_version = slowed(folder.FolderStore.get_version)
"""
LOADING = """
import sys, time, builtins
real = builtins.__import__
def slow(name, *rest):
    if name == "clipfleet_producer.cli.main":
        print("waiting", flush=True)
        time.sleep(30)
    return real(name, *rest)
builtins.__import__ = slow
"""
BEGIN = """
from clipfleet_producer.__main__ import main
sys.argv = ["clipfleet", *sys.argv[1:]]
main()
"""


def interrupted(folder: Path, script: str, *arguments: str) -> tuple[int, float, str]:
    """(exit code, seconds after Ctrl-C, what it said on standard error)."""
    command = subprocess.Popen(
        [sys.executable, "-c", script + BEGIN, *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": python_path()},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert command.stdout is not None
        assert command.stdout.readline() == "waiting\n"
        time.sleep(0.1)
        began = time.monotonic()
        command.send_signal(signal.SIGINT)
        _, said = command.communicate(timeout=20)
        return command.returncode, time.monotonic() - began, said.strip()
    finally:
        command.kill()
        command.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with clips, and a store with a run over others."""
    store = open_store(str(tmp_path / "out"))
    store.prepare()
    StoredRun(store, tmp_path / "out").begin(100)
    for number in range(100):
        write(tmp_path / "clips" / f"{number}.mp4")
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        ("failures", RUN),
        ("summary", RUN),
        ("export", RUN, "taken"),
        ("submit", "clips", "--dry-run"),
    ],
    ids=lambda command: command[0],
)
def test_a_command_that_waits_for_the_store_ends_at_once(
    folder: Path, command: tuple[str, ...]
) -> None:
    code, seconds, said = interrupted(folder, SLOW, *command, "--store", "out")

    assert (code, said) == (ExitCode.INTERRUPTED, "clipfleet: interrupted")
    assert seconds < WITHIN_S


def test_a_command_that_is_still_loading_ends_at_once(folder: Path) -> None:
    code, seconds, said = interrupted(folder, LOADING, "prompts")

    assert (code, said) == (ExitCode.INTERRUPTED, "clipfleet: interrupted")
    assert seconds < WITHIN_S
