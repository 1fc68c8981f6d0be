"""What is too long for memory lies on disk, and is gone with its process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

# A list of clips twice as long on disk as the memory that may be had for it.
LINES = """
import resource, sys
from clipfleet import keys
from clipfleet.errors import ClipfleetError
from clipfleet.records import ManifestLine
from clipfleet_producer.sources.unique import unique

def lines(count):
    for number in range(count):
        source = f"s3://bucket/{number}.mp4"
        metadata = {"text": f"{number:4000}"}
        yield ManifestLine(clip_uuid=keys.clip_uuid(source), source=source, metadata=metadata)
"""
WAITS = (
    LINES
    + "found = unique(lines(20_000), shuffle=1)\nnext(found)\nprint('ready', flush=True)\ninput()"
)
FULL = (
    LINES
    + """
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
try:
    next(unique(lines(20_000), shuffle=1))
except ClipfleetError as error:
    print(type(error).__name__, error, sep=": ")
"""
)
GROWTH = (
    LINES
    + """
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

assert sum(1 for _ in unique(lines(10), shuffle=1)) == 10
before = peak()
assert sum(1 for _ in unique(lines(50_000), shuffle=1)) == 50_000
print(peak() - before)
"""
)


def start(program: str, temp: Path) -> subprocess.Popen[str]:
    """The program as a process of its own, whose temporary files are to lie in `temp`."""
    there = {name: value for name, value in os.environ.items() if name != "SQLITE_TMPDIR"}
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={**there, "TMPDIR": str(temp)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_nothing_is_left_of_it_after_kill_9(tmp_path: Path) -> None:
    with start(WAITS, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        held = [str(fd.readlink()) for fd in Path(f"/proc/{process.pid}/fd").iterdir()]
        named = list(tmp_path.iterdir())
        process.send_signal(signal.SIGKILL)

    assert any(place.startswith(str(tmp_path)) for place in held), held
    assert named == []
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_with_what_to_do(tmp_path: Path) -> None:
    with start(FULL, tmp_path) as process:
        said, _ = process.communicate(timeout=60)

    assert said.startswith("SpoolFull: the list of clips cannot be kept on disk (")
    assert "set TMPDIR" in said


def test_memory_does_not_grow_with_the_list(tmp_path: Path) -> None:
    with start(GROWTH, tmp_path) as process:
        said, _ = process.communicate(timeout=120)

    assert int(said) < 100  # MB, for 200 MB of lines
