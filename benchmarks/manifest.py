"""Creating a run of a million clips, and resuming one that is mostly done.

`clipfleet submit` on a manifest of 1,000,000 lines (with a span and a label each, 1 in 100 of them
twice): from its start to its end, and the most memory it had. Then a run of which 100,000 clips are
done and 1,000 are not, the last of its list: from the start of a command to the first clip on the
queue, by `clipfleet feed` of a run begun before, and by `submit --wait` of the same clips anew.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import redis

from benchmarks.export import most_resident_kb
from benchmarks.report import Row, publish
from clipfleet import keys
from clipfleet.options import Options
from clipfleet.queues import PREPARE
from clipfleet.runs import RunCounts, count_record
from clipfleet.store import open_store
from clipfleet_producer.runs import manifest
from clipfleet_producer.runs.store import RunStore
from tests.support.broker import BrokerServer
from tests.support.exported_run import done_record

OPTIONS = Options()
TWICE = 100


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.manifest", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a hundredth of it")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    share = 100 if given.quick else 1
    lines, done, left = 1_000_000 // share, 100_000 // share, 1000 // share
    with tempfile.TemporaryDirectory(prefix="clipfleet-bench-") as name:
        folder = Path(name)
        with BrokerServer(folder) as server:
            rows = write_rows(folder, server, lines)
        (folder / "other").mkdir()
        with BrokerServer(folder / "other") as server:
            rows += resume_rows(folder / "other", server, done, left)
    publish("a run's list of clips", rows, json_file=given.json)


def write_rows(folder: Path, server: BrokerServer, lines: int) -> list[Row]:
    """One manifest, read, each clip once, in shards."""
    listed = folder / "list.jsonl"
    with listed.open("w") as file:
        for number in range(lines):
            which = number - 1 if number % TWICE == TWICE - 1 else number
            row = {"clip": f"s3://clips/day-{which % 365}/{which:09d}.mp4", "span": [0.5, 9.75]}
            file.write(json.dumps({**row, "label": f"crossing {which}"}) + "\n")
    began = time.monotonic()
    process = command(folder, server, "submit", str(listed), "--run", "big")
    peak_kb = 0
    while (status := process.poll()) is None:
        peak_kb = max(peak_kb, most_resident_kb(process.pid))
        time.sleep(0.02)
    seconds = time.monotonic() - began
    head = RunStore.open(open_store(str(folder / "out")), "big").head
    if status or head.clips != lines - lines // TWICE:
        raise RuntimeError(f"status {status}, {head.clips} clips")
    return [
        Row("lines", lines, "of a manifest"),
        Row("write_seconds", seconds, "s, start to end of `submit`"),
        Row("write_peak_mb", peak_kb / 1000, "MB"),
        Row("shards", head.shards, "shards"),
    ]


def resume_rows(folder: Path, server: BrokerServer, done: int, left: int) -> list[Row]:
    """A run that is almost done."""
    store = open_store(str(folder / "out"))
    store.prepare()
    (folder / "out" / keys.RECORDS).mkdir(parents=True)
    listed = folder / "list.csv"
    counts = RunCounts()
    with listed.open("w") as file:
        file.write("clip\n")
        for number in range(done + left):
            record = done_record(number, run_id="r")
            if number < done:  # past the store, which syncs each to disk
                (folder / "out" / keys.record(record.span_uuid)).write_bytes(record.to_bytes())
                counts = count_record(record, "r")
            file.write(record.source_video + "\n")
    client = redis.Redis.from_url(server.url)
    anew = first_fed(client, command(folder, server, "submit", str(listed), "--run=r", "--wait"))
    run, places = RunStore.open(store, "r"), 0
    for shard in range(run.head.shards):  # as the feeder leaves it that brought it so far
        places += manifest.lines_in(shard)
        if places <= done:
            many = {
                name: value * manifest.lines_in(shard) for name, value in counts if name != "errors"
            }
            run.done.write(shard, RunCounts(**many), [])
    client.flushall()
    resumed = first_fed(client, command(folder, server, "feed", "r"))
    return [
        Row("done_before", done, "clips"),
        Row("resume_seconds", resumed, "s, start of `feed` to the first clip on the queue"),
        Row("anew_seconds", anew, "s, start of `submit --wait` of the same clips to the first"),
    ]


def first_fed(client: redis.Redis, process: "subprocess.Popen[bytes]") -> float:
    """Seconds until a clip is on the queue; then the command is terminated."""
    began = time.monotonic()
    while not client.llen(PREPARE):
        if process.poll() is not None:
            raise RuntimeError(f"it ended with exit code {process.returncode}")
        time.sleep(0.01)
    seconds = time.monotonic() - began
    process.terminate()
    process.wait()
    return seconds


def command(folder: Path, server: BrokerServer, *arguments: str) -> "subprocess.Popen[bytes]":
    """A command of `clipfleet`."""
    env = {"CLIPFLEET_BROKER": server.url, "CLIPFLEET_STORE": str(folder / "out")}
    return subprocess.Popen(
        [sys.executable, "-m", "clipfleet_producer", *arguments],
        env={**os.environ, **env},
        stdout=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    main()
