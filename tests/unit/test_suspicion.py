"""Which messages that came back are taken for those that ended their worker."""

import threading
from typing import Any, cast

import pytest
from celery.exceptions import Reject
from celery.worker import state

from clipfleet.errors import EngineDead, ExitCode
from clipfleet.settings import read_settings
from workers import app
from workers.context import Context


class Counts:
    """A broker that has seen the task begun again once."""

    def __init__(self) -> None:
        self.begun = 1

    def restarts(self, task_id: str) -> int:
        return self.begun

    def count_restart(self, task_id: str, *, by: int = 1) -> None:
        self.begun += by


class Held:
    """What `_suspicion` reads of a worker."""

    def __init__(self, *, max_deliveries: int = 3) -> None:
        self.broker, self.stopping = Counts(), threading.Event()
        self.settings = read_settings(max_deliveries=max_deliveries)
        self.engine_dead = False

    def interrupt(self) -> None:
        self.stopping.set()


class Request:
    id = "task"
    delivery_info = {"redelivered": True}  # noqa: RUF012


def test_one_that_waited_its_turn_while_another_ended_the_worker_is_not_counted() -> None:
    held, raised = Held(), list[BaseException]()

    def begin() -> None:
        try:
            with app._suspicion(cast(Context, held), cast(Any, Request())):
                raise AssertionError("it was begun in a worker that ends")
        except BaseException as error:
            raised.append(error)

    with app._alone:
        waiting = threading.Thread(target=begin)
        waiting.start()
        held.stopping.set()
    waiting.join(5)

    assert [type(error) for error in raised] == [Reject]
    assert held.broker.begun == 1


def test_one_that_is_begun_again_is_counted() -> None:
    held = Held()
    with app._suspicion(cast(Context, held), cast(Any, Request())) as given_up:
        assert given_up is None
    assert held.broker.begun == 2
    with app._suspicion(cast(Context, held), cast(Any, Request())) as given_up:
        assert given_up is not None


def test_one_whose_turn_comes_as_the_engine_dies_is_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state, "should_stop", None)
    held, raised = Held(max_deliveries=4), list[BaseException]()

    def wait_for_turn() -> None:
        try:
            with app._suspicion(cast(Context, held), cast(Any, Request())):
                raise AssertionError("it was begun with a dead engine")
        except BaseException as error:
            raised.append(error)

    waiting = threading.Thread(target=wait_for_turn)

    def die_while_it_waits() -> None:
        with app._suspicion(cast(Context, held), cast(Any, Request())):
            waiting.start()
            raise EngineDead

    with pytest.raises(EngineDead):
        die_while_it_waits()
    waiting.join(5)

    assert [type(error) for error in raised] == [Reject]
    assert held.broker.begun == 2
    assert state.should_stop == ExitCode.ENGINE_DEAD
