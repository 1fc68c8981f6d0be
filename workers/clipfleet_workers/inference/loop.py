"""An event loop in its own thread, through which many threads use one asynchronous engine."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from clipfleet.errors import EngineDead, Interrupted

T = TypeVar("T")

# A loop that is this many seconds late counts as stuck. Preparing the frames of all requests in
# flight has blocked one for seconds.
STUCK_S = 60.0
_CLOSE_S = 5.0


class Loop:
    """Runs coroutines for threads that wait for them, until it is closed."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._interrupted = threading.Event()
        self._pending: set[Future[Any]] = set()
        threading.Thread(target=self._loop.run_forever, name="engine", daemon=True).start()

    def run(self, work: Coroutine[Any, Any, T], *, timeout_s: float | None) -> T:
        """The result of `work`, or what it raises.

        Raises `TimeoutError` after `timeout_s` seconds in all, with the work cancelled, and
        `Interrupted` after `interrupt`; `EngineDead` where the loop itself is stuck.
        """
        if self._interrupted.is_set():
            work.close()
            raise Interrupted
        done = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, timeout_s), self._loop)
        self._pending.add(done)
        try:
            if self._interrupted.is_set():  # checked again, now that `interrupt` can see the work
                done.cancel()
            return done.result(None if timeout_s is None else timeout_s + STUCK_S)
        except CancelledError:
            raise Interrupted from None
        except TimeoutError:
            if done.done():
                raise
            done.cancel()
            raise EngineDead(f"the engine's loop has been stuck for {STUCK_S:g} s") from None
        finally:
            self._pending.discard(done)

    def interrupt(self) -> None:
        """Cancel what runs, and refuse all later work."""
        self._interrupted.set()
        for each in tuple(self._pending):
            each.cancel()

    def close(self, last: Coroutine[Any, Any, None] | None = None) -> None:
        """Stop the loop, after giving `last` a few seconds to finish."""
        self.interrupt()
        if last is not None:
            done = asyncio.run_coroutine_threadsafe(asyncio.wait_for(last, _CLOSE_S), self._loop)
            with contextlib.suppress(Exception):  # the other end may be gone
                done.result(_CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
