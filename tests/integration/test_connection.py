"""Which of a broker's errors pass, and what becomes of a message whose broker errs just then."""

import threading
import time
from typing import Any

import pytest
import redis
from celery.app.task import Context
from celery.exceptions import Reject

from clipfleet.broker import connection
from clipfleet.queues import make_app
from clipfleet.testing import PrivateBroker
from clipfleet_workers.delivery import pool
from clipfleet_workers.delivery.tasks import WorkerApp
from clipfleet_workers.delivery.transport import Transport
from clipfleet_workers.delivery.verdicts import GiveBack
from tests.support.outages.link import Link

PASSING = {
    "a replica": redis.exceptions.ReadOnlyError("You can't write against a read only replica."),
    "full": redis.exceptions.OutOfMemoryError("command not allowed"),
    "without replicas": redis.ResponseError("NOREPLICAS Not enough good replicas to write."),
    "a disk that fails": redis.ResponseError("MISCONF Errors writing to the AOF file"),
    "a primary that is away": redis.exceptions.MasterDownError("Link with MASTER is down"),
    "a script that hangs": redis.ResponseError("BUSY Redis is busy running a script."),
}
ITS_OWN = {
    "another kind": redis.ResponseError("WRONGTYPE Operation against a key"),
    "no right": redis.exceptions.NoPermissionError("this user has no permissions"),
    "no command": redis.ResponseError("ERR unknown command"),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_a_broker_says_of_itself_passes(name: str) -> None:
    assert connection.passes(PASSING[name])


@pytest.mark.parametrize("name", ITS_OWN)
def test_what_it_says_of_the_command_does_not(name: str) -> None:
    assert not connection.passes(ITS_OWN[name])


def ill(server: PrivateBroker, answers: bool) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.replicaof(*(("127.0.0.1", "1") if answers else ("NO", "ONE")))


@pytest.mark.parametrize("within", ["a command", "a transaction"])
def test_a_broker_that_is_a_replica_is_a_lost_connection_and_then_well(
    broker: PrivateBroker, within: str
) -> None:
    client = connection.connect(broker.url)

    def write(client: redis.Redis) -> None:
        if within == "a command":
            client.set("a", 1)
        with client.pipeline(transaction=True) as pipe:
            pipe.set("a", 1)
            pipe.execute()

    ill(broker, True)
    with pytest.raises(redis.ConnectionError, match="not well"):
        connection.twice(client, write)
    ill(broker, False)
    connection.twice(client, write)
    assert client.get("a") == "1"
    client.close()


def test_where_one_connection_is_dead_those_beside_it_are_made_anew_at_once(
    broker: PrivateBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ANSWER_S", 0.5)
    with Link(broker.port) as link:
        url = f"redis://:{broker.password}@127.0.0.1:{link.port}/0"
        client = connection.connect(url)
        pool = client.connection_pool
        for each in [pool.get_connection() for _ in range(5)]:
            each.connect()  # type: ignore[no-untyped-call]
            pool.release(each)
        link.freeze()

        began = time.monotonic()
        connection.twice(client, lambda client: client.ping())
        for each in [pool.get_connection() for _ in range(5)]:
            each.send_command("PING")  # type: ignore[no-untyped-call]
            assert each.read_response() == "PONG"

        assert time.monotonic() - began < 2 * 0.5, "each took a time-out of its own"
        client.close()


def worker_app(url: str) -> Any:
    app = make_app(
        url, lease_s=1, kind=WorkerApp, backend="clipfleet_workers.delivery.chord:ChordCounter"
    )
    app.conf.task_publish_retry = False
    return app


def returned(app: Any, task: str) -> None:
    """As where a window's task ended, the second of two."""
    assemble = app.signature("assemble", args=[{}], immutable=True, queue="assemble")
    request = Context(id=task, group="group", group_index=0, chord=assemble)
    app.backend.on_chord_part_return(request, "SUCCESS", "done")


def test_a_chord_whose_body_the_broker_does_not_take_is_sent_when_its_last_part_comes_again(
    broker: PrivateBroker,
) -> None:
    app = worker_app(broker.url)
    app.backend.set_chord_size("group", 2)
    returned(app, "one")
    send, refused = app.send_task, []

    def refuse(*_: Any, **__: Any) -> None:
        refused.append(1)
        raise GiveBack("the broker takes no message just now")

    app.send_task = refuse
    with pytest.raises(GiveBack):
        returned(app, "two")
    app.send_task = send
    with redis.Redis.from_url(broker.url) as client:
        assert refused
        assert client.llen("assemble") == 0
        returned(app, "two")
        assert client.llen("assemble") == 1
        returned(app, "two")
        assert client.llen("assemble") == 1, "once is enough"


def test_a_part_that_the_broker_does_not_count_goes_back(broker: PrivateBroker) -> None:
    app = worker_app(broker.url)
    app.backend.set_chord_size("group", 1)
    ill(broker, True)
    with pytest.raises(GiveBack, match="does not count"):
        returned(app, "one")
    ill(broker, False)
    returned(app, "one")
    with redis.Redis.from_url(broker.url) as client:
        assert client.llen("assemble") == 1


def test_a_part_that_failed_is_not_counted(broker: PrivateBroker) -> None:
    app = worker_app(broker.url)
    app.backend.set_chord_size("group", 1)
    request = Context(id="one", group="group", group_index=0, chord=None)
    app.backend.on_chord_part_return(request, "FAILURE", ValueError("a fault of ours"))
    with redis.Redis.from_url(broker.url) as client:
        assert client.keys("*group.j") == []


def test_a_message_that_the_broker_does_not_take_is_no_fault_of_the_task(
    broker: PrivateBroker,
) -> None:
    app = worker_app(broker.url)
    ill(broker, True)
    with pytest.raises(GiveBack, match="takes no message"):
        app.send_task("prepare", args=[{}], queue="prepare", ignore_result=True)


class Request:
    """What a thread of the pool tells of its message."""

    tag = "tag"

    def __init__(self) -> None:
        self.outcomes: list[Any] = []

    def on_success(self, outcome: Any, **_: Any) -> None:
        self.outcomes.append(outcome)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (ValueError("lost"), GiveBack),
        (Reject("no", requeue=True), Reject),
        (SystemExit(1), GiveBack),
    ],
)
def test_whatever_a_thread_raises_its_message_is_answered_for(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, verdict: type[Reject]
) -> None:
    began = list[str]()
    leases = type("Leases", (), {"started": staticmethod(began.append)})
    monkeypatch.setattr(Transport, "leases", leases, raising=False)
    request, threads = Request(), pool.ThreadPool(limit=1)

    def fail() -> None:
        raise error

    threads.on_apply(fail, (), {}, request.on_success, lambda pid, at: None)
    threads.executor.shutdown()

    assert began == ["tag"]
    ((failed, info, _),) = request.outcomes
    assert failed
    assert isinstance(info.exception.exc, verdict)
    assert info.exception.exc.requeue
    assert threading.active_count() >= 1
