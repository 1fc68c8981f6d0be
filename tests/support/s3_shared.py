"""One S3 server for all processes of a test run: who comes first starts it, who is last stops it.

A process of its own keeps the server, so that it outlives whoever started it:
`python -m tests.support.s3_shared FOLDER`. Users hold a lock on a file, which the kernel takes from
those who are killed; when nobody holds it, the keeper stops the server and ends.
"""

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.s3_server import INSTALL, S3Server, missing_binaries

ROOT = Path(__file__).parents[2]
_START_TIMEOUT_S = 120
_LOOK_S = 0.3


@contextlib.contextmanager
def shared_server(folder: Path) -> Iterator[S3Server]:
    """The server of this folder, started if need be.

    Raises RuntimeError, with what the keeper said, where it does not start.
    """
    if missing := missing_binaries():
        raise RuntimeError(f"no {', '.join(missing)} here, which S3 tests need: {INSTALL}")
    folder.mkdir(exist_ok=True)
    with (folder / "users").open("w") as users:
        with (folder / "starting").open("w") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)  # one at a time
            fcntl.flock(users, fcntl.LOCK_SH)  # waits for a keeper that is stopping its server
            if not _is_kept(folder):
                _start_keeper(folder)
            port = int((folder / "port").read_text())
        yield S3Server(folder / "server", port=port)


def _is_kept(folder: Path) -> bool:
    """Whether there is a server, and its keeper lives."""
    with (folder / "keeper").open("a") as keeper:
        try:
            fcntl.flock(keeper, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return (folder / "port").exists()
        return False


def _start_keeper(folder: Path) -> None:
    (folder / "port").unlink(missing_ok=True)
    with (folder / "keeper.log").open("ab") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.support.s3_shared", str(folder)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the tests, which need it as they end
        )
    give_up_at = time.monotonic() + _START_TIMEOUT_S
    while not (folder / "port").exists():
        if keeper.poll() is not None or time.monotonic() > give_up_at:
            raise RuntimeError(f"no S3 server\n{(folder / 'keeper.log').read_text()[-4000:]}")
        time.sleep(0.05)


def main() -> None:
    """Keep a server in the folder until nobody uses it."""
    folder = Path(sys.argv[1])
    with (folder / "keeper").open("a") as keeper, (folder / "users").open("w") as users:
        fcntl.flock(keeper, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with S3Server(folder / "server") as server:
            new = folder / f"port.{os.getpid()}"
            new.write_text(str(server.port))
            new.replace(folder / "port")
            while True:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                time.sleep(_LOOK_S)
            (folder / "port").unlink()


if __name__ == "__main__":
    main()
