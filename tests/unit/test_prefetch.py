"""Quick work is done where it is asked for, slow work by threads, always in order."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from clipfleet_producer.prefetch import SLOW_S, ordered_prefetch, where_needed


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as made:
        yield made


def test_quick_work_is_done_by_who_asks_for_it_and_no_sooner(pool: ThreadPoolExecutor) -> None:
    began: list[int] = []

    def work(number: int) -> int:
        began.append(threading.get_ident())
        return number * 2

    made = ordered_prefetch(pool, work, range(100), ahead=8)
    assert [next(made), next(made)] == [0, 2]
    assert len(began) == 2
    assert list(made) == list(range(4, 200, 2))
    assert threading.get_ident() in began


def test_slow_work_goes_to_threads_and_keeps_its_order(pool: ThreadPoolExecutor) -> None:
    by: set[int] = set()
    begun: list[int] = []

    def work(number: int) -> int:
        by.add(threading.get_ident())
        begun.append(number)
        time.sleep(20 * SLOW_S)
        return number

    made = ordered_prefetch(pool, work, range(40), ahead=8)
    assert [next(made) for _ in range(10)] == list(range(10))
    assert len(begun) <= 10 + 8 + 1, "no more than asked for is begun ahead"
    assert list(made) == list(range(10, 40))
    assert len(by) == 1 + 4


def test_what_work_raises_is_raised_in_its_place_and_the_rest_called_off(
    pool: ThreadPoolExecutor,
) -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        time.sleep(20 * SLOW_S)
        if number == 10:
            raise OSError("gone")
        return number

    taken: list[int] = []
    with pytest.raises(OSError, match="gone"):
        taken.extend(ordered_prefetch(pool, work, range(1000), ahead=100))
    assert taken == list(range(10))
    pool.shutdown()
    assert len(begun) < 40


def test_work_is_done_where_it_is_needed_and_the_order_kept(pool: ThreadPoolExecutor) -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        time.sleep(0.001 * (10 - number % 10))
        return -number

    made = where_needed(pool, work, range(50), needs=lambda number: number % 3 == 0, ahead=8)

    assert next(made) == (0, 0)
    assert max(begun) <= 9
    assert list(made) == [(n, None if n % 3 else -n) for n in range(1, 50)]


def test_items_without_need_come_as_they_are_found(pool: ThreadPoolExecutor) -> None:
    items = iter(range(3))

    made = where_needed(pool, abs, items, needs=lambda number: False, ahead=8)

    assert next(made) == (0, None)
    assert list(items) == [1, 2]
