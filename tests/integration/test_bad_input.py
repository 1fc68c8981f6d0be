"""Each bad input gets one clear line and its exit code; no traceback."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.broker import BrokerServer
from tests.support.cli import Cli
from tests.support.s3_server import S3Server


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerServer]:
    with BrokerServer(tmp_path_factory.mktemp("broker")) as server:
        yield server


@dataclass(frozen=True)
class Bad:
    """A command, what its one line must say, and its exit code. {…} are filled in by the test."""

    name: str
    command: tuple[str, ...]
    says: str
    exit_code: int


TABLE = (
    Bad(
        "a missing path",
        ("run", "{tmp}/nothing.mp4", "--out", "{tmp}/out"),
        "{tmp}/nothing.mp4: there is no such file or folder",
        2,
    ),
    Bad(
        "an empty folder",
        ("run", "{tmp}/empty", "--out", "{tmp}/out"),
        "{tmp}/empty: there is no video file in it",
        2,
    ),
    Bad("no clips at all", ("run", "--out", "{tmp}/out"), "no clips: name files", 2),
    Bad("no output", ("run", "{clips}"), "no store: give --out", 2),
    Bad(
        "an unknown variant",
        ("run", "{clips}", "--out", "{tmp}/out", "--captioning-algorithm", "gpt"),
        "--captioning-algorithm gpt: there is no model gpt; there are qwen, qwen3",
        2,
    ),
    Bad(
        "an option out of range",
        ("run", "{clips}", "--out", "{tmp}/out", "--preview-quality", "101"),
        "--preview-quality 101: should be less than or equal to 100",
        2,
    ),
    Bad(
        "an option of the wrong type",
        ("run", "{clips}", "--out", "{tmp}/out", "--captioning-window-size", "many"),
        "'many' is not a valid integer",
        2,
    ),
    Bad(
        "a name that no run can have",
        ("run", "{clips}", "--out", "{tmp}/out", "--run", "../up"),
        "run '../up': a run's name has",
        2,
    ),
    Bad(
        "an output that is a file",
        ("run", "{clips}", "--out", "{tmp}/file"),
        "{tmp}/file",
        5,
    ),
    Bad(
        "a broker that refuses",
        ("submit", "{clips}", "--store", "{tmp}/out", "--broker", "redis://127.0.0.1:1/0"),
        "broker redis://127.0.0.1:1/0 cannot be reached",
        4,
    ),
    Bad(
        "a broker address that is none",
        ("submit", "{clips}", "--store", "{tmp}/out", "--broker", "localhost"),
        "give redis://:PASSWORD@HOST:PORT",
        2,
    ),
    Bad(
        "a wrong broker password",
        ("submit", "{clips}", "--store", "{tmp}/out", "--broker", "redis://:wrong@{broker}/0"),
        "broker redis://{broker}/0 refuses the password",
        4,
    ),
    Bad(
        "a store that refuses",
        ("submit", "{clips}", "--store", "s3://bucket", "--s3-endpoint", "http://127.0.0.1:1"),
        "http://127.0.0.1:1",
        5,
    ),
    Bad(
        "wrong store credentials",
        ("submit", "{clips}", "--store", "s3://bucket", "--s3-endpoint", "{s3}"),
        "CLIPFLEET_S3_SECRET_KEY",
        5,
    ),
    Bad(
        "a store of an unknown kind",
        ("run", "{clips}", "--out", "ftp://somewhere"),
        "ftp",
        2,
    ),
    Bad(
        "a run that is not there",
        ("status", "no-such-run", "--store", "{tmp}/empty"),
        "there is no run no-such-run in {tmp}/empty",
        2,
    ),
)


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name)
def test_is_told_in_one_line_with_its_exit_code(
    bad: Bad,
    cli: Cli,
    sample_clips: Path,
    broker: BrokerServer,
    s3_server: S3Server,
    tmp_path: Path,
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    filled = {
        "tmp": str(tmp_path),
        "clips": str(sample_clips),
        "broker": f"127.0.0.1:{broker.port}",
        "s3": s3_server.endpoint,
    }
    done = cli.run(
        *(word.format(**filled) for word in bad.command),
        CLIPFLEET_BROKER=broker.url,
        CLIPFLEET_S3_ACCESS_KEY=s3_server.access_key,
        CLIPFLEET_S3_SECRET_KEY="not-the-secret",
    )

    assert done.returncode == bad.exit_code, done.stdout
    says = bad.says.format(**filled)
    lines = [line for line in done.stdout.splitlines() if says in line]
    assert len(lines) == 1, done.stdout
    assert "Traceback" not in done.stdout
    for secret in ("not-the-secret", ":wrong@", broker.password):
        assert secret not in done.stdout


def test_a_traceback_is_shown_only_when_asked_for(cli: Cli, tmp_path: Path) -> None:
    command = ("run", tmp_path / "nothing.mp4", "--out", tmp_path / "out")
    assert "Traceback" not in cli.run(*command).stdout
    assert "Traceback" in cli.run(*command, "--verbose").stdout
