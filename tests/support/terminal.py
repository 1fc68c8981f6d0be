"""A command in a terminal of its own, and what a person would see there."""

import os
import pty
import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Terminal:
    """Use as a context manager. `screens` is all that was drawn, without colours and moves."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> None:
        ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            command,
            env={**env, "TERM": "xterm", "COLUMNS": "110", "LINES": "50"},
            cwd=cwd,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            process_group=0,
        )
        os.close(theirs)
        self._ours, self._drawn = ours, bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> "Terminal":
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(20)
        self._reader.join(5)
        os.close(self._ours)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 65536)
            except OSError:  # the other side is closed
                return
            if not data:
                return
            self._drawn += data

    @property
    def screens(self) -> str:
        """All so far."""
        return _CONTROLS.sub("", self._drawn.decode(errors="replace"))

    def last(self, first_word: str) -> str:
        """The last screen, which begins with this word."""
        _, word, rest = self.screens.rpartition(first_word)
        return word + rest
