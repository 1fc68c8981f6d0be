"""A whole fleet of separate processes that can be killed, stopped, started, each by its kind."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from clipfleet.queues import ASSEMBLE, CAPTION, ENHANCE, PREPARE, PREVIEW

KINDS = (PREPARE, PREVIEW, CAPTION, ENHANCE, ASSEMBLE)
MINI = ("--captioning-algorithm", "mini")
_FLAGS = {
    PREPARE: ("--concurrency", "2"),
    PREVIEW: ("--concurrency", "1"),
    CAPTION: MINI,
    ENHANCE: ("--enhance-captions-algorithm", "mini"),
    ASSEMBLE: ("--concurrency", "1"),
}
# What a worker runs whose clock is wrong by so many seconds.
_SHIFTED = """
import os, time
_true, _by = time.time, float(os.environ["CLOCK_IS_AHEAD_BY"])
time.time = lambda: _true() + _by
from clipfleet_workers.cli import main
main()
"""


class Fleet:
    """One worker of each kind, and a producer; each leads a process group of its own.

    They run in `folder`/work: whatever descends from them is found by that.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str], producer: list[str]) -> None:
        self.work = folder / "work"
        self.work.mkdir()
        self.log = folder / "fleet.log"
        self._env = {**os.environ, **settings}
        self._producer_command = [str(Path(sys.executable).with_name("clipfleet")), *producer]
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ended = set[int]()

    def start_all(self) -> None:
        """Start every worker, and the producer."""
        for kind in KINDS:
            self.start(kind)
        self.start_producer()

    def start(self, kind: str, *, clock_s: float = 0.0) -> None:
        """Start a worker, with a clock that is ahead by so much."""
        arguments = [kind, *_FLAGS[kind]]
        command = [sys.executable, "-m", "clipfleet_workers", *arguments]
        env = {**self._env}
        if clock_s:
            command = [sys.executable, "-P", "-c", _SHIFTED, *arguments]
            env["CLOCK_IS_AHEAD_BY"] = str(clock_s)
        self._run(kind, command, env)

    def start_producer(self) -> None:
        """Start it: on a run that is there, it goes on with it."""
        self._run("producer", self._producer_command, self._env)

    def _run(self, name: str, command: list[str], env: dict[str, str]) -> None:
        with self.log.open("a") as log:
            self.processes[name] = subprocess.Popen(
                command,
                env=env,
                cwd=self.work,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    def signal(self, name: str, number: signal.Signals) -> None:
        """To every process of the group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.processes[name].pid, number)

    def kill(self, name: str, chance: random.Random) -> str:
        """kill -9, all of it or one process of it; returns which."""
        process = self.processes[name]
        try:
            pool = psutil.Process(process.pid).children()
        except psutil.NoSuchProcess:
            pool = []
        which = chance.choice(("all", "main", "pool" if pool else "all"))
        if which == "all":
            self.signal(name, signal.SIGKILL)
        elif which == "main":
            process.kill()
        else:
            with contextlib.suppress(psutil.NoSuchProcess):
                chance.choice(pool).kill()
        return which

    def ended(self, name: str) -> int | None:
        """Its exit code, once what is left of its group is gone as well."""
        process = self.processes[name]
        code = process.poll()
        if code is not None and process.pid not in self._ended:
            self._ended.add(process.pid)  # its number may be another's soon
            self.signal(name, signal.SIGKILL)
        return code

    def stop(self) -> None:
        """End the workers politely."""
        for kind in KINDS:
            self.processes[kind].terminate()
        for kind in KINDS:
            self.processes[kind].wait(60)

    def end(self) -> None:
        """End whatever there is."""
        for name, process in self.processes.items():
            if self.ended(name) is None:
                self.signal(name, signal.SIGKILL)
                process.wait()
        for stray in self.left():
            with contextlib.suppress(psutil.NoSuchProcess):
                stray.kill()

    def left(self, *, within_s: float = 0.0) -> list[psutil.Process]:
        """Every live process that descends from these, and still does after so long."""
        deadline = time.monotonic() + within_s
        while (found := self._left()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found

    def _left(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                inside = Path(process.cwd()).is_relative_to(self.work)
                if inside and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found
