"""A broker's address is one that all who read it read alike, or is refused on one line."""

import sys
from pathlib import Path

import pytest

import clipfleet_workers.cli
from clipfleet import logs
from clipfleet.broker.client import Broker
from clipfleet.broker.url import check_broker_url
from clipfleet.errors import ExitCode, UsageError
from clipfleet.queues import make_app
from tests.support.cli_here import run_here

GOOD = {
    "redis://host": ("host", 6379, 0, None),
    "redis://host/": ("host", 6379, 0, None),
    "redis://host:7000/3": ("host", 7000, 3, None),
    "rediss://:secret@broker.lan:6379/0": ("broker.lan", 6379, 0, "secret"),
    "redis://user:a%2Fb%3B%25@host": ("host", 6379, 0, "a/b;%"),
    "redis://user:a@b:c@host": ("host", 6379, 0, "a@b:c"),
    "redis://[::1]:7000/0": ("::1", 7000, 0, None),
    "redis://[::ffff:127.0.0.1]": ("::ffff:127.0.0.1", 6379, 0, None),
    "redis://my_broker-1.x": ("my_broker-1.x", 6379, 0, None),
}

NO_TCP = (
    "unix:///run/redis.sock",
    "unix://:geheim@/run/redis.sock?db=1",
    "redis+socket:///run/redis.sock",
    "socket:///run/redis.sock",
    "sentinel://:geheim@host:26379",
    "amqp://guest:geheim@host//",
    "memory://localhost",
    "http://host:6379",
)

NONE = (
    "",
    " ",
    "redis",
    "redis:",
    "redis:/",
    "redis://",
    "redis:///0",
    "redis://:geheim@",
    "redis://:geheim@:6379",
    "redis://:geheim@host:port/0",
    "redis://:geheim@host:99999/0",
    "redis://:geheim@host:0/0",
    "redis://:geheim@host:-1/0",
    "redis://:geheim@host:6379/zero",
    "redis://:geheim@host:6379/0/1",
    "redis://:geheim@host:6379/-1",
    "redis://:geheim@host?db=1",
    "redis://:geheim@host?ssl_cert_reqs=none",
    "redis://:geheim@host?foo=bar",
    "redis://:geheim@host#0",
    "redis://:ge/heim@host",
    "redis://:ge[heim@host",
    "redis://:ge;heim@host",
    "redis://:geheim@[::1",
    "redis://:geheim@one;redis://two",
    "redis://:geheim@one,two",
    "redis://:geheim@a..b",
    f"redis://:geheim@{'a' * 64}",
    "redis://:geheim@ho st",
    "redis://:geheim@host\n",
    "redis://:geheim@host\x1b[31m",
    " redis://:geheim@host",
    "REDIS://:geheim@host",
    "localhost:6379",
    "//host:6379/0",
    "file:///tmp",
    "javascript:alert(1)",
)


@pytest.mark.parametrize("url", GOOD)
def test_queues_chords_and_we_read_an_address_alike(url: str) -> None:
    host, port, database, password = GOOD[url]

    ours = Broker(url).client.connection_pool.connection_kwargs
    app = make_app(url, lease_s=1)
    queues, chords = app.connection_for_write(), app.backend.connparams

    assert (ours["host"], ours.get("port", 6379), ours.get("db", 0)) == (host, port, database)
    assert (queues.hostname, queues.port or 6379) == (host, port)
    assert int(queues.virtual_host.strip("/") or 0) == database
    assert (chords["host"], chords["port"], chords["db"]) == (host, port, database)
    assert ours.get("password") == queues.password == chords["password"] == password


@pytest.mark.parametrize("url", [*NO_TCP, *NONE])
def test_any_other_address_is_refused_in_one_line_that_does_not_repeat_it(url: str) -> None:
    for use in (check_broker_url, Broker, lambda url: make_app(url, lease_s=1)):
        with pytest.raises(UsageError, match=r"give redis://:PASSWORD@HOST:PORT") as refused:
            use(url)
        assert str(refused.value).isprintable()
        assert "geheim" not in str(refused.value)


@pytest.mark.parametrize("url", ["unix:///run/redis.sock", "redis://host:port", "redis://h?foo=1"])
@pytest.mark.parametrize(
    "command", [("submit", "a.mp4"), ("status",), ("failures",), ("feed",), ("cancel", "r")]
)
def test_every_command_to_a_fleet_ends_with_that_line(
    tmp_path: Path, url: str, command: tuple[str, ...]
) -> None:
    env = {"HOME": str(tmp_path), "PATH": "/usr/bin", "CLIPFLEET_STORE": str(tmp_path / "out")}
    (tmp_path / "a.mp4").write_text("not a video")

    ran = run_here(command, env={**env, "CLIPFLEET_BROKER": url}, cwd=tmp_path)

    assert ran.returncode == ExitCode.USAGE
    assert ran.stdout.startswith("clipfleet: ")
    assert ran.stdout.count("\n") == 1


@pytest.mark.parametrize("url", ["redis+socket:///run/redis.sock", "redis://host/zero"])
def test_a_worker_ends_with_that_line_and_is_not_started_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, url: str
) -> None:
    monkeypatch.setattr(clipfleet_workers.cli, "be_discreet", lambda: None)
    monkeypatch.setattr(logs, "escape_crashes", lambda: None)
    monkeypatch.setattr(logs, "set_up", lambda **_: None)
    arguments = ["clipfleet-worker", "prepare", "--broker", url, "--store", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)

    with pytest.raises(SystemExit) as end:
        clipfleet_workers.cli.main()

    said = capsys.readouterr().err
    assert end.value.code == ExitCode.USAGE
    assert said.startswith("clipfleet-worker: ")
    assert said.count("\n") == 1
