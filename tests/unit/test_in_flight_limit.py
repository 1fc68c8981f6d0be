"""How many clips are in flight follows the queues, between what is least and what was asked for."""

import pytest

from clipfleet_producer.feeding import limit
from clipfleet_producer.feeding.limit import FIRST, LEAST, InFlightLimit
from tests.support.clock import ManualClock


def test_the_bound_doubles_as_long_as_workers_hold_more_than_waits_for_them() -> None:
    bound = InFlightLimit(1000)
    limits = []
    for _ in range(5):
        bound.adapt(waiting=10, unacked=100, at_limit=True)
        limits.append(bound.limit)
    assert limits == [128, 256, 512, 1000, 1000]


def test_it_shrinks_where_several_times_as_much_waits_and_grows_by_steps_from_then_on() -> None:
    bound = InFlightLimit(1000)
    bound.adapt(waiting=0, unacked=100, at_limit=True)
    bound.adapt(waiting=301, unacked=100, at_limit=True)
    assert bound.limit == 102
    bound.adapt(waiting=0, unacked=100, at_limit=True)
    assert bound.limit == 134


@pytest.mark.parametrize(
    ("waiting", "unacked", "at_limit"), [(100, 100, True), (300, 100, True), (0, 100, False)]
)
def test_it_stays_where_enough_waits_or_it_is_not_met(
    waiting: int, unacked: int, at_limit: bool
) -> None:
    bound = InFlightLimit(1000)
    bound.adapt(waiting=waiting, unacked=unacked, at_limit=at_limit)
    assert bound.limit == FIRST


def test_it_stays_between_the_least_and_what_was_asked_for() -> None:
    few, many = InFlightLimit(5), InFlightLimit(1000)
    for _ in range(50):
        few.adapt(waiting=1000, unacked=0, at_limit=True)
        many.adapt(waiting=1000, unacked=0, at_limit=True)
    assert (few.limit, many.limit) == (5, LEAST)


def test_the_queues_are_looked_at_now_and_then() -> None:
    clock = ManualClock()
    bound = InFlightLimit(clock=clock)
    assert not bound.due()
    clock.sleep(limit.STEP_S)
    assert bound.due()
    bound.adapt(waiting=0, unacked=0, at_limit=True)
    assert not bound.due()
