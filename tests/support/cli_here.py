"""A command of `clipfleet` as its console script would run it, but in this process."""

import contextlib
import io
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from unittest import mock

from clipfleet_producer.cli.main import main

TIMEOUT_S = 120


def run_here(
    arguments: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path
) -> "subprocess.CompletedProcess[str]":
    """Run it to its end; output and errors are both in `stdout`. Only from the main thread."""
    command, said = ["clipfleet", *map(str, arguments)], io.StringIO()
    with (
        mock.patch.object(sys, "argv", command),
        mock.patch.object(sys, "stdin", io.StringIO()),
        mock.patch.dict(os.environ, env, clear=True),
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
        _as_before(),
    ):
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
    return subprocess.CompletedProcess(command, code, said.getvalue())


@contextlib.contextmanager
def _as_before() -> Iterator[None]:
    """Puts back what a command changes in its process; ends one that takes too long."""
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    handlers = {number: signal.getsignal(number) for number in numbers}
    log = logging.getLogger()
    logging_before = (log.handlers[:], log.level)

    def give_up(*_: object) -> None:
        raise KeyboardInterrupt(f"not done within {TIMEOUT_S} s")

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(TIMEOUT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        log.handlers[:], log.level = logging_before
