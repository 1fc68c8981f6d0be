"""Runs under a storm: whatever dies, is every clip there in the end, once, whole and the same?

First a quiet run. Then, seed by seed, the same clips on a new broker and an empty store while
workers of every kind are killed and stopped, the broker killed, restarted and emptied, the store
killed and slowed, one of its writes in ten refused, cut short or its answer lost, the producer
killed, the disk filled, and clocks moved. A seed's timetable is always the same. Captions are those
of `mini` on the engine transformers, which gives the same words whatever else is in flight.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Row, publish
from clipfleet.store import Store, open_store
from tests.broker import BrokerServer
from tests.faults.aftermath import Aftermath, left_over
from tests.faults.fleet import MINI, Fleet
from tests.faults.store_proxy import StoreProxy
from tests.faults.storm import FULL, Extent, Storm
from tests.s3_server import S3Server

LEASE_S = 4.0
GIVE_UP_S = 1800.0
DISK_MB = 64
RUN = "storm"
OPTIONS = [
    *("--captioning-window-size", "96", "--captioning-remainder-threshold", "48"),
    *("--captioning-max-output-tokens", "16", "--enhance-captions-max-output-tokens", "16"),
    *("--enhance-captions", *MINI, "--enhance-captions-algorithm", "mini"),
]


@dataclass
class Outcome:
    """What came of one run. Lists name what is wrong."""

    seconds: float
    after: Aftermath
    wrong: dict[str, list[str]]
    done: Counter[str]


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
        # A process of its own: one encoder gives the whole process that uses it real-time priority.
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


def campaign(
    folder: Path, server: S3Server, disk: Path | None, extent: Extent, *, seed: int
) -> Outcome:
    """One run through one storm, and what is there when it is over."""
    here = folder / f"seed-{seed}"
    here.mkdir()
    store = store_of(server, seed)
    with BrokerServer(here) as broker, StoreProxy(server.port, seed=seed) as proxy:
        settings = {
            "CLIPFLEET_BROKER": broker.url,
            "CLIPFLEET_STORE": store.uri,
            "CLIPFLEET_S3_ENDPOINT": f"http://127.0.0.1:{proxy.port}",
            "CLIPFLEET_S3_ACCESS_KEY": server.access_key,
            "CLIPFLEET_S3_SECRET_KEY": server.secret_key,
            "CLIPFLEET_LEASE_S": str(LEASE_S),
            # Those who are killed at random are not to be given up for it.
            "CLIPFLEET_MAX_DELIVERIES": "20",
            "CLIPFLEET_ENGINE": "transformers",
            "CLIPFLEET_CACHE_DIR": str(folder / "cache"),
            "TMPDIR": str(disk or here),
            "OMP_NUM_THREADS": "1",
        }
        producer = ["submit", str(folder / "clips"), "--wait", "--run", RUN, *OPTIONS]
        fleet = Fleet(here, settings, producer)
        try:
            storm = Storm(
                fleet,
                broker,
                server,
                proxy,
                disk=disk,
                lease_s=LEASE_S,
                extent=extent,
                seed=seed,
            )
            seconds = storm.blow(give_up_s=GIVE_UP_S)
            left = left_over(store, broker.url, within_s=10 * LEASE_S)
            fleet.stop()
            left += [f"process {process.pid}" for process in fleet.left(within_s=5.0)]
        finally:
            fleet.end()
    after = Aftermath(store, RUN)
    wrong = {
        "lost": after.lost(),
        "doubled": after.doubled(),
        "torn": [*after.torn, *after.torn_previews()],
        "left_over": left,
    }
    return Outcome(seconds, after, wrong, storm.done + proxy.met)


def store_of(server: S3Server, seed: int) -> Store:
    """The store of one run, reached without the proxy."""
    store = open_store(
        f"s3://chaos/seed-{seed}",
        s3_endpoint=server.endpoint,
        s3_access_key=server.access_key,
        s3_secret_key=server.secret_key,
    )
    store.prepare()
    return store


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A file system that can be filled; None where it cannot be mounted."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        yield None
        return
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False).returncode:
        yield None  # as root without the right to
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


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
