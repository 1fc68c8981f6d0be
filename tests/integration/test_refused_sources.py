"""Clips in S3 that are refused, archived, or replaced while they are read."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clipfleet.errors import (
    ClipArchived,
    ClipMissing,
    ObjectArchived,
    SourceDenied,
    StoreDenied,
    StoreUnavailable,
)
from clipfleet.messages import ClipJob
from clipfleet.options import Options
from clipfleet.records import ManifestLine
from clipfleet.settings import Settings
from clipfleet_producer.sources import search
from clipfleet_producer.sources.overrides import OptionOverrides
from clipfleet_producer.sources.problems import Problems
from clipfleet_producer.sources.search import find_clips
from clipfleet_workers import context as contexts
from clipfleet_workers.context import Context
from clipfleet_workers.steps.prepare import cut_clip
from tests.support.bucket import Answer, Bucket, serving

CLIP = "6ba7b810-9dad-51d1-80b4-00c04fd430c8"
MINI = Options.model_validate({"caption": {"model_variant": "mini"}})
PIECE = 1000

# What Amazon answers whose clock is wrong, whose session is over, whose key or policy was changed.
EXPIRED: list[Answer] = [
    (403, "RequestTimeTooSkewed"),
    (400, "ExpiredToken"),
    (400, "TokenRefreshRequired"),
    (403, "InvalidAccessKeyId"),
    (403, "SignatureDoesNotMatch"),
    (403, "AccessDenied"),
]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """Two clips of several pieces each."""
    monkeypatch.setattr(contexts, "_FETCH_BYTES", PIECE)
    monkeypatch.setattr(search, "_RANGE_BYTES", PIECE)
    with serving() as bucket:
        bucket.objects |= {"a.mp4": b"a" * 3500, "b.mp4": b"b" * 3500}
        yield bucket


@pytest.fixture
def worker(bucket: Bucket) -> Context:
    return Context(Settings.model_validate(bucket.settings))


def job(name: str) -> ClipJob:
    return ClipJob(
        run_id="r1", clip_uuid=CLIP, options_hash=MINI.hash, source=f"s3://raw-clips/{name}"
    )


def read(worker: Context, name: str) -> bytes:
    with worker.open_clip(job(name)) as opened:
        return opened.file.read()


@pytest.mark.parametrize("answer", EXPIRED, ids=[code for _, code in EXPIRED])
@pytest.mark.parametrize("read_before", [False, True], ids=["at the start", "once some were read"])
def test_a_clip_waits_while_credentials_are_refused(
    bucket: Bucket, worker: Context, answer: Answer, read_before: bool
) -> None:
    if read_before:
        read(worker, "b.mp4")
    bucket.refuse = lambda method, key: answer

    with pytest.raises(SourceDenied, match=answer[1]):
        cut_clip(worker, job("a.mp4"), MINI)

    bucket.refuse = lambda method, key: None
    assert read(worker, "a.mp4") == bucket.objects["a.mp4"]


def test_a_clip_that_is_refused_where_others_can_be_read_is_not_there(
    bucket: Bucket, worker: Context
) -> None:
    read(worker, "b.mp4")
    bucket.refuse = lambda method, key: (403, "AccessDenied") if key == "a.mp4" else None

    with pytest.raises(ClipMissing, match=r"may not be read: s3://raw-clips/a\.mp4.*AccessDenied"):
        read(worker, "a.mp4")


def test_a_clip_that_can_be_read_again_by_the_time_others_can_is_not_given_up(
    bucket: Bucket, worker: Context
) -> None:
    read(worker, "b.mp4")
    refused = iter([(403, "AccessDenied")] * 2)  # to HEAD, and to GET that asks why
    bucket.refuse = lambda method, key: next(refused, None)

    with pytest.raises(SourceDenied):
        read(worker, "a.mp4")

    assert read(worker, "a.mp4") == bucket.objects["a.mp4"]


def test_a_clip_that_was_read_once_is_no_proof_of_itself(bucket: Bucket, worker: Context) -> None:
    read(worker, "a.mp4")
    bucket.refuse = lambda method, key: (403, "AccessDenied") if key == "a.mp4" else None

    with pytest.raises(SourceDenied):
        read(worker, "a.mp4")


def test_credentials_that_expire_between_two_pieces_make_the_clip_wait(
    bucket: Bucket, worker: Context
) -> None:
    bucket.refuse = lambda method, key: (400, "ExpiredToken") if len(bucket.asked) > 2 else None

    with pytest.raises(SourceDenied, match="ExpiredToken"):
        read(worker, "a.mp4")


def test_the_listing_of_a_command_says_that_credentials_expired(bucket: Bucket) -> None:
    bucket.refuse = lambda method, key: (400, "ExpiredToken")

    with pytest.raises(StoreDenied, match=r"ExpiredToken.*the credentials expired.*SECRET_KEY"):
        find(bucket, "a.mp4")


def test_an_archived_clip_says_that_it_must_be_restored(bucket: Bucket, worker: Context) -> None:
    bucket.refuse = lambda method, key: (403, "InvalidObjectState") if method == "GET" else None

    with pytest.raises(ClipArchived, match=r"is archived: s3://raw-clips/a\.mp4; restore it"):
        read(worker, "a.mp4")


def test_an_archived_object_is_named_with_what_to_do(bucket: Bucket) -> None:
    bucket.refuse = lambda method, key: (403, "InvalidObjectState")
    store = Settings.model_validate(bucket.settings).open_store("s3://raw-clips")

    with pytest.raises(ObjectArchived, match="it is archived: restore it"):
        store.get("a.mp4")


def replaced_at(bucket: Bucket, key: str, *requests: int, by: bytes = b"new" * 1000) -> None:
    """Have the object be another from each of these requests on, counted from 1."""

    def replace(method: str, asked: str) -> None:
        if len(bucket.asked) in requests:
            bucket.objects[key] = by + b"%d" % len(bucket.asked)

    bucket.refuse = replace


@pytest.mark.parametrize("tells_etags", [True, False], ids=["with etags", "without"])
def test_a_clip_that_is_replaced_between_two_pieces_is_read_anew(
    bucket: Bucket, worker: Context, tells_etags: bool
) -> None:
    bucket.tells_etags = tells_etags
    replaced_at(bucket, "a.mp4", 3, by=b"new" * 1200)

    assert read(worker, "a.mp4") == b"new" * 1200 + b"3"


def test_a_clip_that_is_replaced_all_the_time_is_tried_again_later(
    bucket: Bucket, worker: Context
) -> None:
    replaced_at(bucket, "a.mp4", *range(3, 100, 2))

    with pytest.raises(StoreUnavailable, match="it is being replaced"):
        read(worker, "a.mp4")


def find(bucket: Bucket, name: str) -> tuple[list[ManifestLine], list[str]]:
    problems = Problems()
    settings = Settings.model_validate(bucket.settings)
    with OptionOverrides(Options()) as variants:
        asked = [f"s3://raw-clips/{name}"]
        lines = list(find_clips(asked, settings, variants=variants, problems=problems))
    return lines, list(problems)


def manifest(folder: str) -> bytes:
    return b"".join(b'{"clip": "%s/%04d.mp4"}\n' % (folder.encode(), n) for n in range(100))


def test_a_manifest_that_is_replaced_between_two_pieces_is_read_anew(bucket: Bucket) -> None:
    bucket.objects["m.jsonl"] = manifest("old")
    replaced_at(bucket, "m.jsonl", 4, by=manifest("new"))

    lines, _ = find(bucket, "m.jsonl")

    assert {Path(line.source).parent.name for line in lines} == {"new"}


def test_an_archived_manifest_is_a_problem_that_says_what_to_do(bucket: Bucket) -> None:
    bucket.objects["m.jsonl"] = manifest("x")
    bucket.refuse = lambda method, key: (403, "InvalidObjectState") if method == "GET" else None

    _, problems = find(bucket, "m.jsonl")

    assert ["restore it" in each for each in problems] == [True]
