"""Which messages are given up as poison, and how they are tried before that."""

import threading
from typing import Any, cast

import pytest
from celery.worker import state

from clipfleet.errors import EngineDead, ExitCode
from clipfleet.settings import read_settings
from clipfleet_workers.context import Context
from clipfleet_workers.delivery import tasks
from clipfleet_workers.delivery.verdicts import GiveBack


class Worker:
    """What `_poison_guard` reads of a worker."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.settings = read_settings(max_deliveries=3)
        self.engine_dead = False
        self.models: dict[str, object] = {}

    def interrupt(self) -> None:
        self.stopping.set()


class Request:
    """A message that so many workers died of."""

    def __init__(self, deaths: object) -> None:
        self.deaths = deaths
        self.delivery_info = {"redelivered": True}


def poison_guard(worker: Worker, deaths: object) -> Any:
    return tasks._poison_guard(cast(Context, worker), cast(Any, Request(deaths)))


@pytest.mark.parametrize("deaths", [0, 1, 2, -1, "3", True, None])
def test_one_that_came_back_is_done_until_three_workers_died_of_it(deaths: object) -> None:
    with poison_guard(Worker(), deaths) as given_up:
        assert given_up is None


def test_one_that_three_workers_died_of_is_given_up() -> None:
    with poison_guard(Worker(), 3) as given_up:
        assert str(given_up).startswith("it ended its worker 3 times")


def test_the_last_try_is_alone_and_goes_back_where_the_worker_ends_first() -> None:
    worker, raised = Worker(), list[BaseException]()

    def begin() -> None:
        try:
            with poison_guard(worker, 2):
                raise AssertionError("it was begun in a worker that ends")
        except BaseException as error:
            raised.append(error)

    with tasks._alone:
        waiting = threading.Thread(target=begin)
        waiting.start()
        worker.stopping.set()
        waiting.join(5)

    assert [type(error) for error in raised] == [GiveBack]


def test_one_whose_turn_comes_as_the_engine_dies_is_not_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state, "should_stop", None)
    worker, raised = Worker(), list[BaseException]()

    def wait_for_turn() -> None:
        try:
            with poison_guard(worker, 2):
                raise AssertionError("it was begun with a dead engine")
        except BaseException as error:
            raised.append(error)

    waiting = threading.Thread(target=wait_for_turn)

    def die_while_it_waits() -> None:
        with poison_guard(worker, 2):
            waiting.start()
            raise EngineDead

    with pytest.raises(EngineDead):
        die_while_it_waits()
    waiting.join(5)

    assert [type(error) for error in raised] == [GiveBack]
    assert state.should_stop == ExitCode.ENGINE_DEAD
