"""One worker for each GPU: started, pinned, started again when it dies, stopped with the rest."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from clipfleet.errors import UsageError
from clipfleet_workers import supervisor
from tests.support.tree import python_path

# Notes its GPU and its number, and ends as told: a stand-in that starts in no time.
WORKER = """
import os, signal, sys, time
from clipfleet_workers import supervisor
supervisor.end_with_parent()
gpu = os.environ["CUDA_VISIBLE_DEVICES"]
open(f"{gpu}.{os.getpid()}", "w").close()
if gpu == sys.argv[1]:
    sys.exit(int(sys.argv[2]))
time.sleep(60)
"""
SUPERVISOR = """
import os, sys
from clipfleet_workers.supervisor import supervise
command = [sys.executable, "-c", os.environ["WORKER"], *sys.argv[1:]]
sys.exit(supervise([command] * 2, [["0"], ["2", "3"]], environment=os.environ, stop_s=10))
"""


class Supervised:
    """A supervisor of two stand-ins, on GPU 0 and on GPUs 2 and 3."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        env = {**os.environ, "PYTHONPATH": python_path(), "WORKER": WORKER}
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, *arguments], cwd=folder, env=env
        )

    def pids(self, gpus: str) -> list[int]:
        """The workers there have been on these GPUs."""
        return [int(path.name.split(".")[1]) for path in self.folder.glob(f"{gpus}.*")]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., Supervised]]:
    started: list[Supervised] = []

    def start(*arguments: str) -> Supervised:
        started.append(Supervised(tmp_path, *(arguments or ("none", "0"))))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()


def wait_until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_each_worker_has_its_gpus_and_a_dead_one_is_started_again(
    supervise: Callable[..., Supervised],
) -> None:
    found = supervise()
    wait_until(lambda: len(found.pids("0")) == len(found.pids("2,3")) == 1)
    (other,) = found.pids("2,3")
    os.kill(found.pids("0")[0], signal.SIGKILL)
    wait_until(lambda: len(found.pids("0")) == 2)

    assert found.pids("2,3") == [other]
    assert not gone(other)


def test_told_to_stop_it_leaves_no_worker_behind(supervise: Callable[..., Supervised]) -> None:
    found = supervise()
    wait_until(lambda: len(found.pids("0")) == len(found.pids("2,3")) == 1)
    found.process.send_signal(signal.SIGTERM)

    assert found.process.wait(10) == 0
    assert all(gone(pid) for pid in found.pids("0") + found.pids("2,3"))


def test_its_workers_end_when_it_is_killed(supervise: Callable[..., Supervised]) -> None:
    found = supervise()
    wait_until(lambda: len(found.pids("0")) == len(found.pids("2,3")) == 1)
    found.process.kill()

    wait_until(lambda: all(gone(pid) for pid in found.pids("0") + found.pids("2,3")))


def test_a_worker_that_would_always_end_the_same_way_ends_the_others(
    supervise: Callable[..., Supervised],
) -> None:
    found = supervise("0", "6")

    assert found.process.wait(20) == 6
    assert len(found.pids("0")) == 1
    assert all(gone(pid) for pid in found.pids("2,3"))


class _Unkillable:
    """A process that the kernel waits for, and that therefore does not end."""

    pid = 1

    def __init__(self) -> None:
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> int:
        self.waits.append(timeout)
        assert timeout is not None, "it would be waited for without end"
        raise subprocess.TimeoutExpired("worker", timeout)

    def poll(self) -> None: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


def test_a_worker_that_does_not_even_end_by_being_killed_is_left(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = _Unkillable()
    monkeypatch.setattr(supervisor._Worker, "spawn", lambda _: process)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(supervisor, "LOOK_S", 0.0)
    monkeypatch.setattr("clipfleet_workers.supervisor.threading.Event", _SetOnceWaitedFor)
    supervisor.supervise([["worker"]], [["0"]], environment={}, stop_s=0.0)

    assert len(process.waits) == 2
    assert "killed and does not end: see what its GPU's driver does" in caplog.text


class _SetOnceWaitedFor(threading.Event):
    def wait(self, timeout: float | None = None) -> bool:
        self.set()
        return True


def test_an_nvidia_smi_that_hangs_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(supervisor, "NVIDIA_SMI_S", 0.2, raising=False)
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexec sleep 5\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(UsageError, match=r"nvidia-smi -L does not end within .*--gpus 0,1"):
        supervisor.choose_gpus("all", per_engine=1)


def test_gpus_are_shared_out_evenly_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")

    assert supervisor.choose_gpus("all", per_engine=2) == [["4", "5"], ["6", "7"]]
    assert supervisor.choose_gpus("0,3", per_engine=1) == [["0"], ["3"]]
    with pytest.raises(UsageError, match="4 GPUs cannot be shared out to engines of 3"):
        supervisor.choose_gpus("all", per_engine=3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UsageError, match="this machine shows no GPU"):
        supervisor.choose_gpus("all", per_engine=1)
