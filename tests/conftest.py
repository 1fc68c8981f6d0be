"""What tests of every kind share."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.broker import BrokerServer
from tests.support.cli import Cli
from tests.support.priority import be_ordinary
from tests.support.s3_server import INSTALL, S3Server, missing_binaries
from tests.support.small_fleet import SmallFleet

# A shell that starts the tests in the background has Ctrl-C ignored, also by what tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

KINDS = ("unit", "integration", "e2e", "faults", "engine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test has one kind; the quick kinds go first.

    The engine goes last: with vLLM loaded into this process, CPython 3.11 cannot parse any further
    module ("AST constructor recursion depth mismatch").
    """

    def kind(item: pytest.Item) -> int:
        marks = [k for k in KINDS if item.get_closest_marker(k)]
        assert len(marks) == 1, f"{item.nodeid} has not one kind but {marks}"
        return KINDS.index(marks[0])

    items.sort(key=kind)


def pytest_runtest_setup() -> None:
    """Clips may have been encoded: see `be_ordinary`."""
    be_ordinary()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server, one for the whole run; take a bucket or a prefix of your own."""
    if missing := missing_binaries():
        pytest.fail(f"no {', '.join(missing)} here, which S3 tests need: {INSTALL}", pytrace=False)
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where models are kept: built once for the whole run."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def cli(cache_dir: Path) -> Iterator[Cli]:
    """The project's commands. Fails the test if they leave a process or a file behind."""
    commands = Cli(cache_dir)
    try:
        yield commands
        assert commands.left_behind() == []
    finally:
        commands.end()
        shutil.rmtree(commands.temp, ignore_errors=True)


@pytest.fixture
def small_fleet(cli: Cli, tmp_path: Path) -> Iterator[SmallFleet]:
    with BrokerServer(tmp_path) as broker:
        fleet = SmallFleet(cli, broker, tmp_path)
        try:
            yield fleet
        finally:
            fleet.stop()


@pytest.fixture(scope="session")
def sample_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clips of one window, two windows, and an extended last window."""
    from producer.samples import write_samples

    folder = tmp_path_factory.mktemp("samples")
    assert len(list(write_samples(folder, count=3, seed=7))) == 3
    return folder
