"""A model of the broker and of workers that stop at every operation, to run the real steps in.

Celery's part of the protocol is modelled; `prepare`, `do_once`, `assemble`, what they send and what
they store are the real ones. A worker runs in a thread of its own, one at a time: it goes on when
it is told to, up to its next operation on the store or the broker, and may die or fail there.
"""

import enum
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import redis

from clipfleet.errors import BrokerError, StoreError, StoreUnavailable
from clipfleet.store import ObjectInfo, Store
from clipfleet.store.base import Data


@dataclass(frozen=True)
class Signature:
    """A task to send: in place of Celery's."""

    queue: str
    payload: dict[str, Any]
    broker: "Broker"

    def apply_async(self) -> None:
        self.broker.send(Message(self.queue, self.payload))


@dataclass(eq=False)
class Chord:
    """Tasks that are counted by their distinct results, as Redis does, and what comes after."""

    size: int
    body: Signature
    results: set[tuple[int, str]] = field(default_factory=set)


@dataclass(frozen=True, eq=False)
class Message:
    """A task on its queue; `then` follows it, and its result is the chord's `index`-th."""

    queue: str
    payload: dict[str, Any]
    then: tuple[Signature, ...] = ()
    chord: Chord | None = None
    index: int = 0


class Broker:
    """What waits, what workers hold, and the chords. In place of the Celery app as well."""

    def __init__(self) -> None:
        self.waiting: list[Message] = []
        self.unacked: list[Message] = []
        self.chords: list[Chord] = []

    def send(self, message: Message) -> None:
        point(redis.ConnectionError("the broker is away"))
        self.waiting.append(message)

    def take(self, number: int) -> Message:
        message = self.waiting.pop(number % len(self.waiting))
        self.unacked.append(message)
        return message

    def acknowledge(self, message: Message) -> None:
        point()
        if message in self.unacked:  # a lease that ran out took it away
            self.unacked.remove(message)

    def deliver_again(self, message: Message) -> None:
        """As where a lease ran out, its worker dead or not."""
        self.unacked.remove(message)
        self.waiting.append(message)

    def forget(self) -> None:
        """Lose everything."""
        self.waiting.clear()
        self.unacked.clear()
        self.chords.clear()

    def count(self, message: Message, result: str) -> None:
        """Count a header task's result; the last one sends the body."""
        chord = message.chord
        if chord is None:
            return
        point()
        chord.results.add((message.index, result))
        if len(chord.results) == chord.size:
            chord.results.clear()
            self.waiting.append(Message(chord.body.queue, chord.body.payload))

    # What the steps use of a Celery app, and of Celery.

    def signature(self, name: str, /, *, args: list[Any], **_: Any) -> Signature:
        return Signature(name, args[0], self)

    def send_task(self, name: str, /, *, args: list[Any], **_: Any) -> None:
        Signature(name, args[0], self).apply_async()

    @staticmethod
    def chain(*signatures: Signature, app: "Broker") -> tuple[Signature, ...]:
        return signatures

    @staticmethod
    def chord(
        header: list[Signature | tuple[Signature, ...]], *, app: "Broker"
    ) -> Callable[[Signature], None]:
        def send(body: Signature) -> None:
            chord = Chord(len(header), body)
            app.chords.append(chord)
            for index, each in enumerate(header):
                first, *then = each if isinstance(each, tuple) else (each,)
                app.send(Message(first.queue, first.payload, tuple(then), chord, index))

        return send


class Ending(enum.Enum):
    """What becomes of a worker at its next operation."""

    DEATH = "it dies"
    FAILURE = "the operation fails"


class Died(BaseException):
    """A worker's end, which no `except Exception` sees."""


class Worker:
    """One worker with one message, in a thread that runs only while `advance` waits for it."""

    _current: "Worker | None" = None

    def __init__(
        self, broker: Broker, message: Message, step: Callable[[Message], str | None]
    ) -> None:
        self.message, self.raised = message, list[BaseException]()
        self._broker, self._step = broker, step
        self._ending: Ending | None = None
        self._turn, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def advance(self, operations: int | None = None) -> None:
        """Do so many operations, or all that are left."""
        while self.alive and (operations is None or operations > 0):
            operations = None if operations is None else operations - 1
            Worker._current = self
            self._turn.release()
            self._stopped.acquire()
            Worker._current = None
            if self._ended:
                self._thread.join()

    def end(self, how: Ending) -> None:
        """Die, or fail, at the operation that comes next."""
        self._ending = how
        self.advance(1)

    _ended = False

    def _run(self) -> None:
        self._turn.acquire()
        try:
            self._work()
        except Died:
            pass
        except BaseException as error:
            self.raised.append(error)
        self._ended = True
        self._stopped.release()

    def _work(self) -> None:
        """What Celery and `workers/clipfleet_workers/delivery/tasks.py` do around a step."""
        broker, message = self._broker, self.message
        try:
            result = self._step(message)
        except BrokerError:
            point()
            if message in broker.unacked:
                broker.deliver_again(message)
            return
        except StoreError:
            point()
            broker.waiting.append(replace(message))  # Celery's retry is a message of its own
        else:
            if message.then:
                following, *then = message.then
                sent = replace(message, payload=following.payload, queue=following.queue)
                point()
                broker.waiting.append(replace(sent, then=tuple(then)))
            else:
                broker.count(message, str(result))
        broker.acknowledge(message)

    def point(self, failure: Exception | None) -> None:
        """Wait to be told to go on, and end here if that is what was told."""
        self._stopped.release()
        self._turn.acquire()
        ending, self._ending = self._ending, None
        if ending is Ending.DEATH:
            raise Died
        if ending is Ending.FAILURE and failure is not None:
            raise failure


def point(failure: Exception | None = None) -> None:
    """An operation is about to be done; outside workers, nothing comes between."""
    if Worker._current is not None:
        Worker._current.point(failure)


class SteppedStore(Store):
    """A store at whose every operation a worker stops. `wrote` is told of each object."""

    is_remote = False
    frame_encoding = "raw"

    def __init__(self, inner: Store, wrote: Callable[[str, bytes], None]) -> None:
        self._inner, self._wrote, self.uri = inner, wrote, inner.uri

    def prepare(self) -> None:
        self._inner.prepare()

    def put(self, key: str, data: Data, *, content_type: str = "", if_absent: bool = False) -> bool:
        _away()
        assert isinstance(data, bytes)
        if not (if_absent and self._inner.exists(key)):
            self._wrote(key, data)
        return self._inner.put(key, data, content_type=content_type, if_absent=if_absent)

    def get(self, key: str, **given: Any) -> bytes:
        _away()
        return self._inner.get(key, **given)

    def get_version(self, key: str) -> tuple[bytes, str]:
        _away()
        return self._inner.get_version(key)

    def put_if_match(self, key: str, data: Data, version: str, *, content_type: str = "") -> bool:
        _away()
        assert isinstance(data, bytes)
        if self._inner.exists(key) and self._inner.get_version(key)[1] == version:
            self._wrote(key, data)
        return self._inner.put_if_match(key, data, version, content_type=content_type)

    def stat(self, key: str) -> ObjectInfo:
        _away()
        return self._inner.stat(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        _away()
        return self._inner.list(prefix)

    def delete(self, key: str) -> None:
        _away()
        self._inner.delete(key)

    def delete_prefix(self, prefix: str) -> int:
        """Object by object, as S3 does: what is written meanwhile may stay."""
        _away()
        removed = 0
        for item in sorted(self._inner.list(prefix), key=lambda item: item.key):
            _away()
            self._inner.delete(item.key)
            removed += 1
        return removed

    def presigned_get(self, key: str, *, expires_s: int = 3600) -> str:
        return self._inner.presigned_get(key, expires_s=expires_s)


def _away() -> None:
    point(StoreUnavailable("the store is away"))
