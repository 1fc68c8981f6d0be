"""What tests of every kind share. A test's kind is the folder that it lies in."""

import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

# pytest rewrites hypothesis as it is imported. With vLLM loaded, CPython 3.11 cannot parse for that
# any more ("AST constructor recursion depth mismatch").
import hypothesis  # noqa: F401
import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.support.broker import BrokerServer
from tests.support.cli import Cli
from tests.support.durations import CPU_S, KINDS, Recorder, kind_of, longest_first, unit_of
from tests.support.priority import be_ordinary
from tests.support.s3_server import S3Server
from tests.support.s3_shared import shared_server
from tests.support.samples import copy_samples
from tests.support.small_fleet import SmallFleet

# A shell that starts the tests in the background has Ctrl-C ignored, also by what tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

MODELS = Path(__file__).parents[1] / ".cache" / "models"  # as XDG_CACHE_HOME
QUICK_KINDS = ("unit", "integration")
# Who uses one of these starts an S3 server, whole commands, or a fleet of workers.
NOT_QUICK = {"s3_server", "s3_store", "own_s3_server", "cli", "small_fleet", "bare", "no_engine"}


class ByUnit(LoadScopeScheduling):  # type: ignore[misc]
    """Hands a unit's tests to one process, units in the order that they were collected in."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByUnit:
    """See `ByUnit`."""
    return ByUnit(config, log)


def pytest_configure(config: pytest.Config) -> None:
    """Keep how long tests take, in the process that hears of all."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its kind, and the quick ones; order them by what they took last time."""
    for item in items:
        kind = kind_of(item.nodeid)
        assert kind in KINDS, f"{item.nodeid} lies in no folder of a kind"
        item.add_marker(kind)
        if kind in QUICK_KINDS and not _uses(item) & NOT_QUICK:
            item.add_marker("quick")
    longest_first(items)


def _uses(item: pytest.Item) -> set[str]:
    """The names of a test's fixtures, those included that a parameter stands for (`store[s3]`)."""
    names = set(getattr(item, "fixturenames", ()))
    call = getattr(item, "callspec", None)
    return names | {f"{value}_{name}" for name, value in (call.params if call else {}).items()}


def pytest_runtest_setup() -> None:
    """Clips may have been encoded: see `be_ordinary`."""
    be_ordinary()


_cpu_before_s = 0.0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a test's last report its CPU seconds: this process's, and of children it reaped."""
    global _cpu_before_s
    report = yield
    if call.when == "teardown":
        cpu_s = sum(os.times()[:4])
        vars(report)[CPU_S], _cpu_before_s = cpu_s - _cpu_before_s, cpu_s
    return report


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server, one for all processes of the run; take a bucket or a prefix of your own.

    Whoever kills it or stops it takes `own_s3_server`.
    """
    with shared_server(_common(tmp_path_factory) / "s3") as server:
        yield server


@pytest.fixture(scope="session")
def own_s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server that no other process uses."""
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


def _common(factory: pytest.TempPathFactory) -> Path:
    """The temporary folder of all processes of the run."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def cache_dir() -> Path:
    """Where what is learnt about models is kept, from run to run."""
    MODELS.mkdir(parents=True, exist_ok=True)
    return MODELS / "clipfleet"


@pytest.fixture
def cli(cache_dir: Path) -> Iterator[Cli]:
    """The project's commands. Fails the test if they leave a process or a file behind."""
    with Cli.alone(cache_dir) as commands:
        yield commands


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
    folder = tmp_path_factory.mktemp("samples")
    copy_samples(folder, count=3)
    return folder
