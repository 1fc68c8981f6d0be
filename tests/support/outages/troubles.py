"""What a broker comes to, by name.

Each is a generator: it makes ready, yields until it is to strike, and returns once the broker is
well again.
"""

import contextlib
import random
import time
from collections.abc import Callable, Iterator

import redis

from tests.support.broker import BrokerServer
from tests.support.outages.fleet import OutageFleet
from tests.support.waiting import wait_for

FOR_S = 8.0
LOST_S = 1.0  # of writes, in a failover

Trouble = Callable[[OutageFleet, random.Random], Iterator[None]]


def _answers(name: str, value: str) -> Trouble:
    """A broker that answers errors, as a setting makes it."""

    def do(fleet: OutageFleet, chance: random.Random) -> Iterator[None]:
        client = fleet.client()
        yield
        client.config_set(name, value)
        time.sleep(FOR_S)
        client.config_set(name, "0")

    return do


def _readonly(fleet: OutageFleet, chance: random.Random) -> Iterator[None]:
    """It takes itself for a replica of a primary that is not there; it answers READONLY."""
    client = fleet.client()
    yield
    client.replicaof("127.0.0.1", "1")
    time.sleep(FOR_S)
    client.replicaof("NO", "ONE")


def _kill(fleet: OutageFleet, chance: random.Random) -> Iterator[None]:
    """kill -9, and up again with what was on its disk."""
    yield
    fleet.broker.kill()
    time.sleep(chance.uniform(0.2, 1.0) * FOR_S)
    fleet.broker.start()


def _half_open(fleet: OutageFleet, chance: random.Random) -> Iterator[None]:
    """Every open connection goes dead without a word."""
    yield
    fleet.link.freeze()


def _failover(fleet: OutageFleet, chance: random.Random) -> Iterator[None]:
    """Its replica takes its place, without the last second of what was written."""
    folder = fleet.folder / f"replica-{time.monotonic_ns()}"
    folder.mkdir()
    replica = BrokerServer(folder, password=fleet.broker.password)
    replica.start()
    client = redis.Redis.from_url(replica.url, decode_responses=True)
    client.config_set("masterauth", fleet.broker.password)
    client.replicaof("127.0.0.1", str(fleet.broker.port))
    wait_for("replica", lambda: _is_linked(client), 20)
    yield
    client.replicaof("NO", "ONE")
    time.sleep(LOST_S)
    fleet.broker.kill()
    fleet.link.target = replica.port
    fleet.link.cut()
    fleet.broker = replica


def _is_linked(client: redis.Redis) -> bool:
    with contextlib.suppress(redis.RedisError):
        return client.info("replication").get("master_link_status") == "up"
    return False


TROUBLES: dict[str, Trouble] = {
    "oom": _answers("maxmemory", "1"),
    "readonly": _readonly,
    "noreplicas": _answers("min-replicas-to-write", "1"),
    "kill": _kill,
    "half-open": _half_open,
    "failover": _failover,
}
