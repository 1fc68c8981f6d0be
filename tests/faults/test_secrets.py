"""Passwords and keys go where they are used, and are seen nowhere else, whatever goes wrong."""

import base64
import json
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from clipfleet.broker.client import Broker
from clipfleet.errors import UsageError
from clipfleet.options import Options
from clipfleet.settings import read_settings
from clipfleet.store import open_store
from clipfleet_producer.embedded.stack import Stack
from tests.faults.secrets_scene import BUCKET, SECRETS, Answer, Engine, Scene, seen, url_of
from tests.support.broker import BrokerServer
from tests.support.cli import Cli
from tests.support.s3_server import S3Server


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the fleet's broker journals every command that it receives."""
    return tmp_path_factory.mktemp("broker")


@pytest.fixture(scope="module")
def scene(s3_server: S3Server, cache_dir: Path, journal: Path) -> Iterator[Scene]:
    s3_server.add_key("secrets-test", SECRETS["S3 key"])
    broker = BrokerServer(journal)
    broker.password = SECRETS["broker password"]
    broker.url = url_of(broker.password, broker.port)
    cli = Cli(cache_dir)
    with broker, Engine(("127.0.0.1", 0), Answer) as engine:
        serving = threading.Thread(target=engine.serve_forever, args=(0.05,))
        serving.start()
        try:
            scene = Scene(cli, s3_server, broker, engine)
            scene.play()
            yield scene
        finally:
            cli.end()
            engine.shutdown()
            serving.join()
            shutil.rmtree(cli.temp, ignore_errors=True)


def test_all_that_is_looked_at_took_place(scene: Scene) -> None:
    expected = {name: code for name, (code, _, _) in scene.failures(Path("text.mp4")).items()}
    expected |= dict.fromkeys(("run", "crash", "status", "check"), 0)
    expected |= {"submit": 3, "failures": 3, "status": 3, "broker away": 4}
    expected |= {"prepare": 0, "assemble": 0, "gpus": 0}

    said = {name: scene.said[name].decode(errors="replace")[-1500:] for name in expected}
    assert scene.codes == expected, said


def test_no_command_and_no_log_says_a_secret(scene: Scene) -> None:
    assert {name: found for name, data in scene.said.items() if (found := seen(data))} == {}


def test_no_secret_is_in_the_store(scene: Scene, s3_server: S3Server) -> None:
    store = s3_server.store(f"s3://{BUCKET}")
    objects = {each.key: store.get(each.key) for each in store.list("")}

    kinds = {re.sub(r"[0-9a-f-]{36}|[0-9_]{3,}", "…", key) for key in objects}
    assert {"run/metas/v0/….json", "metas/v0/….json", "runs/fleet/options.json"} <= kinds
    assert {key: found for key, data in objects.items() if (found := seen(data))} == {}


def test_no_secret_is_told_to_a_broker(scene: Scene, journal: Path) -> None:
    told = {path: path.read_bytes() for path in journal.rglob("*.aof")} | scene.watch.journals

    assert sum(data.count(b"clipfleet:worker:") > 0 for data in told.values()) == 2
    assert {path: found for path, data in told.items() if (found := seen(data))} == {}


def test_no_secret_is_on_a_command_line_but_where_a_person_wrote_it(scene: Scene) -> None:
    lines = scene.watch.command_lines
    having = {line: found for line in lines if (found := seen(line))}

    assert len(lines) > 20
    # Its child has it too until it runs what it is to run.
    (written,) = having
    assert b"--gpus" in written


def test_the_private_broker_has_a_password_that_is_nowhere_to_be_seen(scene: Scene) -> None:
    (url,) = {each for each in scene.watch.brokers if "@" in each and not seen(each.encode())}
    password = url.partition("://:")[2].partition("@")[0].encode()

    assert len(password) >= 32
    everything = [*scene.said.values(), *scene.watch.command_lines]
    assert not any(password in data for data in everything)


def test_nothing_of_ours_listens_to_other_machines(scene: Scene) -> None:
    assert scene.watch.listening == {"127.0.0.1"}


def test_the_private_broker_is_told_its_password_by_standard_input(tmp_path: Path) -> None:
    stack = Stack(read_settings(store=str(tmp_path)), Options(), log_dir=tmp_path)
    broker = stack._broker(tmp_path)

    # A glance at processes may come too late: the server writes its title over its command line.
    assert stack._password not in " ".join(broker._command)
    assert f"requirepass {stack._password}\n" in (broker._stdin_text or "")


@pytest.mark.parametrize(
    "endpoint",
    ["http://me:ke/y@host", "http://me:ke#y@host:9000", "me:key@host", "http://me:key@["],
)
def test_a_key_in_an_endpoint_is_not_repeated_however_badly_it_is_written(endpoint: str) -> None:
    with pytest.raises(UsageError, match="holds credentials") as refused:
        open_store("s3://bucket", s3_endpoint=endpoint, s3_access_key="a", s3_secret_key="b")

    assert "ke" not in str(refused.value).replace("keys", "")


@pytest.mark.parametrize("letter", "/#?;")
def test_a_password_in_an_address_that_is_none_is_not_repeated(letter: str) -> None:
    with pytest.raises(UsageError, match="this is no broker's address") as refused:
        Broker(f"redis://:geheim{letter}mehr@host:6379/0")

    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("before", ["", "a", "ab"])
def test_a_secret_is_found_however_it_is_written(name: str, before: str) -> None:
    secret = SECRETS[name]
    for text in (secret, quote(secret, safe=""), json.dumps(secret)):
        assert seen(f"{before}{text} and more".encode()) == [name]
        coded = base64.b64encode(f"{before}{text} and more".encode())
        assert seen(coded) == [name], coded
    assert seen(secret[:-1].encode()) == []
