"""Child processes of an embedded run, and the signals that must not lose them."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType

from clipfleet.private import append_to

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WORKER_SAYS = "clipfleet-worker: "
KILLED_S = 10.0  # a process that the kernel itself waits for does not even end by being killed


class Child:
    """One child process, leader of a process group of its own, and its log file."""

    def __init__(
        self,
        name: str,
        command: list[str],
        env: Mapping[str, str],
        log: Path,
        *,
        stdin_text: str | None = None,
    ) -> None:
        self.name, self.log = name, log
        self._command, self._env, self._stdin_text = command, dict(env), stdin_text
        self.deaths = 0
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> int:
        """Start it; returns its process group. Raises `UsageError` where its log is not its own."""
        with append_to(self.log) as log, _to_read(self._stdin_text or "") as stdin:
            self.process = subprocess.Popen(
                self._command,
                env=self._env,
                stdin=stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                text=True,
            )
        return self.process.pid

    def exit_code(self) -> int | None:
        """Its exit code, minus the signal's number where one ended it; None while it runs."""
        return self.process.poll() if self.process is not None else None

    def kill_group(self) -> None:
        """Kill what there is of its group: itself, pool processes, engine processes."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def wait(self, within_s: float) -> None:
        """Let it end, for so many seconds at most."""
        if self.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(max(0.0, within_s))

    def last_error_line(self) -> str:
        """The worker's own error in its log, or else the last line that says something."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        said = [line.strip() for line in lines if line.strip()]
        own = [line for line in said if line.startswith(_WORKER_SAYS)]
        return (own or said or ["it said nothing"])[-1].removeprefix(_WORKER_SAYS)


def terminate(children: list[Child], *, within_s: float) -> None:
    """End the children, politely at first."""
    alive = [child for child in children if child.process and child.exit_code() is None]
    for child in alive:
        assert child.process is not None
        child.process.terminate()
    deadline = time.monotonic() + within_s
    for child in alive:
        child.wait(deadline - time.monotonic())
    for child in children:
        child.kill_group()
    deadline = time.monotonic() + KILLED_S
    for child in children:
        child.wait(deadline - time.monotonic())


@contextlib.contextmanager
def _to_read(text: str) -> Iterator[int]:
    """The reading end of a pipe that holds `text`, all there before anyone reads.

    So a child that does not read holds nobody up. A new pipe takes 4,096 bytes at once, everywhere.
    """
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        try:
            written = os.write(writing, text.encode())
        finally:
            os.close(writing)
        assert written == len(text.encode()), "more than a new pipe holds"
        yield reading
    finally:
        os.close(reading)


@contextlib.contextmanager
def signals_ignored() -> Iterator[None]:
    """A second Ctrl-C must not interrupt the cleaning up after the first."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _STOPPING}
    try:
        yield
    finally:
        _restore(before)


@contextlib.contextmanager
def signals_deferred() -> Iterator[None]:
    """Signals that arrive within are delivered at the end.

    Else one could end the run after a child is started and before anyone knows of it. Handlers are
    swapped, not signals blocked: a child would inherit the block.
    """
    came: list[tuple[int, FrameType | None]] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append((number, frame))

    before = {number: signal.signal(number, note) for number in _STOPPING}
    try:
        yield
    finally:
        _restore(before)
        for number, frame in came:
            handler = before[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)


def _restore(handlers: "Mapping[signal.Signals, signal._HANDLER]") -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
