"""Plants faults, one at a time, and says whether the file that must turn red does.

The tree is copied first, as git knows it and as it is now; the tests run on the copy.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.planted import FAULTS, plant
from tests.support.tree import python_path

ROOT = Path(__file__).parents[2]
FAILED = 1  # pytest's exit status for tests that failed; all else is no verdict


def main() -> int:
    """Run it; 1 where a file stayed green, or was red before."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FAULTS)}")
    parser.add_argument("--tree", type=Path, default=ROOT, help="another checkout to plant them in")
    parser.add_argument(
        "--control", action="store_true", help="plant nothing: the files must be green"
    )
    given = parser.parse_args()
    if unknown := set(given.names) - set(FAULTS):
        parser.error(f"no such fault: {', '.join(unknown)}; there are {', '.join(FAULTS)}")
    wrong = 0
    for name in given.names or FAULTS:
        fault, began = FAULTS[name], time.monotonic()
        with tempfile.TemporaryDirectory(prefix="p") as folder:
            tree = Path(folder)
            copy(given.tree, tree)
            place = "nowhere" if given.control else plant(fault, tree).relative_to(tree)
            status, said = run(tree, fault.turns_red)
        wanted = 0 if given.control else FAILED
        wrong += status != wanted
        verdict = {0: "green", FAILED: "red"}.get(status, f"exit status {status}")
        took = f"{time.monotonic() - began:.0f} s"
        print(f"{name}: {fault.symbol} in {place}: {fault.turns_red} {verdict}, {took}", flush=True)
        if status != wanted:
            print(said)
    return int(bool(wrong))


def copy(tree: Path, to: Path) -> None:
    """The tree's files that git tracks or would."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=tree, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (tree / name).exists():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tree / name, to / name)


def run(tree: Path, file: str) -> tuple[int, str]:
    """A test file of the tree, in one process, up to its first failure: exit status, output."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", file]
    environment = {**os.environ, "PYTHONPATH": python_path(tree)}  # before the installed tree
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout[-3000:]


if __name__ == "__main__":
    sys.exit(main())
