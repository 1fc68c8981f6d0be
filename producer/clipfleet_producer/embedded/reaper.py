"""Ends what an embedded run started, however the run itself ends. Run as a script, on its own.

It reads lines from its standard input: `group N` and `gone N` for process groups, `folder PATH` for
temporary folders. When the input ends, because the run closed it or died, every group still there
is killed and every folder removed. Standard library only: it must start at once and never fail.
"""

import contextlib
import os
import shutil
import signal
import sys
import time


def main() -> None:
    """Listen, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    folders: list[str] = []
    for line in sys.stdin:
        word, _, rest = line.rstrip("\n").partition(" ")
        if word == "group":
            groups.add(int(rest))
        elif word == "gone":
            groups.discard(int(rest))
        elif word == "folder":
            folders.append(rest)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    for folder in folders:
        for _ in range(50):  # a process just killed may still be writing its last file
            shutil.rmtree(folder, ignore_errors=True)
            if not os.path.lexists(folder):
                break
            time.sleep(0.1)


if __name__ == "__main__":
    main()
