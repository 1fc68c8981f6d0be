"""A task whose store failed waits ever longer, and never for ever."""

from clipfleet_workers.delivery.tasks import longest_wait_s
from clipfleet_workers.delivery.unacked import LONGEST_WAIT_S


def test_each_wait_is_twice_the_last_up_to_the_longest() -> None:
    waits = [longest_wait_s(retries) for retries in range(1000)]

    assert waits[:6] == [1, 2, 4, 8, 16, 32]
    assert set(waits[6:]) == {min(64, LONGEST_WAIT_S)}
