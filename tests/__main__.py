"""Runs the tests, two processes at a time, and says at the end what each kind took.

`python -m tests [--kind KIND | --quick] [pytest's own arguments]`. All that the tests leave in the
temporary folder is below one folder of this run and goes with it; a process that outlives them is
named, ended, and makes a green run a failed one.
"""

import argparse
import contextlib
import ctypes
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.support.durations import KINDS, Durations

ROOT = Path(__file__).parents[1]
NO_TESTS_COLLECTED = 5
GRACE_S = 5.0  # for what ends by itself: the S3 server and its keeper, Python's resource tracker
INTERRUPTED_S = 60.0  # for tests to put away what they started
LOOK_S = 0.2
# pytest's base folder, and torch's cache of compiled code, which it keeps by user.
EXPECTED = ("pytest-of-", "torchinductor_")


def main() -> int:
    """Run them; returns pytest's exit status, or 1 where something was left behind."""
    parser = argparse.ArgumentParser(prog="python -m tests", description=__doc__)
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this kind")
    parser.add_argument(
        "--quick", action="store_true", help="no engine, no S3 server, no whole stack"
    )
    given, more = parser.parse_known_args()
    command = [sys.executable, "-m", "pytest", "-n", "2", *more]
    command += ["-m", "quick"] if given.quick else []
    command += [f"tests/{kind}" for kind in given.kind or ()]
    began, shared_before = time.monotonic(), _shared_memory()
    _adopt_orphans()
    _heed_signals()
    # Short: sockets lie below it, and a socket's path has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="t"))
    status, left = 1, ["nothing was looked at"]
    try:
        status = _run(command, folder)
        left = _left_running() + [
            path.name for path in folder.iterdir() if not path.name.startswith(EXPECTED)
        ]
    finally:
        _end_all()
        _remove(folder)
        _remove_unused(_shared_memory() - shared_before)
    if status == 0:
        for each in left:
            print(f"left behind: {each}")
        status = int(bool(left))
    print(_summary(time.monotonic() - began))
    return 0 if status == NO_TESTS_COLLECTED else status


def _run(command: list[str], folder: Path) -> int:
    """Run pytest and reap what it leaves to us; returns its exit status."""
    # Two tests at a time, each on a core: more threads would only wait for each other, busily.
    environment = {"OMP_NUM_THREADS": "1", **os.environ, "TMPDIR": str(folder)}
    pytest = subprocess.Popen(command, cwd=ROOT, env=environment)
    give_up_at = float("inf")
    while time.monotonic() < give_up_at:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == pytest.pid:
                pytest.returncode = os.waitstatus_to_exitcode(status)
                return pytest.returncode
            if not pid:
                time.sleep(LOOK_S)
        except KeyboardInterrupt as stop:
            if give_up_at < float("inf"):
                break  # a second time: at once
            if isinstance(stop, Terminated):  # Ctrl-C in a terminal reaches pytest as well
                pytest.send_signal(signal.SIGINT)
            give_up_at = time.monotonic() + INTERRUPTED_S
    return 1


class Terminated(KeyboardInterrupt):
    """SIGTERM: meant as Ctrl-C is."""


def _heed_signals() -> None:
    """Ctrl-C counts also where a shell that runs this in the background has it ignored."""

    def stop(*_: object) -> None:
        raise Terminated

    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, stop)


def _adopt_orphans() -> None:
    """Be the parent of whoever loses theirs, so that they are seen, and their CPU time counted."""
    if sys.platform.startswith("linux"):
        set_child_subreaper = 36  # PR_SET_CHILD_SUBREAPER of <sys/prctl.h>
        ctypes.CDLL(None).prctl(set_child_subreaper, 1)


def _descendants() -> list[psutil.Process]:
    """All that still live; those that ended are reaped."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return psutil.Process().children(recursive=True)


def _left_running() -> list[str]:
    """Processes that do not end by themselves."""
    deadline = time.monotonic() + GRACE_S
    while (left := _descendants()) and time.monotonic() < deadline:
        time.sleep(0.1)
    found = []
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(f"process {process.pid}: {' '.join(process.cmdline())[:200]}")
    return found


def _end_all() -> None:
    """Kill every descendant."""
    while left := _descendants():
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        time.sleep(0.05)


def _remove(folder: Path) -> None:
    """Take away the folder, and first what is mounted in it."""
    for part in psutil.disk_partitions(all=True):
        if Path(part.mountpoint).is_relative_to(folder):
            subprocess.run(["umount", "--lazy", part.mountpoint], check=False)
    shutil.rmtree(folder, ignore_errors=True)


def _shared_memory() -> set[Path]:
    """Semaphores and memory of Python's that processes share; who is killed leaves theirs."""
    folder = Path("/dev/shm")
    return {path for name in ("sem.mp-*", "psm_*") for path in folder.glob(name)}


def _remove_unused(found: set[Path]) -> None:
    """Take away those that no process has."""
    used = ""
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            used += maps.read_text()
    for path in found:
        if str(path) not in used:
            path.unlink(missing_ok=True)


def _summary(wall_s: float) -> str:
    """One line: tests and seconds of each kind, and what the whole took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    load = "/".join(f"{each:.1f}" for each in os.getloadavg())
    whole = f"all {wall_s:.0f} s (CPU {used.ru_utime + used.ru_stime:.0f} s, load {load})"
    return "; ".join([*Durations.read().by_kind(), whole])


if __name__ == "__main__":
    sys.exit(main())
