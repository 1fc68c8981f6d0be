"""The lock under which workers look for leases that ran out, on a real broker."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from kombu.transport.redis import MutexHeld

from tests.support.broker import BrokerServer
from workers.mutex import mutex


@pytest.fixture
def client(tmp_path: Path) -> "Iterator[redis.Redis]":
    """A connection as the broker's user `fleet`, who may run no script."""
    with (
        BrokerServer(tmp_path) as server,
        redis.Redis.from_url(server.fleet_url()) as client,
    ):
        yield client


def test_a_lock_that_is_held_is_refused_and_free_again_after(client: "redis.Redis") -> None:
    with (
        mutex(client, "unacked_mutex", 60),
        pytest.raises(MutexHeld),
        mutex(client, "unacked_mutex", 60),
    ):
        raise AssertionError("two hold it")

    with mutex(client, "unacked_mutex", 60):
        assert client.exists("unacked_mutex")


def test_a_lock_that_ran_out_is_left_to_whoever_has_it_now(client: "redis.Redis") -> None:
    with mutex(client, "unacked_mutex", 60):
        client.set("unacked_mutex", "another's")

    assert client.get("unacked_mutex") == b"another's"


def test_a_lock_is_let_go_when_its_holder_fails(client: "redis.Redis") -> None:
    with pytest.raises(ValueError, match="oops"), mutex(client, "unacked_mutex", 60):
        raise ValueError("oops")

    assert client.get("unacked_mutex") is None
