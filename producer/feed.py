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
from clipfleet.queues import send_clip
from clipfleet.records import ClipRecord, ManifestLine, done_record
from clipfleet.store import Store
from producer.progress import Tally
from producer.sources import local_path, short_name

if TYPE_CHECKING:
    from celery import Celery

# A clip may wait this long for its turn on a shared fleet before it is looked up in the store.
SILENT_S = 900.0
MAX_FEEDS = 5


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run being fed. With `stage`, clips on this machine are copied to scratch for workers."""

    run_id: str
    options_hash: str
    store: Store
    stage: bool


class _Fatal(Exception):
    pass


@dataclass
class _InFlight:
    line: ManifestLine
    heard_at: float = field(default_factory=time.monotonic)
    feeds: int = 1


def find_done(
    store: Store, clips: Iterable[ManifestLine], options_hash: str
) -> Iterator[tuple[ManifestLine, ClipRecord | None]]:
    """Each clip with its record, if it is done with these options."""

    def look(line: ManifestLine) -> tuple[ManifestLine, ClipRecord | None]:
        return line, done_record(store, line.clip_uuid, options_hash)

    with ThreadPoolExecutor(16) as pool:
        yield from pool.map(look, clips)


def feed(app: "Celery", run: Run, line: ManifestLine) -> None:
    """Put one clip on the queue, its bytes in scratch first where workers need them there."""
    path = local_path(line) if run.stage else None
    if path is not None:
        key = keys.source(line.clip_uuid, run.options_hash)
        run.store.put(key, path.read_bytes(), if_absent=True)
    send_clip(
        app,
        ClipJob(
            run_id=run.run_id,
            clip_uuid=line.clip_uuid,
            options_hash=run.options_hash,
            source=line.source,
            staged=path is not None,
        ),
    )


def follow(
    app: "Celery",
    broker: Broker,
    run: Run,
    clips: Iterable[ManifestLine],
    tally: Tally,
    *,
    in_flight: int,
    lease_s: float,
    tick: Callable[[], None],
    say: Callable[[str], None],
    fatal: Collection[str] = (),
) -> None:
    """Feed `clips`, at most `in_flight` at once, and return when every one has its record.

    `tick` is called about four times a second; what it raises ends the following. Trouble that
    workers wait out is only said, unless its name is in `fatal`: then it is raised as `StoreError`.
    """
    waiting = iter(clips)
    flying: dict[str, _InFlight] = {}
    after, looked_at, exhausted = "0", time.monotonic(), False
    troubles: set[str] = set()
    while True:
        try:
            while not exhausted and len(flying) < in_flight:
                line = next(waiting, None)
                if line is None:
                    exhausted = True
                else:
                    flying[line.clip_uuid] = _InFlight(line)
                    feed(app, run, line)
            if exhausted and not flying:
                return
            for event_id, event in broker.events(run.run_id, after, wait_s=0.25):
                after = event_id
                if event.status == "waiting" and event.error in fatal:
                    raise _Fatal(event.message)
                _take(event, flying, tally, troubles, say)
            if time.monotonic() - looked_at > lease_s / 2:
                _look_again(app, broker, run, flying, tally, lease_s=lease_s, say=say)
                looked_at = time.monotonic()
        except _Fatal as trouble:
            raise StoreError(str(trouble)) from None
        except (BrokerError, StoreError, OSError) as error:
            _say_once(f"cannot feed or follow just now: {error}", troubles, say)
            time.sleep(0.5)
        tick()


def _take(
    event: Event,
    flying: dict[str, _InFlight],
    tally: Tally,
    troubles: set[str],
    say: Callable[[str], None],
) -> None:
    clip = flying.get(event.clip_uuid)
    if clip is None:
        return
    clip.heard_at = time.monotonic()
    if event.status == "waiting":
        _say_once(event.message, troubles, say)
        return
    tally.note(event)
    if event.step == "assemble":
        del flying[event.clip_uuid]
        tally.finish(event.clip_uuid, valid=event.status == "ok")
        if event.status != "ok":
            say(f"{short_name(clip.line.source)}: {event.message or 'see its record'}")


def _say_once(text: str, said: set[str], say: Callable[[str], None]) -> None:
    if text not in said:
        said.add(text)
        say(text)


def _look_again(
    app: "Celery",
    broker: Broker,
    run: Run,
    flying: dict[str, _InFlight],
    tally: Tally,
    *,
    lease_s: float,
    say: Callable[[str], None],
) -> None:
    """Look clips up that nothing was heard of, and feed those that are not done again."""
    now = time.monotonic()
    idle = broker.messages() == 0
    silent_s = 2 * lease_s if idle else SILENT_S
    for clip in [c for c in flying.values() if now - c.heard_at > silent_s]:
        clip.heard_at = now
        uuid = clip.line.clip_uuid
        record = done_record(run.store, uuid, run.options_hash)
        if record is None and clip.feeds < MAX_FEEDS:
            clip.feeds += 1
            feed(app, run, clip.line)
            continue
        del flying[uuid]
        tally.finish(uuid, valid=record is not None and record.valid)
        if record is None:
            name = short_name(clip.line.source)
            say(f"{name}: fed {MAX_FEEDS} times and has no record; see the workers' logs")
