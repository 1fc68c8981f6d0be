"""Leases: renewed while their worker lives, given back as it ends, never lost in between."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from clipfleet.broker.client import Broker
from clipfleet_workers.delivery.leases import Leases
from clipfleet_workers.delivery.unacked import DEATHS, INDEX, UNACKED, End
from tests.support.broker import BrokerServer
from tests.support.clock import ManualClock
from tests.support.waiting import wait_for

LEASE_S = 1.0
QUEUE = "prepare"


class Bench:
    """A broker, and workers' leases on it."""

    def __init__(self, server: BrokerServer) -> None:
        self.server = server
        self.client = redis.Redis.from_url(server.url, decode_responses=True)
        self.refused: list[str] = []
        self._made: list[Leases] = []

    def leases(self, name: str = "w", **more: Any) -> Leases:
        made = Leases(
            self.server.url,
            name=name,
            queues=(QUEUE,),
            lease_s=LEASE_S,
            refuse=lambda queue, reason: self.refused.append(reason),
            **more,
        )
        self._made.append(made)
        return made

    def started(self, name: str = "w") -> Leases:
        made = self.leases(name)
        made.start()
        return made

    def waiting(self) -> list[dict[str, Any]]:
        return [json.loads(each) for each in self.client.lrange(QUEUE, 0, -1)]

    def unacked(self) -> dict[str, Any]:
        return {str(tag): json.loads(e) for tag, e in self.client.hgetall(UNACKED).items()}

    def vanish(self, leases: Leases) -> None:
        """As where its machine is gone."""
        leases._closing.set()
        assert leases._thread is not None
        leases._thread.join(20)

    def end(self) -> None:
        for made in self._made:
            made._closing.set()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with BrokerServer(tmp_path) as server:
        bench = Bench(server)
        try:
            yield bench
        finally:
            bench.end()


def message(**headers: Any) -> dict[str, Any]:
    info = {"exchange": "", "routing_key": QUEUE}
    return {"body": "", "headers": {"id": "t", **headers}, "properties": {"delivery_info": info}}


def test_a_lease_is_renewed_for_as_long_as_its_worker_lives(bench: Bench) -> None:
    leases, other = bench.started(), bench.started("other")
    leases.take("tag", message(), QUEUE)
    leases.started("tag")
    until = (bench.client.zscore(INDEX, "tag") or 0.0) + 2 * LEASE_S

    wait_for("renewing", lambda: (bench.client.zscore(INDEX, "tag") or 0.0) > until, 20)

    assert bench.waiting() == []
    assert other.unacked == 0


def test_the_message_of_a_vanished_worker_comes_back_and_counts_against_it(bench: Bench) -> None:
    leases, other = bench.started(), bench.started("other")
    leases.take("tag", message(**{DEATHS: 1}), QUEUE)
    leases.at_work("tag")
    bench.vanish(leases)

    wait_for("message", bench.waiting, 20)

    (back,) = bench.waiting()
    assert back["headers"][DEATHS] == 2
    assert back["headers"]["redelivered"]
    assert bench.unacked() == {}
    assert other.unacked == 0


def test_the_message_of_a_worker_that_was_told_to_stop_counts_for_nothing(bench: Bench) -> None:
    leases, _ = bench.started(), bench.started("other")
    leases.take("tag", message(), QUEUE)
    leases.farewell()
    bench.vanish(leases)

    wait_for("message", bench.waiting, 20)

    assert DEATHS not in bench.waiting()[0]["headers"]


def test_what_comes_as_a_worker_is_stopping_goes_to_others_at_once(bench: Bench) -> None:
    leases = bench.started()
    leases.take("begun", message(), QUEUE)
    leases.started("begun")
    leases.farewell()
    leases.take("late", message(), QUEUE)

    wait_for("message", bench.waiting, 20)

    assert list(bench.unacked()) == ["begun"]


def test_who_could_not_renew_for_a_while_lets_the_others_renew_for_a_lease(bench: Bench) -> None:
    bench.client.hset(UNACKED, "tag", json.dumps([message(), "", QUEUE]))
    bench.client.zadd(INDEX, {"tag": 1.0})
    clock = ManualClock()
    late = bench.leases("late", clock=clock)
    late._broker_clock.set(late._client)

    def look(after_s: float) -> int:
        bench.client.delete("clipfleet:restoring")
        clock.sleep(after_s)
        late._restorer.restore_lapsed(late._client)
        return len(bench.waiting())

    assert look(0) == look(LEASE_S / 2) == 0
    assert look(2 * LEASE_S) == look(LEASE_S / 2) == 0, "it was away again"
    assert look(LEASE_S / 2) == 1


def test_a_message_that_nobody_began_is_no_evidence(bench: Bench) -> None:
    leases, _ = bench.started(), bench.started("other")
    leases.take("later", message(eta="2026-01-01T00:00:00"), QUEUE)
    leases.take("its turn", message(**{DEATHS: 2}), QUEUE)
    leases.take("its turn came", message(**{DEATHS: 1}), QUEUE)
    leases.at_work("its turn came")
    bench.vanish(leases)

    wait_for("messages", lambda: len(bench.waiting()) == 3, 20)

    assert sorted(each["headers"].get(DEATHS, 0) for each in bench.waiting()) == [0, 2, 2]


def test_a_farewell_that_the_broker_does_not_hear_is_said_again(bench: Bench) -> None:
    leases, _ = bench.started(), bench.started("other")
    leases.take("tag", message(), QUEUE)
    leases.started("tag")
    bench.client.replicaof("127.0.0.1", "1")
    leases.farewell()
    bench.client.replicaof("NO", "ONE")

    wait_for("farewell", lambda: list(bench.client.scan_iter("clipfleet:farewell:*")), 20)


def test_a_tag_of_any_bytes_ends_nobodys_looks(bench: Bench) -> None:
    raw = redis.Redis.from_url(bench.server.url)
    raw.zadd(INDEX, {b"\xff\xfe": 1.0})
    raw.hset(UNACKED, b"\xff\xfe", b"\xff")
    bench.started()

    wait_for("look", lambda: not raw.exists(UNACKED, INDEX), 20)
    raw.close()


def test_a_queue_that_takes_nothing_loses_no_message_that_is_given_back(bench: Bench) -> None:
    leases = bench.leases()
    leases._broker_clock.set(leases._client)
    leases.take("tag", message(), QUEUE)
    bench.client.set(QUEUE, "text")
    leases.end("tag", End.GIVE_BACK)
    leases._catch_up()

    assert len(bench.waiting()) == 1
    assert bench.unacked() == {}


def test_what_is_left_as_a_worker_ends_is_given_back_for_nothing(bench: Bench) -> None:
    leases = bench.started()
    leases.take("tag", message(), QUEUE)
    leases.take("done", message(), QUEUE)
    leases.end("done", End.ACK)
    leases.close()

    (back,) = bench.waiting()
    assert DEATHS not in back["headers"]
    assert bench.unacked() == {}
    assert not list(bench.client.scan_iter("clipfleet:worker:*"))


def test_a_heartbeat_says_what_is_in_progress_now(bench: Bench) -> None:
    leases = bench.leases(longest_task_s=60)
    leases._lease_s = 60.0  # renewed every 20 s
    leases.start()
    broker = Broker(bench.server.url)
    for tag in ("one", "two"):
        leases.take(tag, message(), QUEUE)
    wait_for("both", lambda: [beat.unacked for beat in broker.workers()] == [2], 10)

    leases.end("one", End.ACK)
    leases.end("two", End.ACK)
    wait_for("none", lambda: [beat.unacked for beat in broker.workers()] == [0], 10)
    broker.close()


@pytest.mark.parametrize("how", [End.ACK, End.GIVE_BACK])
def test_what_the_broker_does_not_take_is_done_once_it_does(bench: Bench, how: End) -> None:
    leases = bench.started()
    leases.take("tag", message(), QUEUE)
    bench.client.replicaof("127.0.0.1", "1")

    leases.end("tag", how)
    assert leases.unacked == 1
    bench.client.replicaof("NO", "ONE")

    wait_for("end", lambda: leases.unacked == 0, 20)
    assert bench.unacked() == {}
    assert len(bench.waiting()) == (how is End.GIVE_BACK)


def test_what_came_and_could_not_be_noted_is_worked_on_and_noted_later(bench: Bench) -> None:
    leases = bench.started()
    bench.client.replicaof("127.0.0.1", "1")
    leases.take("tag", message(), QUEUE)
    assert leases.unacked == 1
    bench.client.replicaof("NO", "ONE")

    wait_for("note", bench.unacked, 20)


def test_a_message_that_nobody_works_on_is_given_back_and_said_to_be_stuck(bench: Bench) -> None:
    clock = ManualClock()
    leases = bench.leases(clock=clock)
    leases._broker_clock.set(leases._client)
    leases.take("tag", message(), QUEUE)
    assert leases.stuck() == 0

    clock.sleep(2.1 * LEASE_S)

    assert leases.stuck() == 1
    leases._catch_up()
    assert len(bench.waiting()) == 1
    assert leases.stuck() == 0


def test_a_message_that_waits_for_its_turn_is_not_stuck(bench: Bench) -> None:
    clock = ManualClock()
    leases = bench.leases(clock=clock)
    leases.take("busy", message(), QUEUE)
    leases.started("busy")
    leases.take("next", message(), QUEUE)
    leases.take("later", message(eta="2026-01-01T00:00:00"), QUEUE)

    clock.sleep(30 * LEASE_S)

    assert leases.stuck() == 0


def test_one_that_is_worked_on_without_end_is_stuck(bench: Bench) -> None:
    clock = ManualClock()
    leases = bench.leases(clock=clock, longest_task_s=100)
    leases.take("tag", message(), QUEUE)
    leases.started("tag")

    clock.sleep(101)

    assert leases.stuck() == 1


def test_what_is_left_to_newer_workers_comes_back_after_a_while(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipfleet_workers.delivery.leases.PUT_OFF_S", 3 * LEASE_S)
    leases = bench.started()
    leases.leave("tag", message(), QUEUE)
    assert leases.unacked == 0
    assert list(bench.unacked()) == ["tag"]

    wait_for("message", bench.waiting, 20)

    assert DEATHS not in bench.waiting()[0]["headers"]


@pytest.mark.parametrize(
    "forged",
    ["no JSON", "[]", "[1, 2, 3]", '[{"headers": {}}, "", "prepare"]', '[{}, "", "another queue"]'],
)
def test_an_unacked_entry_that_is_no_message_is_dropped_and_said(bench: Bench, forged: str) -> None:
    bench.client.hset(UNACKED, "evil", forged)
    bench.client.zadd(INDEX, {"evil": 1.0, "nothing": 1.0})
    bench.started()

    wait_for("look", lambda: not bench.client.exists(UNACKED, INDEX), 20)

    assert len(bench.refused) == 1
    assert bench.waiting() == []


@pytest.mark.parametrize("key", [UNACKED, INDEX, "clipfleet:worker:w", QUEUE])
def test_a_key_of_another_kind_keeps_nobody_from_renewing(bench: Bench, key: str) -> None:
    bench.client.delete(key)
    (bench.client.set if key != "clipfleet:worker:w" else bench.client.rpush)(key, "x")
    leases = bench.started()
    leases.reconnected()
    leases.take("tag", message(), QUEUE)

    wait_for("beat", lambda: bench.client.exists("clipfleet:worker:w"), 20)
    wait_for("note", lambda: bench.client.type(UNACKED) == "hash", 20)
