"""What a clip of usual size costs: requests and bytes to an S3 store, commands, CPU by worker.

Requests and bytes are counted by a proxy before a real server.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import redis

from benchmarks.media.clips import CLIPS, make
from benchmarks.media.setup import workplace
from benchmarks.report import Row
from benchmarks.scale.fleet import fleet
from tests.support.broker import BrokerServer
from tests.support.s3_server import S3Server
from tests.support.store_proxy import StoreProxy

COUNT = 20
CLIP = "10s-720p-h264"
ENCODINGS = ("raw", "zstd", "jpeg444")


def store_rows() -> list[Row]:
    """For staged clips of one window, 16 frames of 1008 × 560, with its preview."""
    with tempfile.TemporaryDirectory(prefix="clipfleet-bench-") as name:
        folder = Path(name)
        (clip,) = (each for each in CLIPS if each.name == CLIP)
        source = make(clip, workplace() / "clips")
        (folder / "clips").mkdir()
        for number in range(COUNT):
            shutil.copyfile(source, folder / "clips" / f"{number}.mp4")
        rows = [Row("clip_mb", source.stat().st_size / 1e6, "MB")]
        with S3Server(folder) as server, StoreProxy(server.port) as proxy:
            env = {
                "CLIPFLEET_S3_ENDPOINT": f"http://127.0.0.1:{proxy.port}",
                "CLIPFLEET_S3_ACCESS_KEY": server.access_key,
                "CLIPFLEET_S3_SECRET_KEY": server.secret_key,
            }
            for encoding in ENCODINGS:
                own = folder / encoding  # a broker that was here before still knows its workers
                own.mkdir()
                rows += _rows(folder / "clips", own, proxy, env, encoding)
        return rows


def _rows(
    clips: Path, folder: Path, proxy: StoreProxy, env: dict[str, str], encoding: str
) -> list[Row]:
    uri = f"s3://bench-{uuid.uuid4()}"
    with (
        BrokerServer(folder) as broker,
        fleet(broker, uri, folder, gpus=1, rate=100, slots=16, env=env) as workers,
    ):
        client = redis.Redis.from_url(broker.url)
        proxy.carried.clear()
        stats, cpu = client.info("stats"), workers.cpu_s()
        command = [sys.executable, "-m", "clipfleet_producer", "submit", str(clips)]
        command += ["--wait", "--captioning-frame-encoding", encoding]
        told = {"CLIPFLEET_BROKER": broker.url, "CLIPFLEET_STORE": uri, **env}
        done = subprocess.run(command, env={**os.environ, **told}, stdout=subprocess.DEVNULL)
        carried, stats_after, cpu_after = dict(proxy.carried), client.info("stats"), workers.cpu_s()
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}")
    per_clip = {what: count / COUNT for what, count in carried.items()}
    mb = {"up": per_clip.pop("up") / 1e6, "down": per_clip.pop("down") / 1e6}
    rows = [Row(f"requests/{encoding}/{way}", n, "a clip") for way, n in sorted(per_clip.items())]
    rows.append(Row(f"requests/{encoding}", sum(per_clip.values()), "a clip"))
    rows += [Row(f"store_mb_{way}/{encoding}", value, "MB a clip") for way, value in mb.items()]
    for name, key in (
        ("broker_commands", "total_commands_processed"),
        ("broker_bytes_in", "total_net_input_bytes"),
        ("broker_bytes_out", "total_net_output_bytes"),
    ):
        rows.append(Row(f"{name}/{encoding}", (stats_after[key] - stats[key]) / COUNT, "a clip"))
    for kind, spent in cpu_after.items():
        ms = (spent - cpu[kind]) / COUNT * 1000
        rows.append(Row(f"cpu/{kind}/{encoding}", ms, "ms a clip"))
    return rows
