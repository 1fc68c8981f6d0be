"""A clip that ends its worker each time is recorded as an error, and the rest goes on."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from clipfleet.records import ClipRecord
from tests.broker import BrokerServer
from tests.cli import Cli

pytestmark = pytest.mark.faults

# A prepare worker whose decoder crashes its process on clips that hold the word "poison".
CRASHING_WORKER = """
import os, signal
from workers.media import decode
real_index = decode.index
def index(data):
    if b"poison" in data:
        os.kill(os.getpid(), signal.SIGKILL)
    return real_index(data)
decode.index = index
import sys
sys.argv = ["clipfleet-worker", "prepare", "--concurrency", "1"]
from workers.cli import main
main()
"""


def test_after_three_deaths_the_clip_has_a_record_that_says_so(
    cli: Cli, bad_text_clip: Path, tmp_path: Path
) -> None:
    poison = tmp_path / "poison.mp4"
    poison.write_bytes(b"poison")
    out = tmp_path / "out"
    with BrokerServer(tmp_path) as broker:
        env = {**cli.env, "CLIPFLEET_BROKER": broker.url, "CLIPFLEET_STORE": str(out)}
        env["CLIPFLEET_LEASE_S"] = "3"
        commands = (
            [sys.executable, "-c", CRASHING_WORKER],
            [sys.executable, "-m", "workers", "assemble", "--concurrency", "1"],
        )
        log = (tmp_path / "log").open("w")
        workers = [
            subprocess.Popen(command, env=env, cwd=cli.work, stderr=log, process_group=0)
            for command in commands
        ]
        try:
            submit = cli.run(
                *("submit", poison, bad_text_clip, "--wait"),
                CLIPFLEET_BROKER=broker.url,
                CLIPFLEET_STORE=str(out),
                CLIPFLEET_LEASE_S="3",
                timeout_s=90,
            )
        finally:
            for worker in workers:
                worker.send_signal(signal.SIGTERM)
            for worker in workers:
                worker.wait(30)
            log.close()
    assert submit.returncode == 3, submit.stdout
    records = [
        ClipRecord.model_validate_json(path.read_bytes()) for path in out.glob("metas/v0/*.json")
    ]
    errors = {Path(record.source_video).name: record.errors[0].message for record in records}
    assert errors["poison.mp4"] == "The clip ended its worker 3 times and is not tried again."
    assert "not a video file" in errors["text.mp4"]
    assert (tmp_path / "log").read_text().count("Process 'ForkPoolWorker") == 3


@pytest.fixture
def bad_text_clip(tmp_path: Path) -> Path:
    path = tmp_path / "text.mp4"
    path.write_text("not a video")
    return path
