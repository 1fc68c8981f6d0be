"""A loaded model as tasks use it: how many prompts at a time, and what happens when one fails."""

import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping

from clipfleet.clock import SYSTEM, Clock, Deadline, take
from clipfleet.errors import EngineDead, EngineFailed, Interrupted, RequestTimedOut
from clipfleet_workers.inference.engine import Answer, Engine, Prompt

log = logging.getLogger("clipfleet")


def in_flight(batch_size: int) -> int:
    """How many prompts are submitted to an engine that computes `batch_size` at once.

    A quarter more wait in it, so that there is always a prefill to run beside the decodes. Without
    them, windows that began together also end together, and for seconds there is nothing to
    prefill.
    """
    return batch_size + -(-batch_size // 4)


class Slots:
    """How many prompts of each queue may be in an engine at once.

    A task that would wait longer than `within_s` seconds for a slot is `Interrupted`: its message
    goes to a worker that has time for it.
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._sizes = dict(sizes)
        self._free = {queue: threading.BoundedSemaphore(size) for queue, size in sizes.items()}
        self._one_at_a_time = threading.Lock()

    @contextlib.contextmanager
    def one(self, queue: str, *, within_s: float) -> Iterator[None]:
        """A slot among others."""
        with _taken(self._free[queue], Deadline(within_s)):
            yield

    @contextlib.contextmanager
    def all(self, *, within_s: float) -> Iterator[None]:
        """Every slot: nothing else is in the engine."""
        deadline = Deadline(within_s)
        with contextlib.ExitStack() as stack:
            stack.enter_context(_taken(self._one_at_a_time, deadline))
            for queue, size in self._sizes.items():
                for _ in range(size):
                    stack.enter_context(_taken(self._free[queue], deadline))
            yield


@contextlib.contextmanager
def _taken(one: "threading.Lock | threading.Semaphore", deadline: Deadline) -> Iterator[None]:
    if not take(one, deadline):
        raise Interrupted("the engine had no free slot for the window in time")
    try:
        yield
    finally:
        one.release()


class Busy:
    """The share of the time in which at least one request was in progress."""

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._inside = 0
        self._changed_at = self._asked_at = self._clock.monotonic()
        self._busy_s = 0.0

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Count one request as in progress."""
        self._count(+1)
        try:
            yield
        finally:
            self._count(-1)

    def share(self) -> float:
        """The busy share of the time since the last call, 0 to 1."""
        with self._lock:
            now = self._advance()
            share = self._busy_s / max(now - self._asked_at, 1e-9)
            self._busy_s, self._asked_at = 0.0, now
        return min(1.0, share)

    def _count(self, by: int) -> None:
        with self._lock:
            self._advance()
            self._inside += by

    def _advance(self) -> float:
        now = self._clock.monotonic()
        self._busy_s += (now - self._changed_at) * (self._inside > 0)
        self._changed_at = now
        return now


class LoadedModel:
    """An engine and what it was loaded as; steps refuse windows that ask for another model."""

    def __init__(
        self,
        engine: Engine,
        slots: Slots,
        *,
        variant: str,
        fp8: bool,
        repository: str,
        revision: str,
        timeout_s: float,
        clock: Clock = SYSTEM,
    ) -> None:
        self._clock = clock
        self.engine, self._slots, self._timeout_s = engine, slots, timeout_s
        self.variant, self.fp8 = variant, fp8
        self.repository, self.revision = repository, revision
        self._last_answer = self._clock.monotonic()
        self.busy = Busy(clock)

    def generate(self, queue: str, prompt: Prompt) -> Answer:
        """Answer the prompt; where the engine fails on it, try once more with nothing else in it.

        So one bad window never fails its neighbours. Raises what `Engine.generate` raises;
        `EngineDead` also where the engine answered no request while this one waited, and
        `Interrupted` also where no slot was free in time.
        """
        try:
            with self._slots.one(queue, within_s=self._timeout_s):
                return self._ask(prompt)
        except EngineFailed as error:
            log.warning(
                "request %s failed and is tried again alone: %s",
                prompt.request_id,
                error,
                extra={"action": "request_retried"},
            )
        with self._slots.all(within_s=self._timeout_s):
            return self._ask(prompt)

    def _ask(self, prompt: Prompt) -> Answer:
        asked = self._clock.monotonic()
        try:
            with self.busy.working():
                answer = self.engine.generate(prompt, timeout_s=self._timeout_s)
        except RequestTimedOut as error:
            if self._last_answer < asked:
                raise EngineDead(f"{error}, nor to any other request meanwhile") from error
            raise
        self._last_answer = self._clock.monotonic()
        return answer
