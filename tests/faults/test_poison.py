"""A clip that ends its worker each time is recorded as an error, and the rest goes on."""

from pathlib import Path

from tests.support.small_fleet import SmallFleet

# A prepare worker whose decoder crashes its process on clips that hold the word "poison".
CRASHING_WORKER = """
import os, signal, sys
from clipfleet_workers.media import decode
real_index = decode.index
def index(file, guard):
    file.seek(0)
    if file.read() == b"poison":
        os.kill(os.getpid(), signal.SIGKILL)
    return real_index(file, guard)
decode.index = index
sys.argv = ["clipfleet-worker", "prepare"]
from clipfleet_workers.cli import main
main()
"""


def test_after_three_deaths_the_clip_has_a_record_that_says_so(
    small_fleet: SmallFleet, text_clip: Path, tmp_path: Path
) -> None:
    poison = tmp_path / "poison.mp4"
    poison.write_bytes(b"poison")
    small_fleet.start(prepare=CRASHING_WORKER)
    done = small_fleet.submit(poison, text_clip, "--wait")

    assert done.returncode == 3, done.stdout
    records = small_fleet.records()
    said = records["poison.mp4"].errors[0].message
    assert said == "it ended its worker 3 times and is not tried again (setting max_deliveries)"
    assert "not a video file" in records["text.mp4"].errors[0].message
    assert small_fleet.log.read_text().count("Process 'ForkPoolWorker") == 3
