"""One run of a whole fleet through one storm, and what is there when it is over."""

import contextlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clipfleet.store import Store
from tests.support.broker import BrokerServer
from tests.support.s3_server import S3Server
from tests.support.store_proxy import StoreProxy
from tests.support.storm.aftermath import Aftermath, left_over
from tests.support.storm.fleet import MINI, Fleet
from tests.support.storm.storm import Extent, Storm

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
    """The outcome of one run. Lists name what is wrong."""

    seconds: float
    after: Aftermath
    wrong: dict[str, list[str]]
    done: Counter[str]


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
    store = server.store(f"s3://chaos/seed-{seed}")
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
