"""Thousands of inputs through processes that take them one after another, and what they showed."""

import contextlib
import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.fuzz.child import INPUT_NAME, SEEDS_NAME, Outcome
from tests.support.fuzz.seeds import make_seeds
from tests.support.fuzz.worker import DECODE_S
from tests.support.priority import be_ordinary

PATIENCE_S = 6 * DECODE_S


@contextlib.contextmanager
def room() -> Iterator[Path]:
    """A folder for clips, on disk, with one for a store, `out`, in memory.

    A store waits for the disk at every write; clips lie where there are places that no file has.
    """
    memory = Path("/dev/shm")
    in_memory = tempfile.TemporaryDirectory(
        prefix="clipfleet-bench-", dir=memory if memory.is_dir() else None
    )
    with tempfile.TemporaryDirectory(prefix="clipfleet-bench-") as name, in_memory as store:
        (Path(name) / "out").symlink_to(store)
        yield Path(name)


def write_seeds(folder: Path) -> None:
    """The clips to start from, in the folder."""
    names = {}
    for place, (kind, data) in enumerate(make_seeds().items()):
        names[kind] = f"seed-{place}"
        (folder / names[kind]).write_bytes(data)
    be_ordinary()
    (folder / SEEDS_NAME).write_text(json.dumps(names))


@dataclass
class Course:
    """Inputs of one sort (`clips`, `texts`, `splices`) through processes, and what they showed."""

    what: str
    folder: Path
    seed: int
    keep: Path | None
    module: str = "tests.support.fuzz.child"
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)  # by kind and end
    faults: Counter[str] = field(default_factory=Counter)  # by kind
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)  # by kind and name
    crashes: int = 0
    hangs: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0
    peak_mb: float = 0.0
    memory: list[float] = field(default_factory=list)  # of the process that lived longest

    def run(self, first: int, end: int) -> None:
        """Take the inputs from `first` to `end`."""
        began, number = time.monotonic(), first
        while number < end:
            memory = []
            child = Child(self, number, end)
            with child:
                for outcome in child.outcomes():
                    number = outcome.number + 1
                    memory.append(outcome.resident_mb)
                    self._note(outcome)
                    if number % 100 == 0:
                        said = f"\r{number:,} of {end:,} {self.what}, {memory[-1]:,.0f} MB"
                        print(said, end="", file=sys.stderr)
            self.memory = max(self.memory, memory, key=len)
            if number < end:  # this one ended it
                self._note_end(number, child)
                number += 1
        self.seconds += time.monotonic() - began
        print(file=sys.stderr)

    def _note(self, outcome: Outcome) -> None:
        self.ends[outcome.kind, outcome.end] += 1
        for name, count in outcome.counts.items():
            self.counts[outcome.kind, name] += count
        self.slowest_s = max(self.slowest_s, outcome.seconds)
        self.peak_mb = max(self.peak_mb, outcome.peak_mb)
        if outcome.fault:
            self.faults[outcome.kind] += 1
            self._show(outcome.number, f"{outcome.kind}: {outcome.how}\n{outcome.fault}")

    def _note_end(self, number: int, child: "Child") -> None:
        # The guard ends a process whose decoder hangs, with 1; one that even so lives on is killed.
        hung = child.killed or (child.code == 1 and child.silent_s > 2 * DECODE_S)
        self.hangs += hung
        self.crashes += not hung
        how = "hung" if hung else f"ended its process with {child.code}"
        self._show(number, f"{how} after {child.silent_s:.1f} s\n{child.last_error_line()}")
        self.save(number, self.folder / INPUT_NAME)

    def _show(self, number: int, text: str) -> None:
        shown = f"{self.what} {number}, seed {self.seed}: {text}"
        print(f"\n{shown[:3000]}", file=sys.stderr)
        if self.keep is not None:
            self.keep.mkdir(parents=True, exist_ok=True)
            (self.keep / f"{self.what}-{self.seed}-{number}.txt").write_text(shown)

    def save(self, number: int, path: Path) -> None:
        """Keep an input, where any are to be kept."""
        if self.keep is not None and path.exists():
            self.keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, self.keep / f"{self.what}-{self.seed}-{number}")


class Child:
    """One process that takes inputs until there are no more, or it ends."""

    def __init__(self, course: Course, first: int, end: int) -> None:
        self._log = course.folder / "child.log"
        self._module = ["-X", "faulthandler", "-m", course.module, course.what]
        self._range = [str(course.folder), str(course.seed), str(first), str(end)]
        self.killed, self.code, self.silent_s = False, 0, 0.0

    def __enter__(self) -> "Child":
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._module, *self._range], stdout=subprocess.PIPE, stderr=log
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def outcomes(self) -> Iterator[Outcome]:
        """Each input's outcome, until the process ends, or is killed because it hangs."""
        assert self._process.stdout is not None
        pipe, unread = self._process.stdout.fileno(), b""
        heard = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while selector.select(max(0.0, heard + PATIENCE_S - time.monotonic())):
                data = os.read(pipe, 1 << 16)
                if not data:
                    break
                heard = time.monotonic()
                *lines, unread = (unread + data).split(b"\n")
                for line in lines:
                    yield Outcome(**json.loads(line))
            else:
                self.killed = True
                self._process.kill()
        self.code = self._process.wait()
        self.silent_s = time.monotonic() - heard

    def last_error_line(self) -> str:
        """The end of what it wrote to stderr."""
        return self._log.read_text(errors="replace")[-2000:]
