"""Children of an embedded run that do not read, or do not end, hold nobody up."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipfleet.children import terminate
from clipfleet.options import Options
from clipfleet.settings import read_settings
from clipfleet_producer.embedded import stack as embedded
from clipfleet_producer.embedded.children import Child
from clipfleet_producer.embedded.stack import Stack


def test_a_child_reads_what_it_is_given(tmp_path: Path) -> None:
    child = Child("cat", ["/bin/cat"], {}, tmp_path / "log", stdin_text="a password\n")
    child.start()
    assert child.process is not None
    child.process.wait(10)

    assert (tmp_path / "log").read_text() == "a password\n"


def test_a_child_that_does_not_read_is_started_all_the_same(tmp_path: Path) -> None:
    began = time.monotonic()
    child = Child("sleep", ["/bin/sleep", "30"], {}, tmp_path / "log", stdin_text="x" * 4096)
    child.start()
    child.kill()
    assert child.process is not None
    child.process.wait(10)

    assert time.monotonic() - began < 5


class _Unkillable:
    """A process that the kernel waits for, and that therefore does not end."""

    pid, returncode = 2**22 + 1, None  # beyond the largest there is on Linux

    def poll(self) -> None: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...

    def wait(self, timeout: float | None = None) -> int:
        assert timeout is not None, "it would be waited for without end"
        raise subprocess.TimeoutExpired("child", timeout)


def test_a_child_that_does_not_even_end_by_being_killed_is_left(tmp_path: Path) -> None:
    child = Child("broker", [], {}, tmp_path / "log")
    child.process = _Unkillable()  # type: ignore[assignment]

    assert terminate([child], within_s=0.0) == [child]


def test_a_reaper_that_has_stopped_reading_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "REAPER_S", 0.2)
    monkeypatch.setattr(embedded, "worker_kinds", lambda *_: [])
    settings = read_settings(store=str(tmp_path))
    with Stack(settings, Options(), log_dir=tmp_path / "logs") as stack:
        reaper = stack._reaper
        assert reaper is not None
        reaper.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        with let_go(reaper, after_s=5):
            for _ in range(3_000):  # more than any pipe holds
                stack._tell_reaper("group " + "1" * 40)
            stack.stop()

        assert time.monotonic() - began < 4
        assert reaper.returncode == -signal.SIGKILL


@contextlib.contextmanager
def let_go(process: "subprocess.Popen[bytes]", *, after_s: float) -> Iterator[None]:
    """Ends the process, should somebody still wait for it by then."""
    timer = threading.Timer(after_s, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join(5)
