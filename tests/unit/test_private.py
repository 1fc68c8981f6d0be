"""Names that others know beforehand are no way to a user's files, nor to what a run logs."""

import os
import stat
from pathlib import Path

import pytest

from clipfleet.errors import UsageError
from clipfleet.private import append_to, make_private
from clipfleet.store import open_store
from clipfleet_producer.cli import submission
from clipfleet_producer.embedded.children import Child
from clipfleet_producer.export.journal import JOURNAL_FILE, Journal
from clipfleet_producer.export.target import Files


def s3_log_dir(run_id: str = "nightly") -> Path:
    store = open_store("s3://bucket/out", s3_access_key="a", s3_secret_key="b")
    return submission._log_dir(store, run_id)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state/clipfleet"


def test_a_run_into_s3_logs_where_its_user_alone_may_enter(state: Path) -> None:
    folder = s3_log_dir()

    assert folder == state / "logs/nightly"
    for each in (state, state / "logs", folder):
        assert stat.S_IMODE(each.stat().st_mode) == 0o700
    assert s3_log_dir() == folder, "a second time it is there"


def test_a_run_into_a_folder_logs_beside_its_results(state: Path, tmp_path: Path) -> None:
    folder = submission._log_dir(open_store(str(tmp_path / "out")), "nightly")

    assert folder == tmp_path / "out/runs/nightly/logs"
    assert not state.exists()


@pytest.mark.parametrize("level", [".", "logs", "logs/nightly"])
@pytest.mark.parametrize("planted", ["a link", "open to others", "a file"])
def test_what_others_could_have_put_there_is_named_and_not_used(
    state: Path, tmp_path: Path, level: str, planted: str
) -> None:
    path, elsewhere = state / level, tmp_path / "elsewhere"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    elsewhere.mkdir(mode=0o700)
    if level == "logs/nightly":
        state.chmod(0o700)
    if planted == "a link":
        path.symlink_to(elsewhere)
    elif planted == "a file":
        path.write_text("")
    else:
        path.mkdir()
        path.chmod(0o777)

    with pytest.raises(UsageError, match="move it away") as refused:
        s3_log_dir()

    assert str(path) in str(refused.value)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clipfleet").mkdir(mode=0o700)
    os.chown(tmp_path / "clipfleet", 65534, 65534)

    with pytest.raises(UsageError, match="this user's alone"):
        make_private(tmp_path / "clipfleet/logs", below=tmp_path)


def test_a_log_goes_on_at_its_end_and_is_its_users_to_read(tmp_path: Path) -> None:
    log = tmp_path / "prepare.log"
    for line in (b"one\n", b"two\n"):
        with append_to(log) as file:
            file.write(line)

    assert log.read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


@pytest.mark.parametrize("planted", ["link", "dangling link", "hard link", "pipe", "folder"])
def test_a_log_is_written_to_no_file_of_another_name(tmp_path: Path, planted: str) -> None:
    log, victim = tmp_path / "prepare.log", tmp_path / "victim"
    if planted != "dangling link":
        victim.write_text("kept")
    match planted:
        case "hard link":
            log.hardlink_to(victim)
        case "pipe":
            os.mkfifo(log)
        case "folder":
            log.mkdir()
        case _:
            log.symlink_to(victim)

    with pytest.raises(UsageError, match="move it away"):
        Child("prepare", ["/bin/echo", "overwritten"], {}, log).start()

    assert not victim.exists() if planted == "dangling link" else victim.read_text() == "kept"


def test_a_link_in_an_exports_folder_is_not_followed(tmp_path: Path) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "dest"
    folder.mkdir()
    victim.write_text("kept")
    (folder / JOURNAL_FILE).symlink_to(victim)
    (folder / ".part-000000.csv.tmp").symlink_to(victim)

    with pytest.raises(OSError, match="symbolic link"):
        Journal(folder)
    with pytest.raises(UsageError, match="symbolic link"):
        Files(folder, ".csv", lambda file, rows: None).write(0, iter([{}]))

    assert victim.read_text() == "kept"
