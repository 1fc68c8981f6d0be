"""Sets of 100,000 records each: how long commands take that answer from digests.

Two sets of the same clips, each with a finished run, in a folder; `clipfleet sets`, `runs`,
`compare` and `summary` from their start to their end, and the most memory each had.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.export import most_resident_kb
from benchmarks.report import Row, publish
from clipfleet import keys
from clipfleet.options import Options
from clipfleet.records import ClipRecord, digest
from clipfleet.runs import RunCounts, count_record, digest_record
from clipfleet.store import Store, open_store
from tests.support.exported_run import done_record
from tests.support.set_runs import begin_run, put_set

RECORDS = 100_000
WORDS = [f"word{number}" for number in range(2000)]
SETS = {"": Options(), "brief": Options.model_validate({"caption": {"max_output_tokens": 64}})}
COMMANDS = {
    "sets": ["sets"],
    "runs": ["runs"],
    "compare": ["compare", "(default)", "brief"],
    "summary": ["summary", "of-brief"],
}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sets", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a hundredth of it")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    records = RECORDS // 100 if given.quick else RECORDS
    with tempfile.TemporaryDirectory(prefix="clipfleet-bench-") as name:
        folder = Path(name)
        store = open_store(str(folder / "out"))
        store.prepare()
        for number, (each, options) in enumerate(SETS.items()):
            put_set(store, each, options)
            write_records(folder / "out", store, each, records, seed=number)
        rows = [Row("records", records, "in each of two sets")]
        for each, arguments in COMMANDS.items():
            rows += timed(folder, each, arguments)
    publish("sets of many records", rows, json_file=given.json)


def write_records(root: Path, store: Store, name: str, count: int, *, seed: int) -> None:
    """A finished run with a record for each clip, past the store, which syncs each to disk."""
    run = begin_run(store, name, f"of-{name or 'default'}", range(count))
    (root / keys.in_set(name) / keys.RECORDS).mkdir(parents=True)
    total, number = RunCounts(), 0
    for shard in range(run.head.shards):
        counts, lines = RunCounts(), list[str]()
        for _ in run.manifest.shard(shard):
            record = made(number, name, run.run_id, seed)
            data = record.to_bytes()
            (root / keys.record(record.span_uuid, name)).write_bytes(data)
            line = digest_record(record, digest(data))
            lines.append(line.model_dump_json(exclude_defaults=True))
            counts += count_record(record, run.run_id)
            number += 1
        run.done.write(shard, counts, lines)
        total += counts
    run.conclude(total)


def made(number: int, name: str, run_id: str, seed: int) -> ClipRecord:
    """A clip's record: two captions of some 80 words, half of them shared between sets."""
    shared, own = random.Random(number), random.Random((number << 8) + seed)
    captions = [
        " ".join([*shared.choices(WORDS, k=40), *own.choices(WORDS, k=40)]) for _ in range(2)
    ]
    return done_record(number, captions, run_id=run_id, set=name)


def timed(folder: Path, name: str, arguments: list[str]) -> list[Row]:
    """A command, as a user would give it."""
    env = {**os.environ, "CLIPFLEET_STORE": str(folder / "out")}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "clipfleet_producer", *arguments],
        env=env,
        stdout=subprocess.DEVNULL,
    )
    peak_kb = 0
    while process.poll() is None:
        peak_kb = max(peak_kb, most_resident_kb(process.pid))
        time.sleep(0.02)
    if process.returncode:
        raise RuntimeError(f"clipfleet {name}: exit code {process.returncode}")
    return [
        Row(f"{name}_seconds", time.perf_counter() - began, "s, start to end"),
        Row(f"{name}_peak_mb", peak_kb / 1000, "MB"),
    ]


if __name__ == "__main__":
    main()
