"""How long each test took, kept from run to run: the longest go first, and a run says what it cost.

`python -m tests.support.durations` prints the last run by file; with `--check-in` it also writes
the table for those who have not run the tests yet.
"""

import argparse
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DURATIONS = ROOT / ".cache" / "durations.json"
CHECKED_IN = ROOT / "tests" / "durations.json"
WORTH_SAYING_S = 1.0
CPU_S = "cpu_s"  # what `tests/conftest.py` adds to a report
KINDS = ("unit", "integration", "engine", "e2e", "faults")


def kind_of(nodeid: str) -> str:
    """A test's kind: the folder below `tests` that it lies in."""
    return nodeid.split("/")[1]


def test_file(nodeid: str) -> str:
    """The path of a test's file, from the project's root."""
    return nodeid.partition("::")[0]


def unit_of(nodeid: str) -> str:
    """What runs in one process: a test's file, or a folder within its kind.

    Tests in such a folder share what is dear to start.
    """
    return "/".join(test_file(nodeid).split("/")[:3])


@dataclass
class Durations:
    """Seconds by test: wall, and CPU of its process and of the children that this reaped."""

    wall_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    cpu_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    last: list[str] = field(default_factory=list)  # the tests of the last run

    @classmethod
    def read(cls, path: Path = DURATIONS) -> "Durations":
        """Those of earlier runs; none where there were none."""
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError):
            return cls()
        return cls(**found)

    def write(self, path: Path = DURATIONS) -> None:
        """Keep them."""
        path.parent.mkdir(exist_ok=True)
        found = {"wall_s": self.wall_s, "cpu_s": self.cpu_s, "last": self.last}
        new = path.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps(found))
        new.replace(path)

    def units(self) -> dict[str, float]:
        """Wall seconds by unit."""
        seconds = defaultdict[str, float](float)
        for nodeid, wall_s in self.wall_s.items():
            seconds[unit_of(nodeid)] += wall_s
        return seconds

    def by_kind(self) -> Iterator[str]:
        """A few words on each kind of the last run."""
        for kind in KINDS:
            tests = [nodeid for nodeid in self.last if kind_of(nodeid) == kind]
            wall_s, cpu_s = (sum(each[t] for t in tests) for each in (self.wall_s, self.cpu_s))
            if tests:
                yield f"{kind} {len(tests):,} tests {wall_s:.0f} s (CPU {cpu_s:.0f} s)"


def longest_first(items: list[pytest.Item]) -> None:
    """Order tests by how long their units took when they last ran, here or where that was noted."""
    noted: dict[str, float] = json.loads(CHECKED_IN.read_text()) if CHECKED_IN.exists() else {}
    known = noted | Durations.read().units()
    items.sort(key=lambda item: (-known.get(unit := unit_of(item.nodeid), 0.0), unit))


class Recorder:
    """A plugin of the process that hears of all tests."""

    def __init__(self) -> None:
        self._durations = Durations()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a phase of a test; its subtests, which tell of themselves as well, are in it."""
        if type(report) is not pytest.TestReport:
            return
        self._durations.wall_s[report.nodeid] += report.duration
        self._durations.cpu_s[report.nodeid] += vars(report).get(CPU_S, 0.0)

    def pytest_sessionfinish(self) -> None:
        """Keep what was noted, beside what is known of tests that did not run."""
        known, new = Durations.read(), self._durations
        there = {path for path in map(test_file, known.wall_s) if (ROOT / path).exists()}
        for old, found in ((known.wall_s, new.wall_s), (known.cpu_s, new.cpu_s)):
            kept = {nodeid: s for nodeid, s in old.items() if test_file(nodeid) in there}
            old.clear()
            old.update(kept | found)
        known.last = list(new.wall_s)
        known.write()


def main() -> None:
    """Print the last run."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.durations", description=__doc__)
    parser.add_argument("--check-in", action="store_true", help=f"write {CHECKED_IN.name}")
    given = parser.parse_args()
    found = Durations.read()
    files: dict[str, list[str]] = {}
    for nodeid in found.last:
        files.setdefault(test_file(nodeid), []).append(nodeid)
    rows = [
        (sum(found.wall_s[t] for t in tests), sum(found.cpu_s[t] for t in tests), len(tests), path)
        for path, tests in files.items()
    ]
    for wall_s, cpu_s, count, path in sorted(rows, reverse=True):
        print(f"{wall_s:7.1f} s {cpu_s:7.1f} s CPU {count:6,} tests  {path}")
    print("; ".join(found.by_kind()))
    if given.check_in:
        units = {unit: round(s) for unit, s in found.units().items() if s >= WORTH_SAYING_S}
        CHECKED_IN.write_text(json.dumps(dict(sorted(units.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
