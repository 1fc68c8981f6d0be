"""The policies in `deploy/` are enough for a job, and for nothing else."""

import logging
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from minio import Minio
from minio.error import S3Error

from clipfleet import keys
from clipfleet.errors import StoreDenied
from clipfleet.messages import AssembleJob, ClipJob, WindowJob
from clipfleet.options import Options
from clipfleet.queues import CAPTION, PREPARE, PREVIEW
from clipfleet.records import ManifestLine
from clipfleet.settings import Settings, read_settings
from clipfleet.store import Store
from clipfleet_producer.feeding.following import fill
from clipfleet_producer.feeding.progress import ProgressObserver
from clipfleet_producer.feeding.submission import RunRequest, SubmittedRun, create_run
from clipfleet_producer.runs.model import Run
from clipfleet_producer.runs.writing import forget, write_run
from clipfleet_producer.sources.uris import with_address
from clipfleet_workers.context import Context
from clipfleet_workers.steps.assemble import assemble
from clipfleet_workers.steps.caption import caption
from clipfleet_workers.steps.idempotent import do_once
from clipfleet_workers.steps.prepare import prepare
from clipfleet_workers.steps.preview import preview
from tests.faults.scripted_worker import load_models
from tests.support import clips
from tests.support.broker import BrokerServer
from tests.support.feeding import job_in
from tests.support.s3_server import S3Server
from tests.support.s3_users import add_user, read_policy

LIST = keys.run_manifest("other", "0" * 16, 0)
ADDRESSES = keys.shard_addresses("other", "0" * 16, 0)
SIDES = ("worker", "producer", "reader")
OPTIONS = Options.model_validate(
    {"caption": {"model_variant": "mini"}, "prepare": {"upload_clips": True}}
)
CLIP = keys.clip_uuid("file:///clip.mp4")


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A bucket that its owner has prepared, another with a clip in it, and the sides' settings."""

    name: str
    clips: str
    sides: dict[str, Settings]

    def store(self, side: str) -> Store:
        settings = self.sides[side]
        return settings.open_store()

    def client(self, side: str) -> Minio:
        """What the store's own interface does not offer."""
        settings = self.sides[side]
        assert settings.s3_endpoint
        assert settings.s3_secret_key
        return Minio(
            settings.s3_endpoint.removeprefix("http://"),
            access_key=settings.s3_access_key,
            secret_key=settings.s3_secret_key.get_secret_value(),
            secure=False,
        )


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerServer]:
    with BrokerServer(tmp_path_factory.mktemp("broker")) as server:
        yield server


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server, broker: BrokerServer) -> Bucket:
    name, raw = (f"{what}-{uuid.uuid4()}" for what in ("results", "raw"))
    owner, owner_of_clips = (s3_server.store(f"s3://{each}") for each in (name, raw))
    owner.prepare()
    owner_of_clips.prepare()
    owner_of_clips.put("clip.mp4", clips.encode(60, options={"preset": "ultrafast"}))
    for key in (
        keys.record(CLIP),
        keys.preview(CLIP, 0, 9),
        keys.clip(CLIP),
        keys.run_options("other"),
        LIST,
        keys.Scratch(CLIP, OPTIONS.hash).frames(0, 9),
        keys.Scratch(CLIP, OPTIONS.hash).address,
        ADDRESSES,
        "elsewhere/a",
    ):
        owner.put(key, b"the owner's")
    sides = {}
    for side in SIDES:
        access_key, secret_key = f"{side}-{uuid.uuid4()}", uuid.uuid4().hex
        policies = [read_policy(side, bucket=name, clips=raw)]
        add_user(s3_server, access_key=access_key, secret_key=secret_key, policies=policies)
        sides[side] = read_settings(
            broker=broker.url,
            store=f"s3://{name}",
            s3_endpoint=s3_server.endpoint,
            s3_access_key=access_key,
            s3_secret_key=secret_key,
        )
    return Bucket(name=name, clips=raw, sides=sides)


def taken(broker: BrokerServer, queue: str) -> list[Any]:
    """The jobs that wait on a queue, taken off it."""
    client = redis.Redis.from_url(broker.url)
    found: Any = client.lpop(queue, 100) or []
    client.close()
    return [job_in(each) for each in found]


def planned(bucket: Bucket, clip: Path) -> SubmittedRun:
    """A run of a clip of the producer's own, and of one that lies in S3."""
    asked = RunRequest(
        names=[str(clip), f"s3://{bucket.clips}/", f"s3://{bucket.clips}/clip.mp4"],
        run_id="r1",
        staged=True,
    )
    return create_run(asked, bucket.sides["producer"], OPTIONS)


def submitted(bucket: Bucket, clip: Path) -> SubmittedRun:
    """What a producer does."""
    made = planned(bucket, clip)
    filled = fill(made.run, bucket.sides["producer"], ProgressObserver(2), in_flight=None)
    assert (filled.counts.done, filled.in_flight) == (0, 2)
    return made


def worked_on(bucket: Bucket, broker: BrokerServer) -> None:
    """What workers do with what is on the queues, a step after the other; the first step twice."""
    settings = bucket.sides["worker"]
    settings.open_store().prepare()
    context = Context(settings)
    context.models = load_models()
    app = settings.open_app()
    jobs = [ClipJob.read(each) for each in taken(broker, PREPARE)]
    for job in jobs:
        prepare(context, app, job)
    for queue, work in ((CAPTION, caption), (PREVIEW, preview)):
        for each in taken(broker, queue):
            do_once(context, queue, WindowJob.read(each), work)
    for job in jobs:
        claim = job.model_dump(include={"run_id", "clip_uuid", "options_hash"})
        assemble(context, app, AssembleJob.read(claim))
        prepare(context, app, job)  # delivered again, it finds the record


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clips.encode(90, options={"preset": "ultrafast"}))
    return path


def test_a_job_comes_to_its_end_and_whoever_may_read_finds_it(
    bucket: Bucket,
    broker: BrokerServer,
    clip: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SCRIPT_LOG", str(tmp_path / "engine.log"))
    settings = bucket.sides["producer"]
    with caplog.at_level(logging.WARNING, logger="clipfleet"):
        made = submitted(bucket, clip)
        worked_on(bucket, broker)
        run = made.run
        for line in run.manifest.lines():
            run.clear_scratch(line)  # as of clips that are to be done again
        filled = fill(run, settings, ProgressObserver(2), in_flight=None)

    assert run.head.clips == 2
    assert (filled.counts.done, filled.in_flight) == (2, 0)
    assert [record.getMessage() for record in caplog.records] == []
    reader = bucket.store("reader")
    seen = Run.open(reader, "r1")
    for found in seen.check_all(seen.manifest.lines()):
        record = found.record
        assert record is not None
        assert record.valid, record.failures()
        for window in record.windows:
            assert window.preview
            assert reader.get(window.preview.key)
        assert reader.get(keys.clip(record.span_uuid))
        assert list(reader.list(keys.Scratch(record.span_uuid, OPTIONS.hash).prefix)) == []
    assert seen.summary()
    assert seen.control() is None, "it has finished"
    assert planned(bucket, clip).run.head.clips == 2, "it can be written anew"


def test_the_sides_do_the_same_in_every_set(bucket: Bucket) -> None:
    worker, producer, reader = map(bucket.store, SIDES)
    for key in (keys.record(CLIP, "v2"), keys.preview(CLIP, 0, 9, "v2"), keys.clip(CLIP, "v2")):
        worker.put(key, b"x")
        assert reader.get(key) == b"x"
    assert producer.get(keys.record(CLIP, "v2")) == b"x"
    options = keys.set_file("v2")
    assert producer.put(options, b"x", if_absent=True)
    assert producer.put_if_match(options, b"y", producer.get_version(options)[1])
    assert reader.get(options) == b"y"
    worker.put(keys.Scratch(CLIP, OPTIONS.hash, "v2").plan, b"x")
    producer.delete_prefix(keys.Scratch(CLIP, OPTIONS.hash, "v2").prefix)


FORBIDDEN: dict[str, tuple[str, Callable[[Store], object]]] = {
    "a worker deletes a record": ("worker", lambda s: s.delete(keys.record(CLIP))),
    "a worker deletes all records": ("worker", lambda s: s.delete_prefix(keys.RECORDS)),
    "a worker deletes a record of a set": ("worker", lambda s: s.delete(keys.record(CLIP, "v2"))),
    "a producer writes a record of a set": (
        "producer",
        lambda s: s.put(keys.record(CLIP, "v2"), b"x"),
    ),
    "a worker deletes a preview": ("worker", lambda s: s.delete(keys.preview(CLIP, 0, 9))),
    "a worker deletes a clip": ("worker", lambda s: s.delete(keys.clip(CLIP))),
    "a worker changes a run": ("worker", lambda s: s.put(keys.run_options("other"), b"x")),
    "a worker changes a set's options": ("worker", lambda s: s.put(keys.set_file("v2"), b"x")),
    "a producer deletes a set's options": ("producer", lambda s: s.delete(keys.set_file("v2"))),
    "a worker reads a run's clips": (
        "worker",
        lambda s: s.get(keys.run_manifest("other", "0" * 16, 0)),
    ),
    "a worker reads elsewhere": ("worker", lambda s: s.get("elsewhere/a")),
    "a worker writes elsewhere": ("worker", lambda s: s.put("elsewhere/b", b"x")),
    "a producer writes a record": ("producer", lambda s: s.put(keys.record(CLIP), b"x")),
    "a producer deletes a record": ("producer", lambda s: s.delete(keys.record(CLIP))),
    "a producer writes a preview": ("producer", lambda s: s.put(keys.preview(CLIP, 0, 9), b"x")),
    "a producer deletes options": ("producer", lambda s: s.delete(keys.run_options("other"))),
    "a producer forges frames": (
        "producer",
        lambda s: s.put(keys.Scratch(CLIP, OPTIONS.hash).frames(0, 9), b"x"),
    ),
    "a producer reads frames": (
        "producer",
        lambda s: s.get(keys.Scratch(CLIP, OPTIONS.hash).frames(0, 9)),
    ),
    "a producer reads a clip's address": (
        "producer",
        lambda s: s.get(keys.Scratch(CLIP, OPTIONS.hash).address),
    ),
    "a reader reads a clip's address": (
        "reader",
        lambda s: s.get(keys.Scratch(CLIP, OPTIONS.hash).address),
    ),
    "a reader reads a run's addresses": ("reader", lambda s: s.get(ADDRESSES)),
    "a producer reads elsewhere": ("producer", lambda s: s.get("elsewhere/a")),
    "a reader writes a record": ("reader", lambda s: s.put(keys.record(CLIP), b"x")),
    "a reader deletes a record": ("reader", lambda s: s.delete(keys.record(CLIP))),
    "a reader writes scratch": ("reader", lambda s: s.put("scratch/a", b"x")),
    "a reader reads frames": (
        "reader",
        lambda s: s.get(keys.Scratch(CLIP, OPTIONS.hash).frames(0, 9)),
    ),
    "a reader deletes everything": ("reader", lambda s: s.delete_prefix("")),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_what_a_side_need_not_do_is_refused_in_one_line(bucket: Bucket, what: str) -> None:
    side, attempt = FORBIDDEN[what]

    with pytest.raises(StoreDenied, match=r"AccessDenied.*; check CLIPFLEET_S3_ACCESS") as refused:
        attempt(bucket.store(side))

    assert len(str(refused.value).splitlines()) == 1


def test_presigned_addresses_pass_from_whoever_submits_to_feeders_to_workers(
    bucket: Bucket, broker: BrokerServer
) -> None:
    assert bucket.store("producer").get(ADDRESSES) == b"the owner's"  # written by another
    source = "https://host.example.org/a.mp4"
    line = ManifestLine(clip_uuid=keys.clip_uuid(source), source=source)
    address = f"{source}?X-Amz-Signature=5ec"
    store = bucket.store("producer")
    write_run(store, "signed", OPTIONS, [with_address(line, address)])

    run = Run.open(store, "signed")
    filled = fill(run, bucket.sides["producer"], ProgressObserver(1), in_flight=None)

    assert filled.in_flight == len(taken(broker, PREPARE)) == 1
    found = bucket.store("worker").get(keys.Scratch(line.clip_uuid, OPTIONS.hash).address)
    assert found.decode() == address
    forget(store, "signed", run.head.manifest_version)
    run.clear_scratch(line)
    assert [*store.list(keys.run_addresses("signed", run.head.manifest_version))] == []


@pytest.mark.parametrize("side", SIDES)
def test_no_side_changes_clips_that_lie_in_s3(bucket: Bucket, side: str) -> None:
    store = bucket.sides[side].open_store(f"s3://{bucket.clips}")

    with pytest.raises(StoreDenied):
        store.put("clip.mp4", b"x")
    with pytest.raises(StoreDenied):
        store.delete("clip.mp4")


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    "attempt",
    [
        lambda client, name: client.make_bucket(f"{name}-2"),
        lambda client, name: client.remove_bucket(name),
        lambda client, name: client.set_bucket_policy(name, "{}"),
        lambda client, name: client.delete_bucket_lifecycle(name),
    ],
    ids=["makes one", "removes it", "opens it to others", "has scratch kept"],
)
def test_no_side_has_power_over_buckets(
    bucket: Bucket, side: str, attempt: Callable[[Minio, str], object]
) -> None:
    with pytest.raises(S3Error) as refused:
        attempt(bucket.client(side), bucket.name)

    assert refused.value.code == "AccessDenied"
