"""The user `fleet` of deploy/broker-user.acl: it can do all that a fleet does, and no more."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from clipfleet.broker.client import Broker
from clipfleet.errors import BrokerError, ExitCode
from tests.support.broker import BrokerServer
from tests.support.samples import copy_samples
from tests.support.small_fleet import SmallFleet, write_texts
from tests.support.tree import python_path
from tests.support.waiting import wait_for

# As `clipfleet submit` has them: a caption worker with an engine that answers at once.
OPTIONS = ("--captioning-algorithm", "mini", "--in-flight", "2")


@pytest.fixture
def owner(small_fleet: SmallFleet) -> "Iterator[redis.Redis]":
    """The broker's owner, who sees what was refused; the fleet is its user `fleet`."""
    small_fleet.settings["CLIPFLEET_BROKER"] = small_fleet.broker.fleet_url()
    with redis.Redis.from_url(small_fleet.broker.url, decode_responses=True) as client:
        client.acl_log_reset()
        yield client


def refused(owner: "redis.Redis") -> list[tuple[str, str]]:
    """(reason, command or key) of all that the broker refused."""
    log: Any = owner.acl_log()
    return [(str(entry["reason"]), str(entry["object"])) for entry in log]


def test_a_whole_fleet_does_everything_as_this_user(
    small_fleet: SmallFleet, owner: "redis.Redis", tmp_path: Path
) -> None:
    clips, texts = tmp_path / "clips", write_texts(tmp_path / "texts", 3)
    clips.mkdir()
    copy_samples(clips, count=2)
    small_fleet.env |= {"PYTHONPATH": python_path(), "SCRIPT_LOG": str(tmp_path / "script.log")}
    small_fleet.start(also=["clipfleet_workers preview", "tests.faults.scripted_worker"])

    owner.lpush("prepare", "forged")
    done = small_fleet.submit(clips, "--run", "a", "--wait", *OPTIONS)
    assert done.returncode == 0, done.stdout
    failed = small_fleet.submit(texts, "--run", "b", "--wait", *OPTIONS)
    assert failed.returncode == 3, failed.stdout

    more = write_texts(tmp_path / "more", 4)
    small_fleet.pause_prepare()
    try:
        assert small_fleet.submit(more, "--run", "c", *OPTIONS).returncode == 0
        feeder = small_fleet.start_command("feed", "c")
        wait_for("clip is fed", lambda: owner.llen("prepare"), within_s=30)
        hold_by_a_dead_worker(owner)
        ask(small_fleet, "status", "status c", "pause c", "resume c", "cancel c")
    finally:
        small_fleet.continue_prepare()
    ask(small_fleet, "resume c")
    feeder.send_signal(signal.SIGTERM)
    feeder.communicate(timeout=30)
    ask(small_fleet, "feed c", "failures", "failures b", "reconcile b", "summary b")
    ask(small_fleet, "retry b --run d --wait")

    wait_for("held message back", lambda: not owner.exists("unacked"), within_s=30)
    assert len(small_fleet.records()) == 9
    assert refused(owner) == []


def hold_by_a_dead_worker(owner: "redis.Redis") -> None:
    """Take a message off the queue as a worker does that dies at once, a long time ago."""
    message: Any = owner.rpop("prepare")
    owner.hset("unacked", "tag", json.dumps([json.loads(message), "", "prepare"]))
    owner.zadd("unacked_index", {"tag": 1})


def ask(fleet: SmallFleet, *commands: str) -> None:
    """Run commands of `clipfleet` that say what there is, failed clips or none."""
    for command in commands:
        said = fleet.run(*command.split())
        assert said.returncode in (ExitCode.OK, ExitCode.FAILED_CLIPS), (command, said.stdout)


def test_a_user_without_a_right_is_told_which_and_where_the_rights_are(tmp_path: Path) -> None:
    with BrokerServer(tmp_path) as server, redis.Redis.from_url(server.url) as owner:
        url = server.fleet_url()
        owner.acl_setuser("fleet", enabled=True, commands=["-xrevrange"])
        broker = Broker(url)
        with pytest.raises(BrokerError, match=r"'xrevrange'.*deploy/broker-user\.acl"):
            broker.refusals()
        broker.close()


FORBIDDEN = [
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("CONFIG", "GET", "*"),
    ("CONFIG", "SET", "dir", "/tmp"),
    ("KEYS", "*"),
    ("EVAL", "return 1", "0"),
    ("SCRIPT", "LOAD", "return 1"),
    ("FUNCTION", "LIST"),
    ("SHUTDOWN", "NOSAVE"),
    ("SUBSCRIBE", "celery-task-meta-1"),
    ("PSUBSCRIBE", "*"),
    ("MONITOR",),
    ("ACL", "LIST"),
    ("ACL", "SETUSER", "more"),
    ("CLIENT", "LIST"),
    ("CLIENT", "KILL", "TYPE", "normal"),
    ("REPLICAOF", "127.0.0.1", "1"),
    ("SAVE",),
    ("RENAME", "prepare", "clipfleet:1"),
    ("SORT", "prepare"),
    ("GET", "others"),
    ("SET", "others", "1"),
    ("LPUSH", "others", "1"),
    ("PUBLISH", "others", "1"),
]


@pytest.mark.parametrize("command", FORBIDDEN, ids=lambda command: " ".join(command[:2]))
def test_it_can_do_nothing_that_a_fleet_does_not(
    command: tuple[str, ...], as_fleet: "redis.Redis"
) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        as_fleet.execute_command(*command)  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def as_fleet(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[redis.Redis]":
    """A connection as this user."""
    with (
        BrokerServer(tmp_path_factory.mktemp("broker")) as server,
        redis.Redis.from_url(server.fleet_url()) as client,
    ):
        yield client
