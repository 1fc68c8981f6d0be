"""Runs under a storm of faults: does every clip end with one complete record, the same as without?

First a quiet run. Then, seed by seed, the same clips on a new broker and an empty store while
workers of every kind are killed and stopped, the broker killed, restarted and emptied, the store
killed and slowed, one of its writes in ten refused, cut short or its answer lost, the producer
killed, the disk filled, and clocks moved. A seed's timetable is always the same. Captions are those
of `mini` on the engine transformers, which gives the same words whatever else is in flight.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.report import Row, publish
from tests.support.s3_server import S3Server
from tests.support.storm.campaign import Outcome, campaign, small_disk
from tests.support.storm.storm import FULL, Extent


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="20 clips, one short storm")
    parser.add_argument("--clips", type=int, help="[default: 300]")
    parser.add_argument("--seeds", type=int, nargs="*", help="[default: 1 2 3 4 5]")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    clips = given.clips or (20 if given.quick else 300)
    seeds = given.seeds or ([1] if given.quick else [1, 2, 3, 4, 5])
    extent = Extent(seconds=40) if given.quick else FULL
    with tempfile.TemporaryDirectory(prefix="clipfleet-bench-") as name:
        folder = Path(name)
        write = [str(Path(sys.executable).with_name("clipfleet")), "samples", str(folder / "clips")]
        # In a separate process: one encoder gives its whole process real-time priority.
        subprocess.run([*write, "--count", str(clips), "--seed", "1"], check=True)
        with small_disk(folder / "disk") as disk, S3Server(folder / "s3") as server:
            print("a quiet run", file=sys.stderr)
            quiet = campaign(folder, server, disk, Extent.none(), seed=0)
            found = {}
            for seed in seeds:
                print(f"seed {seed}", file=sys.stderr)
                found[seed] = campaign(folder, server, disk, extent, seed=seed)
                found[seed].wrong["unlike_quiet"] = found[seed].after.unlike(quiet.after)
                shown = f"{found[seed].seconds:.0f} s, {found[seed].wrong}"
                print(f"\r{shown}", file=sys.stderr, flush=True)
    title = f"{clips} clips under {len(seeds)} storms"
    publish(title, rows(quiet, found), json_file=given.json)


def rows(quiet: Outcome, found: dict[int, Outcome]) -> list[Row]:
    """The figures."""
    rows = [
        Row("clips", len(quiet.after.records), "a run"),
        Row("windows", quiet.after.windows, "a run"),
        Row("seconds/quiet", quiet.seconds, "s"),
    ]
    rows += [Row(f"seconds/{seed}", each.seconds, "s") for seed, each in found.items()]
    for what in next(iter(found.values())).wrong:
        wrong = sum(len(each.wrong[what]) for each in found.values())
        rows.append(Row(what, wrong, f"in {len(found)} storms"))
    done = sum((each.done for each in found.values()), Counter[str]())
    rows += [Row(f"faults/{what}", count, "") for what, count in sorted(done.items())]
    return rows


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends what it started
    began = time.monotonic()
    main()
    print(f"{time.monotonic() - began:.0f} s in all", file=sys.stderr)
