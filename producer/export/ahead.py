"""Work done ahead by threads, taken in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def in_order(
    pool: ThreadPoolExecutor, work: Callable[[Given], Made], items: Iterable[Given], *, ahead: int
) -> Iterator[Made]:
    """`work` of each item, in the items' order, at most `ahead` of them begun and not taken.

    `ThreadPoolExecutor.map` would begin them all. Raises what `work` raises; what was begun ahead
    is then called off.
    """
    remaining = iter(items)
    begun: deque[Future[Made]] = deque()
    try:
        begun.extend(pool.submit(work, item) for item in islice(remaining, ahead))
        while begun:
            made = begun.popleft().result()
            begun.extend(pool.submit(work, item) for item in islice(remaining, 1))
            yield made
    finally:
        for future in begun:
            future.cancel()
