"""Runs the project's commands as a person would, and sees what they leave behind."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

BIN = Path(sys.executable).parent
# What a user's folder may hold, and we must not import.
OWN_MODULES = ("producer.py", "workers.py", "review.py", "samples.py")


def command_line(process: psutil.Process) -> str:
    """A process's command line; empty once it has ended, a zombie included."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # psutil.ZombieProcess is one
        return ""


def description(process: psutil.Process) -> str:
    """What a process is, for a message; empty once it has ended."""
    line = command_line(process)
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        group, session = os.getpgid(process.pid), os.getsid(process.pid)
        relations = f"parent {process.ppid()}, group {group}, session {session}"
        return line and f"{process.pid} ({process.status()}, {relations}) {line}"
    return ""


class Cli:
    """Commands in an environment and a folder of their own.

    Every descendant is found again by its working folder, which lies below `temp`: some processes
    overwrite their environment with a title, and the broker moves to its own temp folder.
    """

    def __init__(self, cache: Path) -> None:
        # Short: vLLM's sockets lie below it, and a socket's path has at most 107 characters.
        self.temp = Path(tempfile.mkdtemp(prefix="c"))
        self.home = self.temp / "home"
        self.tmp = self.temp / "a tmp"  # with a space: some are
        self.work = self.temp / "work"
        for folder in (self.home, self.tmp, self.work):
            folder.mkdir()
        for name in OWN_MODULES:
            (self.work / name).write_text("raise SystemExit('not ours')")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CLIPFLEET_", "XDG_"))}
        self.env = {
            **kept,
            "HOME": str(self.home),
            "TMPDIR": str(self.tmp),
            "CLIPFLEET_CACHE_DIR": str(cache),
            "COLUMNS": "120",
            "HF_HUB_OFFLINE": "1",
        }

    @classmethod
    @contextlib.contextmanager
    def alone(cls, cache: Path) -> "Iterator[Cli]":
        """Commands that are ended; raises AssertionError if they leave anything behind."""
        commands = cls(cache)
        try:
            yield commands
            assert commands.left_behind() == []
        finally:
            commands.end()
            shutil.rmtree(commands.temp, ignore_errors=True)

    def start(self, *arguments: str | Path, **env: str) -> "subprocess.Popen[str]":
        """Start `clipfleet ARGUMENTS` in the background, in a process group of its own."""
        return subprocess.Popen(
            [str(BIN / "clipfleet"), *map(str, arguments)],
            env={**self.env, **env},
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )

    def run(
        self, *arguments: str | Path, timeout_s: float = 240, **env: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run `clipfleet ARGUMENTS` to its end; output and errors are both in `stdout`."""
        process = self.start(*arguments, **env)
        try:
            out, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=60)
            raise AssertionError(f"not done within {timeout_s} s; it said:\n{out}") from None
        return subprocess.CompletedProcess(process.args, process.returncode, out)

    def processes(self) -> list[psutil.Process]:
        """Every live process that descends from these commands, wherever its parent is now."""
        found = []
        for process in psutil.process_iter():
            try:
                inside = Path(process.cwd()).is_relative_to(self.temp)
                if inside and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def left_behind(self, within_s: float = 5.0) -> list[str]:
        """What is still there some seconds after the commands ended: processes and temp files."""
        deadline = time.monotonic() + within_s
        while (left := self._left()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return left

    def _left(self) -> list[str]:
        processes = [line for process in self.processes() if (line := description(process))]
        files = [str(p.relative_to(self.temp)) for p in self.temp.rglob("*")]
        ours = {"home", "a tmp", "work", *(f"work/{name}" for name in OWN_MODULES)}
        return [*processes, *(f for f in files if f not in ours)]

    def end(self) -> None:
        """End what is left, by process id."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
