"""Following a run: only a record in the store ends a clip, whatever the broker says."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from clipfleet import keys
from clipfleet.broker import Broker, Event
from clipfleet.errors import BrokerError, UsageError
from clipfleet.messages import ClipJob
from clipfleet.options import Options
from clipfleet.queues import PREPARE, make_app, send_clip
from clipfleet.records import ClipRecord, ManifestLine
from clipfleet.settings import read_settings
from clipfleet.store.folder import FolderStore
from producer import feed, manifest
from producer.plan import Job, make_plan
from producer.progress import Tally
from tests.broker import BrokerServer
from tests.unit.records import clip_record

pytestmark = pytest.mark.integration

OPTIONS = Options()
SOURCE = "s3://bucket/a.mp4"
LINE = ManifestLine(clip_uuid=keys.clip_uuid(SOURCE), source=SOURCE)
DONE = Event(step="assemble", clip_uuid=LINE.clip_uuid, status="ok")


def made_of(**fields: object) -> ClipRecord:
    return clip_record(options_hash=OPTIONS.hash).model_copy(update=fields)


class Enough(Exception):
    pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BrokerServer]:
    with BrokerServer(tmp_path) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    made = FolderStore(tmp_path / "out")
    made.prepare()
    return made


class Following:
    """One clip fed to a broker that no worker serves."""

    def __init__(self, server: BrokerServer, store: FolderStore) -> None:
        self.broker = Broker(server.url)
        self.tally = Tally(clips=1)
        self.run = feed.Run(run_id="r1", options_hash=OPTIONS.hash, store=store, stage=False)
        self.said: list[str] = []
        self._app = make_app(server.url, lease_s=1)

    def for_s(self, seconds: float, *, losing_messages: bool = False) -> bool:
        """Follow so long at most; returns whether the run came to its end."""
        end = time.monotonic() + seconds

        def tick() -> None:
            if losing_messages:
                self.broker._redis.delete(PREPARE)
            if time.monotonic() > end:
                raise Enough

        follower = feed.Follower(
            self._app, self.broker, self.run, self.tally, lease_s=1, say=self.said.append
        )
        with contextlib.suppress(Enough):
            follower.follow([LINE], in_flight=1, tick=tick)
            return True
        return False


@pytest.fixture
def following(server: BrokerServer, store: FolderStore) -> Iterator[Following]:
    made = Following(server, store)
    yield made
    made.broker.close()


def test_an_event_of_before_ends_nothing(following: Following) -> None:
    following.broker.emit("r1", DONE)
    assert not following.for_s(1)
    assert following.tally.finished == 0


def test_a_record_that_nobody_told_of_is_found_once_the_broker_is_idle(
    following: Following, store: FolderStore, server: BrokerServer
) -> None:
    record = made_of(span_uuid=LINE.clip_uuid)
    store.put(keys.record(LINE.clip_uuid), record.to_bytes())
    assert not following.for_s(1), "its message still waits"
    assert following.for_s(10, losing_messages=True)
    assert following.tally.finished == 1


def test_a_clip_whose_message_was_lost_is_fed_again(
    following: Following, server: BrokerServer
) -> None:
    assert not following.for_s(0.5)
    following.broker._redis.flushall()
    assert not following.for_s(4)
    assert following.broker.backlog()[PREPARE] >= 1


def test_a_broker_that_is_away_is_said_and_waited_for(
    following: Following, server: BrokerServer
) -> None:
    server.kill()
    assert not following.for_s(2)
    assert any("waiting: " in line for line in following.said)
    server.start()


def test_sending_to_a_broker_that_is_away_raises_an_error_of_ours(server: BrokerServer) -> None:
    server.kill()
    job = ClipJob(run_id="r1", clip_uuid=LINE.clip_uuid, options_hash=OPTIONS.hash, source=SOURCE)
    with pytest.raises(BrokerError, match="takes no message"):
        send_clip(make_app(server.url, lease_s=1), job)


def plan(store: FolderStore, *clips: Path, retry_failed: bool = False, run_id: str = "r2") -> Job:
    return make_plan(
        map(str, clips),
        read_settings(store=store.uri),
        OPTIONS,
        Console(quiet=True),
        run_id=run_id,
        limit=None,
        retry_failed=retry_failed,
    )


def write_record(store: FolderStore, clip: Path, *, num_bytes: int, valid: bool = True) -> str:
    uuid = keys.clip_uuid(clip.as_uri())
    record = made_of(span_uuid=uuid, num_bytes=num_bytes, valid=valid)
    store.put(keys.record(uuid), record.to_bytes())
    return uuid


def test_a_clip_of_another_size_than_its_record_says_is_done_again(
    store: FolderStore, tmp_path: Path
) -> None:
    same, other = tmp_path / "same.mp4", tmp_path / "other.mp4"
    same.write_bytes(b"12345")
    other.write_bytes(b"12345")
    write_record(store, same, num_bytes=5)
    uuid = write_record(store, other, num_bytes=4)
    job = plan(store, same, other)
    assert [line.clip_uuid for line in job.todo] == [uuid]
    assert [line.redo for line in job.todo] == [True]


def test_a_failed_clip_is_done_again_when_asked_and_keeps_its_record_till_then(
    store: FolderStore, tmp_path: Path
) -> None:
    clip = tmp_path / "a.mp4"
    clip.write_bytes(b"12345")
    uuid = write_record(store, clip, num_bytes=5, valid=False)
    part = keys.part(uuid, OPTIONS.hash, 0, 255, "caption")
    store.put(part, b"an error of before")
    assert plan(store, clip).todo == []
    job = plan(store, clip, retry_failed=True)
    assert [line.redo for line in job.todo] == [True]
    assert store.exists(keys.record(uuid))
    assert not store.exists(part), "or it would be taken for done"


def test_a_name_taken_by_a_run_with_other_options_is_refused(
    store: FolderStore, tmp_path: Path
) -> None:
    clip = tmp_path / "a.mp4"
    clip.write_bytes(b"12345")
    manifest.write_run(store, "r2", Options.model_validate({"preview": {"quality": 1}}), [])
    with pytest.raises(UsageError, match="run r2 is there already"):
        plan(store, clip)


def test_a_run_written_again_forgets_its_old_clips(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "LINES_PER_SHARD", 2)
    lines = [ManifestLine(clip_uuid=keys.clip_uuid(str(i)), source=str(i)) for i in range(5)]
    manifest.write_run(store, "r1", OPTIONS, lines)
    assert list(manifest.read_clips(store, "r1")) == lines
    manifest.write_run(store, "r1", OPTIONS, lines[:1])
    assert list(manifest.read_clips(store, "r1")) == lines[:1]
