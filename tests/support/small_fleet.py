"""A fleet without an engine: a broker, a folder store, a prepare and an assemble worker."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import redis

from clipfleet.records import ClipRecord
from tests.support.broker import BrokerServer
from tests.support.cli import Cli
from tests.support.cli_here import run_here

LEASE_S = 3.0


def write_texts(folder: Path, count: int) -> Path:
    """So many files in a new folder that no worker can cut: each comes to a record that says so."""
    folder.mkdir()
    for number in range(count):
        path = folder / f"{folder.name}-{number:03d}.mp4"
        path.write_text(f"not a video {folder.name} {number}")
    return folder


class SmallFleet:
    """What clips without a window need from start to end: those that cannot be captioned."""

    def __init__(self, cli: Cli, broker: BrokerServer, folder: Path) -> None:
        self._cli = cli
        self.broker = broker
        self.out = folder / "out"
        self.log = folder / "workers.log"
        self.settings = {
            "CLIPFLEET_BROKER": broker.url,
            "CLIPFLEET_STORE": str(self.out),
            "CLIPFLEET_LEASE_S": str(LEASE_S),
        }
        self.env, self.work = cli.env, cli.work
        self._workers: list[subprocess.Popen[bytes]] = []

    def start(self, *, prepare: str | None = None, also: Sequence[str] = ()) -> None:
        """Start the workers; `prepare` is a program to run in place of the prepare worker.

        `also` are modules with their arguments to run as workers beside these, as `-m` takes them.
        """
        as_is = [sys.executable, "-m", "clipfleet_workers"]
        commands = [
            [sys.executable, "-P", "-c", prepare] if prepare else [*as_is, "prepare"],
            [*as_is, "assemble"],
            *([sys.executable, "-P", "-m", *module.split()] for module in also),
        ]
        env = {**self._cli.env, **self.settings, "CLIPFLEET_CONCURRENCY": "1"}
        with self.log.open("a") as log:
            self._workers += [
                subprocess.Popen(c, env=env, cwd=self._cli.work, stderr=log, process_group=0)
                for c in commands
            ]

    def stop(self) -> None:
        for worker in self._workers:
            worker.send_signal(signal.SIGTERM)
        for worker in self._workers:
            worker.wait(30)

    def pause_prepare(self) -> None:
        """Stop the prepare worker's processes where they are."""
        os.killpg(self._workers[0].pid, signal.SIGSTOP)

    def kill_prepare(self) -> None:
        """Kill the prepare worker with all its processes."""
        os.killpg(self._workers[0].pid, signal.SIGKILL)
        self._workers.pop(0).wait()
        for folder in self._cli.tmp.glob("pymp-*"):  # which multiprocessing makes for each pool
            shutil.rmtree(folder)

    def client(self) -> redis.Redis:
        """Its broker."""
        return redis.Redis.from_url(self.broker.url, decode_responses=True)

    def empty_broker(self) -> None:
        """Lose all that the broker has."""
        redis.Redis.from_url(self.broker.url).flushall()

    def continue_prepare(self) -> None:
        os.killpg(self._workers[0].pid, signal.SIGCONT)

    def submit_in_background(self, *arguments: str | Path) -> "subprocess.Popen[str]":
        return self._cli.start("submit", *arguments, **self.settings)

    def start_command(self, *arguments: str | Path) -> "subprocess.Popen[str]":
        """A command of `clipfleet` on this fleet, in the background."""
        return self._cli.start(*arguments, **self.settings)

    def submit(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        return self.run("submit", *arguments)

    def run(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        """A command of `clipfleet` on this fleet, in this process: to start one takes a second."""
        return run_here(arguments, env={**self._cli.env, **self.settings}, cwd=self._cli.work)

    def records(self) -> dict[str, ClipRecord]:
        found = [
            ClipRecord.model_validate_json(path.read_bytes())
            for path in self.out.glob("metas/v0/*.json")
        ]
        return {Path(record.source_video).name: record for record in found}
