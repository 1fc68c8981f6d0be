"""What becomes of a task that the store fails time after time."""

from typing import Any, cast

import pytest

from clipfleet.errors import BrokerError, ClipError, StoreFull, StoreUnavailable
from clipfleet.settings import read_settings
from clipfleet_workers.context import Context
from clipfleet_workers.delivery import tasks

JOB = object()


class Held:
    """What `_do` reads of a worker."""

    settings = read_settings(max_retries=2)


class Request:
    def __init__(self, retries: int) -> None:
        self.retries = retries


class Steps:
    """A step that fails for want of the store, and what it does once the clip is given up."""

    def __init__(self, then: Exception | None) -> None:
        self._then = then
        self.given_up: ClipError | None = None

    def __call__(self, job: Any, given_up: ClipError | None) -> str:
        assert job is JOB
        if given_up is None:
            raise StoreUnavailable("it is away")
        self.given_up = given_up
        if self._then is not None:
            raise self._then
        return "done"


def do(steps: Steps, request: Request) -> str | None:
    return tasks._do(cast(Context, Held()), request, steps, JOB, None)


def test_before_its_last_try_it_is_tried_again() -> None:
    steps = Steps(then=None)
    with pytest.raises(StoreUnavailable):
        do(steps, Request(1))
    assert steps.given_up is None


def test_after_its_last_try_the_clip_is_given_up_and_says_why() -> None:
    steps = Steps(then=None)
    assert do(steps, Request(2)) == "done"
    assert str(steps.given_up) == "it is away; tried 3 times and not again (setting max_retries)"


def test_where_that_cannot_be_stored_either_the_count_begins_anew() -> None:
    request = Request(2)
    with pytest.raises(StoreUnavailable, match="it is away"):
        do(Steps(then=StoreFull()), request)
    assert request.retries == 0


def test_a_broker_that_is_away_just_then_is_the_brokers_trouble() -> None:
    with pytest.raises(BrokerError):
        do(Steps(then=BrokerError()), Request(2))
