"""The tests' own look at processes must not stumble over one that ended."""

import subprocess
import time

import psutil

from tests.support.cli import command_line


def test_a_zombie_has_no_command_line() -> None:
    child = subprocess.Popen(["true"])
    process = psutil.Process(child.pid)
    deadline = time.monotonic() + 10
    while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.status() == psutil.STATUS_ZOMBIE
    assert command_line(process) == ""
    child.wait()
    assert command_line(process) == ""
