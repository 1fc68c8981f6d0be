"""Which messages that came back are taken for those that ended their worker."""

import threading
from typing import Any, cast

import pytest
from celery.exceptions import Reject

from clipfleet.settings import read_settings
from workers import app
from workers.context import Context

pytestmark = pytest.mark.unit


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

    def __init__(self) -> None:
        self.broker, self.stopping = Counts(), threading.Event()
        self.settings = read_settings()


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
    with app._suspicion(cast(Context, held), cast(Any, Request())) as poisoned:
        assert not poisoned
    assert held.broker.begun == 2
    with app._suspicion(cast(Context, held), cast(Any, Request())) as poisoned:
        assert poisoned
