"""Requests and bytes to an S3 store for a clip of usual size, counted before a real server."""

import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from benchmarks.media_clips import CLIPS, make
from benchmarks.media_setup import workplace
from benchmarks.report import Row
from benchmarks.scale_fleet import fleet
from tests.broker import BrokerServer
from tests.faults.store_proxy import StoreProxy
from tests.s3_server import S3Server

COUNT = 20
CLIP = "10s-720p-h264"


def store_rows() -> list[Row]:
    """For staged clips of one window, 16 frames of 1008 × 560, with its preview."""
    with tempfile.TemporaryDirectory(prefix="clipfleet-bench-") as name:
        folder = Path(name)
        (clip,) = (each for each in CLIPS if each.name == CLIP)
        source = make(clip, workplace() / "clips")
        (folder / "clips").mkdir()
        for number in range(COUNT):
            shutil.copyfile(source, folder / "clips" / f"{number}.mp4")
        with (
            S3Server(folder) as server,
            StoreProxy(server.port) as proxy,
            BrokerServer(folder) as broker,
        ):
            uri = f"s3://bench-{uuid.uuid4()}"
            env = {
                "CLIPFLEET_S3_ENDPOINT": f"http://127.0.0.1:{proxy.port}",
                "CLIPFLEET_S3_ACCESS_KEY": server.access_key,
                "CLIPFLEET_S3_SECRET_KEY": server.secret_key,
            }
            with fleet(broker, uri, folder, gpus=1, rate=100, slots=16, env=env):
                proxy.carried.clear()
                command = [sys.executable, "-P", "-m", "producer", "submit", str(folder / "clips")]
                told = {"CLIPFLEET_BROKER": broker.url, "CLIPFLEET_STORE": uri, **env}
                done = subprocess.run(
                    [*command, "--wait"], env={**os.environ, **told}, stdout=subprocess.DEVNULL
                )
                carried = dict(proxy.carried)
        if done.returncode:
            raise RuntimeError(f"exit code {done.returncode}")
        per_clip = {what: count / COUNT for what, count in carried.items()}
        mb = {"up": per_clip.pop("up") / 1e6, "down": per_clip.pop("down") / 1e6}
        rows = [Row(f"requests/{method}", n, "a clip") for method, n in sorted(per_clip.items())]
        rows.append(Row("requests", sum(per_clip.values()), "a clip"))
        rows += [Row(f"store_mb_{way}", value, "MB a clip") for way, value in mb.items()]
        return [*rows, Row("clip_mb", source.stat().st_size / 1e6, "MB")]
