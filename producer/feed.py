"""Feeds a run's clips, a bounded number in flight, and follows them until each has its record.

What is true is in the store: workers' events only say when to look. A clip that stays silent while
the broker holds no message is looked up, and fed again if it is not done.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clipfleet import keys
from clipfleet.broker import Broker, Event
from clipfleet.errors import BrokerError, StoreError
from clipfleet.messages import ClipJob
from clipfleet.queues import PREPARE, send_clip
from clipfleet.records import ClipRecord, ManifestLine, done_record
from clipfleet.store import Store
from producer.progress import Tally
from producer.sources import local_path, short_name

if TYPE_CHECKING:
    from celery import Celery

# On a shared fleet others' messages keep the broker busy: a clip silent for so long, with nothing
# left to prepare, is fed again all the same.
SILENT_S = 900.0
MAX_FEEDS = 5


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run being fed. With `stage`, clips on this machine are copied to scratch for workers."""

    run_id: str
    options_hash: str
    store: Store
    stage: bool

    def record(self, line: ManifestLine) -> ClipRecord | None:
        """The clip's record, once this run is done with it."""
        return _record(self.store, line, self.options_hash, self.run_id)


def _record(
    store: Store, line: ManifestLine, options_hash: str, run_id: str | None
) -> ClipRecord | None:
    redone_by = run_id if line.redo else None
    return done_record(store, line.clip_uuid, options_hash, redone_by=redone_by)


def find_done(
    store: Store, clips: Iterable[ManifestLine], options_hash: str, *, run_id: str | None = None
) -> Iterator[tuple[ManifestLine, ClipRecord | None]]:
    """Each clip with its record, if it is done with these options.

    Of clips that the run `run_id` does again, only its own records count.
    """

    def look(line: ManifestLine) -> tuple[ManifestLine, ClipRecord | None]:
        return line, _record(store, line, options_hash, run_id)

    with ThreadPoolExecutor(16) as pool:
        yield from pool.map(look, clips)


def feed(app: "Celery", run: Run, line: ManifestLine) -> None:
    """Put one clip on the queue, its bytes in scratch first where workers need them there.

    Raises `BrokerError`, `StoreError`, or `OSError` for a clip that cannot be read here.
    """
    path = local_path(line) if run.stage else None
    if path is not None:
        run.store.put(keys.source(line.clip_uuid, run.options_hash), path.read_bytes())
    send_clip(
        app,
        ClipJob(
            run_id=run.run_id,
            clip_uuid=line.clip_uuid,
            options_hash=run.options_hash,
            source=line.source,
            staged=path is not None,
            redo=line.redo,
        ),
    )


class _Fatal(Exception):
    pass


@dataclass
class _InFlight:
    line: ManifestLine
    heard_at: float = field(default_factory=time.monotonic)
    feeds: int = 1


class Follower:
    """Feeds one run and follows it to its end."""

    def __init__(
        self,
        app: "Celery",
        broker: Broker,
        run: Run,
        tally: Tally,
        *,
        lease_s: float,
        say: Callable[[str], None],
        fatal: Collection[str] = (),
    ) -> None:
        """`say` gets lines for a person.

        Trouble that workers wait out is only said, unless its name is in `fatal`: then `follow`
        raises it as `StoreError`.
        """
        self._app, self._broker, self._run, self._tally = app, broker, run, tally
        self._lease_s, self._say, self._fatal = lease_s, say, fatal
        self._flying: dict[str, _InFlight] = {}
        self._said: set[str] = set()

    def follow(
        self,
        clips: Iterable[ManifestLine],
        *,
        in_flight: int,
        tick: Callable[[], None],
        fed: bool = False,
    ) -> None:
        """Feed `clips`, at most `in_flight` at once; return when every one has its record.

        `fed` says that they were fed before: then only those are fed of which nothing is heard.
        `tick` is called about four times a second; what it raises ends the following.
        """
        waiting = iter(clips)
        after: str | None = None
        looked_at, exhausted = time.monotonic(), False
        while True:
            try:
                if after is None:  # events of before say nothing about what is fed now
                    after = self._broker.last_event(self._run.run_id)
                while not exhausted and len(self._flying) < in_flight:
                    line = next(waiting, None)
                    if line is None:
                        exhausted = True
                    else:
                        self._flying[line.clip_uuid] = clip = _InFlight(line)
                        if fed:
                            self._finish_if_done(clip)
                        else:
                            self._feed(line)
                if exhausted and not self._flying:
                    return
                for event_id, event in self._broker.events(self._run.run_id, after, wait_s=0.25):
                    after = event_id
                    self._take(event)
                if time.monotonic() - looked_at > self._lease_s / 2:
                    looked_at = time.monotonic()
                    self._look_again()
            except _Fatal as trouble:
                raise StoreError(str(trouble)) from None
            except (BrokerError, StoreError) as error:
                self._say_once(f"waiting: {error}")
                time.sleep(0.5)
            tick()

    def _feed(self, line: ManifestLine) -> None:
        try:
            feed(self._app, self._run, line)
        except OSError as error:
            del self._flying[line.clip_uuid]
            self._tally.finish(line.clip_uuid, valid=False)
            self._say(f"{short_name(line.source)}: it cannot be read ({error.strerror})")

    def _take(self, event: Event) -> None:
        if event.status == "waiting" and event.error in self._fatal:
            raise _Fatal(event.message)
        clip = self._flying.get(event.clip_uuid)
        if clip is None:
            return
        clip.heard_at = time.monotonic()
        if event.status == "waiting":
            self._say_once(event.message)
            return
        self._tally.note(event)
        if event.step == "assemble":
            self._finish_if_done(clip)

    def _finish_if_done(self, clip: _InFlight) -> bool:
        record = self._run.record(clip.line)
        if record is None:
            return False
        del self._flying[clip.line.clip_uuid]
        self._tally.finish(clip.line.clip_uuid, valid=record.valid)
        if not record.valid:
            self._say(f"{short_name(clip.line.source)}: {record.first_error()}")
        return True

    def _look_again(self) -> None:
        """Look clips up that nothing was heard of, and feed those that are not done again."""
        now = time.monotonic()
        idle = self._broker.messages() == 0
        busy = not idle and self._broker.backlog()[PREPARE] > 0
        silent_s = 2 * self._lease_s if idle else SILENT_S
        for clip in [c for c in self._flying.values() if now - c.heard_at > silent_s]:
            clip.heard_at = now
            if self._finish_if_done(clip) or busy:
                continue
            if clip.feeds < MAX_FEEDS:
                clip.feeds += idle
                self._feed(clip.line)
            elif idle:
                del self._flying[clip.line.clip_uuid]
                self._tally.finish(clip.line.clip_uuid, valid=False)
                name = short_name(clip.line.source)
                self._say(f"{name}: fed {MAX_FEEDS} times, and no record; see the workers' logs")

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)
