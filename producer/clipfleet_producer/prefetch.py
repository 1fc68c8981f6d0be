"""Work taken in order: done where it is asked for while that is quick, else ahead by threads."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

# Threads that read records, and what they read ahead: on S3 a read is a wait of some 10 ms.
READERS = 32
AHEAD = 8 * READERS
# What handing an item to a thread and back costs is 0.1 to 0.2 ms, since threads wait for one
# another's Python: a record from a local disk takes less, one from a distant store much more.
SLOW_S = 0.0005
_SMOOTHED_OVER = 8  # items

Given = TypeVar("Given")
Made = TypeVar("Made")


class Readers(ThreadPoolExecutor):
    """Threads that read from a store. Interrupted, nobody waits for what they are reading."""

    def __init__(self) -> None:
        super().__init__(READERS)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        interrupted = kind is not None and not issubclass(kind, Exception)
        self.shutdown(wait=not interrupted, cancel_futures=kind is not None)


def ordered_prefetch(
    pool: ThreadPoolExecutor, work: Callable[[Given], Made], items: Iterable[Given], *, ahead: int
) -> Iterator[Made]:
    """`work` of each item, in the items' order, at most `ahead` of them begun and not taken.

    Once an item takes longer than `SLOW_S` on average, the others are left to the pool. Raises what
    `work` raises; what was begun ahead is then called off.
    """
    remaining = iter(items)
    average_s = 0.0
    for item in remaining:
        began = time.perf_counter()
        made = work(item)
        average_s += (time.perf_counter() - began - average_s) / _SMOOTHED_OVER
        yield made
        if average_s > SLOW_S:
            yield from _by_threads(pool, work, remaining, ahead=ahead)


def _by_threads(
    pool: ThreadPoolExecutor, work: Callable[[Given], Made], items: Iterator[Given], *, ahead: int
) -> Iterator[Made]:
    begun: deque[Future[Made]] = deque()
    try:
        # `ThreadPoolExecutor.map` would begin them all.
        begun.extend(pool.submit(work, item) for item in islice(items, ahead))
        while begun:
            made = begun.popleft().result()
            begun.extend(pool.submit(work, item) for item in islice(items, 1))
            yield made
    finally:
        for future in begun:
            future.cancel()


def where_needed(
    pool: ThreadPoolExecutor,
    work: Callable[[Given], Made],
    items: Iterable[Given],
    *,
    needs: Callable[[Given], bool],
    ahead: int,
) -> Iterator[tuple[Given, Made | None]]:
    """(item, `work` of it, or None of those without need), in the items' order.

    Threads do the work, at most `ahead` items before it is asked for; the others cost next to
    nothing. Raises what `work` raises; what was begun ahead is then called off.
    """
    waiting: deque[tuple[Given, Future[Made] | None]] = deque()

    def ready(most: int) -> Iterator[tuple[Given, Made | None]]:
        while waiting and (len(waiting) > most or (begun := waiting[0][1]) is None or begun.done()):
            item, begun = waiting.popleft()
            yield item, begun.result() if begun else None

    try:
        for item in items:
            needed = needs(item)
            if needed or waiting:
                waiting.append((item, pool.submit(work, item) if needed else None))
                yield from ready(ahead)
            else:
                yield item, None
        yield from ready(0)
    finally:
        for _, future in waiting:
            if future:
                future.cancel()
