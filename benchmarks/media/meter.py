"""CPU seconds, wall seconds and peak memory of a stretch of work in this process.

Imports nothing but the standard library: the peer's own environment runs it too.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

Details = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a stretch of work took: seconds, of this process and of what it started, and memory.

    `peak_mb` (10^6 bytes) is the process's peak so far, without what it started, its imports
    included: what a worker that does this work has to be given. `details` are a side's own
    figures, by name.
    """

    cpu_s: float
    wall_s: float
    peak_mb: float
    details: Details

    @classmethod
    def from_line(cls, line: str) -> "Usage":
        """The usage that a side printed."""
        return cls(**json.loads(line))


def report(work: Callable[[], Details]) -> None:
    """Do the work and print its usage as one line of JSON; `work` returns the details."""
    started_s, cpu_started_s = time.perf_counter(), cpu_seconds()
    details = work()
    usage = Usage(
        cpu_s=cpu_seconds() - cpu_started_s,
        wall_s=time.perf_counter() - started_s,
        peak_mb=peak_mb(),
        details=details,
    )
    sys.stdout.write(json.dumps(asdict(usage)) + "\n")


def cpu_seconds() -> float:
    """User and system time of this process and of the children that it has waited for."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def peak_mb(pid: int | None = None, *, name: str | None = None) -> float:
    """A process's peak memory, in 10^6 bytes; this one's without `pid`.

    0 where the process has another `name`, or none of its own any more.

    From /proc and not from `ru_maxrss`: a process that was started with vfork, as Python does,
    begins with the peak of the one that started it, so ffmpeg would count as all of the peer.
    Until it becomes ffmpeg it still shares that memory and that name.
    """
    lines = Path(f"/proc/{pid or 'self'}/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    if name is not None and status["Name"].strip() != name:
        return 0.0
    return int(status.get("VmHWM", "0").split()[0]) * 1024 / 1e6
