"""Child processes of an embedded run, and the signals that must not lose them."""

import contextlib
import math
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType

from clipfleet import children
from clipfleet.private import append_to

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WORKER_SAYS = "clipfleet-worker: "


class Child(children.Child):
    """One child process, leader of a process group of its own, and its log file."""

    leads_group = True
    well_s = math.inf  # the run's progress says which are well

    def __init__(
        self,
        name: str,
        command: list[str],
        env: Mapping[str, str],
        log: Path,
        *,
        stdin_text: str | None = None,
    ) -> None:
        super().__init__(name)
        self.log = log
        self._command, self._env, self._stdin_text = command, dict(env), stdin_text

    def spawn(self) -> "subprocess.Popen[bytes]":
        """Start it. Raises `UsageError` where its log is not its own."""
        with append_to(self.log) as log, _to_read(self._stdin_text or "") as stdin:
            return subprocess.Popen(
                self._command,
                env=self._env,
                stdin=stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def last_error_line(self) -> str:
        """The worker's own error in its log, or else the last line that says something."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        said = [line.strip() for line in lines if line.strip()]
        own = [line for line in said if line.startswith(_WORKER_SAYS)]
        return (own or said or ["it said nothing"])[-1].removeprefix(_WORKER_SAYS)


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
