"""Which workers an embedded run starts, on which GPU, and when it gives a dying one up."""

import contextlib
import socket
import tempfile
import time
from pathlib import Path

import pytest

from clipfleet import children
from clipfleet.errors import BrokerError, ExitCode, UsageError, WorkersFailing
from clipfleet.options import Options
from clipfleet.ports import free_port
from clipfleet.settings import read_settings
from clipfleet_producer.embedded import stack as embedded
from clipfleet_producer.embedded.children import Child
from clipfleet_producer.embedded.stack import Stack, worker_kinds


def options(caption: str, enhance: str | None = None, *, previews: bool = True) -> Options:
    return Options.model_validate(
        {
            "prepare": {"generate_previews": previews},
            "caption": {"model_variant": caption, "caption_batch_size": 16},
            "enhance": {
                "enabled": enhance is not None,
                "model_variant": enhance or "qwen_lm",
                "model_batch_size": 128,
            },
        }
    )


def queues(asked: Options) -> set[tuple[str, ...]]:
    return {queue for queue, _ in worker_kinds(asked, 2)}


def test_one_worker_of_each_kind_is_started() -> None:
    assert queues(options("qwen")) == {("prepare",), ("assemble",), ("preview",), ("caption",)}


def test_no_preview_worker_without_previews() -> None:
    assert ("preview",) not in queues(options("qwen", previews=False))


def test_no_caption_worker_without_captions() -> None:
    asked = Options.model_validate({"prepare": {"generate_captions": False}})

    assert queues(asked) == {("prepare",), ("assemble",), ("preview",)}


def test_the_same_model_for_both_is_loaded_once() -> None:
    assert ("caption", "enhance") in queues(options("mini", "mini"))
    assert ("enhance",) not in queues(options("mini", "mini"))


def test_a_worker_with_a_model_knows_itself_how_much_to_take() -> None:
    kinds = dict(worker_kinds(options("qwen", "qwen_lm"), 2))
    assert kinds[("caption",)] is None
    assert kinds[("enhance",)] is None
    assert kinds[("prepare",)] == 1


def test_two_models_get_a_worker_each() -> None:
    assert {("caption",), ("enhance",)} <= queues(options("qwen", "qwen_lm"))


@pytest.mark.parametrize(
    ("asked", "gpus", "caption", "enhance"),
    [
        (options("qwen", "qwen_lm"), 0, {}, {}),
        (
            options("qwen", "qwen_lm"),
            1,
            {"CLIPFLEET_GPU_MEMORY_UTILIZATION": "0.45"},
            {"CLIPFLEET_GPU_MEMORY_UTILIZATION": "0.45"},
        ),
        (
            options("qwen", "qwen_lm"),
            2,
            {"CUDA_VISIBLE_DEVICES": "0"},
            {"CUDA_VISIBLE_DEVICES": "1"},
        ),
        (options("qwen"), 2, {}, {}),
        (options("mini", "mini"), 1, {}, {}),
    ],
)
def test_two_engines_share_the_gpus_there_are(
    asked: Options, gpus: int, caption: dict[str, str], enhance: dict[str, str], tmp_path: Path
) -> None:
    stack = Stack(read_settings(store=str(tmp_path)), asked, log_dir=tmp_path, gpus=gpus)
    assert stack._gpu_environment(("caption",)) == caption
    assert stack._gpu_environment(("enhance",)) == enhance
    assert stack._gpu_environment(("prepare",)) == {}


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children are started again at once."""
    monkeypatch.setattr(children, "LONGEST_WAIT_S", 0.0)


class Dying:
    """A stack with one child that ends at once with an exit code."""

    def __init__(self, folder: Path, script: str) -> None:
        self.stack = Stack(read_settings(store=str(folder)), options("mini"), log_dir=folder)
        self.child = Child("caption", ["/bin/sh", "-c", script], {}, folder / "log")
        self.child.start()
        self.stack._children = [self.child]

    def check(self, progress: int) -> list[str]:
        """What `check` says once the child has been started again, if need be, and has ended."""
        while not (said := self.stack.check(progress)):
            time.sleep(0.01)
        return said


@pytest.mark.usefixtures("soon")
def test_a_worker_that_dies_is_started_again_and_given_up_after_three_times(
    tmp_path: Path,
) -> None:
    dying = Dying(tmp_path, "echo no memory; exit 1")
    for _ in range(3):
        (said,) = dying.check(0)
        assert said.startswith("the caption process died (exit code 1, bug); starting another in ")
    with pytest.raises(
        WorkersFailing, match=r"died 4 times in a row .* last error line: no memory"
    ):
        dying.check(0)


@pytest.mark.usefixtures("soon")
def test_deaths_with_progress_in_between_are_forgiven(tmp_path: Path) -> None:
    dying = Dying(tmp_path, "exit 1")
    for progress in range(10):
        assert len(dying.check(progress)) == 1


def test_an_error_that_a_new_start_would_meet_again_ends_the_run_with_its_words(
    tmp_path: Path,
) -> None:
    dying = Dying(tmp_path, "echo 'clipfleet-worker: no such option'; echo bye; exit 2")
    with pytest.raises(Exception, match=r"^no such option$") as refused:
        dying.check(0)
    assert getattr(refused.value, "exit_code", None) == ExitCode.USAGE == UsageError.exit_code


class Stranger:
    """Another process's server on a port that looked free; it keeps what it is told."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def heard(self) -> bytes:
        """What came, and then it is gone."""
        self._socket.settimeout(0.0)
        with self._socket, contextlib.suppress(BlockingIOError):
            connection, _ = self._socket.accept()
            with connection:
                connection.settimeout(0.1)
                return connection.recv(4096)
        return b""


@pytest.fixture
def broker_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stack:
    """A stack without workers."""
    monkeypatch.setattr(embedded, "worker_kinds", lambda *_: [])
    return Stack(read_settings(store=str(tmp_path)), options("mini"), log_dir=tmp_path / "logs")


def test_where_another_takes_the_port_a_run_takes_the_next_and_tells_it_nothing(
    broker_alone: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = Stranger()
    ports = iter((stranger.port, stranger.port, free_port()))
    monkeypatch.setattr(embedded, "free_port", lambda: next(ports))

    with broker_alone as stack:
        stack.settings.open_broker().check()
        assert str(stranger.port) not in stack.settings.broker.get_secret_value()

    assert next(ports, None) is None
    assert stranger.heard() == b""


def test_where_no_port_is_to_be_had_a_run_says_what_its_broker_said(
    broker_alone: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = Stranger()
    monkeypatch.setattr(embedded, "free_port", lambda: stranger.port)

    with pytest.raises(BrokerError, match=r"^the run's own broker does not start: .*listen"):
        broker_alone.__enter__()

    assert stranger.heard() == b""


def test_a_folder_too_deep_for_the_brokers_socket_is_named(
    broker_alone: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))

    with pytest.raises(UsageError, match="set TMPDIR to a shorter one"):
        broker_alone.__enter__()

    assert list(deep.iterdir()) == []


def test_a_log_folder_that_is_a_link_is_refused(broker_alone: Stack, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "logs").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(UsageError, match="logs is a link; move it away"):
        broker_alone.__enter__()

    assert list((tmp_path / "elsewhere").iterdir()) == []
