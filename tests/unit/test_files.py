"""Files whose names come from others: what is no file is not waited for, whenever it came there."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from clipfleet.errors import ClipMissing, ObjectMissing, SourceUnreadable
from clipfleet.files import NotAFile, open_file
from clipfleet.messages import ClipJob
from clipfleet.options import Options
from clipfleet.settings import read_settings
from clipfleet.store import open_store
from clipfleet_producer.runs import model
from clipfleet_producer.sources.overrides import OptionOverrides
from clipfleet_producer.sources.problems import Problems
from clipfleet_producer.sources.search import find_clips
from clipfleet_workers.context import Context
from tests.support.records import CLIP, HASH

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")


@contextmanager
def released(pipe: Path) -> Iterator[None]:
    """Whoever waits for somebody to write to the pipe is let go after a second, with nothing."""

    def write() -> None:
        with suppress(OSError):  # nobody reads
            os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))

    timer = threading.Timer(1.0, write)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join(5)


@pytest.fixture
def pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A pipe that took a file's place after it was looked at: by its status it still is one."""
    path, real = tmp_path / "list.jsonl", Path.stat
    os.mkfifo(path)
    (tmp_path / "file").touch()
    status = (tmp_path / "file").stat()
    monkeypatch.setattr(
        Path, "stat", lambda self, **kwargs: status if self == path else real(self, **kwargs)
    )
    with released(path):
        yield path


def test_a_file_is_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"bytes")

    with open_file(tmp_path / "file") as file:
        assert file.read() == b"bytes"


def test_a_pipe_a_device_and_a_socket_are_no_files(pipe: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        for path in (pipe, Path("/dev/zero"), Path("/dev/tty"), tmp_path / "s"):
            with pytest.raises(NotAFile, match="a pipe, a device or a socket, not a file"):
                open_file(path)


def test_a_folder_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        open_file(tmp_path)


def test_a_clip_that_became_a_pipe_is_missing(pipe: Path) -> None:
    job = ClipJob(run_id="r1", clip_uuid=CLIP, options_hash=HASH, source=pipe.as_uri())
    with (
        pytest.raises(ClipMissing, match="the clip is not a file"),
        Context(read_settings()).open_clip(job),
    ):
        pass


def test_a_clip_that_became_a_pipe_is_unreadable_to_its_feeder(pipe: Path) -> None:
    with pytest.raises(SourceUnreadable, match="a pipe, a device or a socket"):
        model._read(pipe, None)


def test_a_manifest_that_became_a_pipe_is_a_problem(pipe: Path) -> None:
    problems = Problems()
    clips = find_clips(
        [str(pipe)], read_settings(), variants=OptionOverrides(Options()), problems=problems
    )

    assert list(clips) == []
    assert "a pipe, a device or a socket" in next(iter(problems))


def test_a_pipe_in_a_store_is_no_object(pipe: Path) -> None:
    store = open_store(str(pipe.parent))

    with pytest.raises(ObjectMissing):
        store.get(pipe.name)
