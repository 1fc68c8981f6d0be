"""Child processes: started, started again after they died, ever later, and stopped.

`clipfleet-worker --gpus` tends a worker on each GPU by it, `clipfleet run` its broker and workers.
"""

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from clipfleet.errors import FINAL, ExitCode

LONGEST_WAIT_S = 60.0
KILLED_S = 10.0  # a process that the kernel itself waits for does not even end by being killed


@dataclass(frozen=True, kw_only=True)
class Death:
    """A child ended, and would be started again in `wait_s`. Prints as how it ended."""

    code: int  # minus the signal's number, where one ended it
    wait_s: float

    @property
    def is_final(self) -> bool:
        """Whether it would end the same way again: there is something to put right first."""
        return self.code in FINAL

    def __str__(self) -> str:
        if self.code < 0:
            known = {number.value: number.name for number in signal.Signals}
            return f"ended by {known.get(-self.code, f'signal {-self.code}')}"
        name = ExitCode(self.code).name if self.code in set(ExitCode) else "unknown"
        return f"exit code {self.code}, {name.lower().replace('_', ' ')}"


class Child:
    """One child process. A subclass says how it is started (`spawn`).

    `deaths` counts those since it was last known to be well. Before each new start it waits twice
    as long as before the last, up to `LONGEST_WAIT_S`, with jitter, so that children which died of
    the same cause do not come back all at once.
    """

    leads_group = False  # of processes, which are killed with it
    well_s = 600.0  # one that lived longer was well: its next death counts as its first

    def __init__(self, name: str) -> None:
        self.name = name
        self.deaths = 0
        self.pid = 0  # of the last that was started
        self.process: subprocess.Popen[bytes] | None = None
        self._started_at = self._start_at = 0.0

    def spawn(self) -> "subprocess.Popen[bytes]":
        """Start the process."""
        raise NotImplementedError

    def start(self) -> int:
        """Start it; returns its process id. Raises what `spawn` raises."""
        self._started_at = time.monotonic()
        self.process = self.spawn()
        self.pid = self.process.pid
        return self.pid

    def is_due(self) -> bool:
        """Whether it is to be started now."""
        return self.process is None and time.monotonic() >= self._start_at

    def exit_code(self) -> int | None:
        """Its exit code, minus the signal's number where one ended it; None while it runs."""
        return self.process.poll() if self.process is not None else None

    def death(self) -> Death | None:
        """Its death, once: it then waits to be started again."""
        code = self.exit_code()
        if code is None:
            return None
        now = time.monotonic()
        self.deaths = 1 if now - self._started_at > self.well_s else self.deaths + 1
        wait_s = min(LONGEST_WAIT_S, 2.0 ** min(self.deaths - 1, 10)) * random.uniform(0.5, 1.0)
        self.process, self._start_at = None, now + wait_s
        return Death(code=code, wait_s=wait_s)

    def terminate(self) -> None:
        """Ask it to end, if it runs."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()

    def kill(self) -> None:
        """Kill it, and whatever there still is of its group where it leads one."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self.leads_group and self.pid:
                os.killpg(self.pid, signal.SIGKILL)
            elif self.process is not None:
                self.process.kill()

    def wait(self, within_s: float) -> bool:
        """Let it end, for so many seconds at most; whether it has."""
        if self.process is not None:
            try:
                self.process.wait(max(0.0, within_s))
            except subprocess.TimeoutExpired:
                return False
        return True


Kind = TypeVar("Kind", bound=Child)


def tend(
    children: Sequence[Kind],
    *,
    start: Callable[[Kind], object],
    died: Callable[[Kind, Death], object],
) -> None:
    """Start the children that are due, and tell `died` of each that has ended."""
    for child in children:
        if child.is_due():
            start(child)
        if (death := child.death()) is not None:
            died(child, death)


def terminate(children: Sequence[Kind], *, within_s: float) -> list[Kind]:
    """End the children: ask them, and kill those left after `within_s`.

    Returns those that do not even end by that.
    """
    for child in children:
        child.terminate()
    _wait(children, within_s)
    for child in children:
        child.kill()
    return _wait(children, KILLED_S)


def _wait(children: Sequence[Kind], within_s: float) -> list[Kind]:
    """Those that have not ended by then."""
    deadline = time.monotonic() + within_s
    return [child for child in children if not child.wait(deadline - time.monotonic())]
