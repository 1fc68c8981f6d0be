"""What a test run does about tests that leave something behind."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]

UNTIDY = """
import os, subprocess, sys, tempfile

def test_leaves_something_behind():
    code = "import os, time; os.setsid(); time.sleep(600)  # left by a test"
    subprocess.Popen([sys.executable, "-c", code])
    tempfile.mkdtemp(prefix="left-")
"""


@pytest.fixture
def said(tmp_path: Path) -> "subprocess.CompletedProcess[str]":
    """`python -m tests` over one test that passes and is untidy."""
    (tmp_path / "test_untidy.py").write_text(UNTIDY)
    command = [sys.executable, "-m", "tests", str(tmp_path), "-n", "1", "-p", "no:cacheprovider"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_a_green_run_that_leaves_a_process_or_a_file_is_red_and_leaves_neither(
    said: "subprocess.CompletedProcess[str]",
) -> None:
    assert "1 passed" in said.stdout
    assert said.returncode == 1
    left = [line for line in said.stdout.splitlines() if line.startswith("left behind: ")]
    process, file = sorted(left, key=lambda line: "left-" in line)
    assert "left by a test" in process
    assert file.startswith("left behind: left-")
    assert not psutil.pid_exists(int(process.split()[3].rstrip(":")))
