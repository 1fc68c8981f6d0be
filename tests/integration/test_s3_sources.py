"""Clips and manifests that lie in S3."""

import gzip
import io

import pyarrow
import pyarrow.parquet
import pytest

from clipfleet import keys
from clipfleet.records import ManifestLine
from clipfleet_producer.sources import search
from tests.support.clip_bucket import ClipBucket
from tests.support.s3_server import S3Server


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> ClipBucket:
    """A bucket with clips of two days, and files of other kinds."""
    bucket = ClipBucket(s3_server)
    for key in ("day1/a.mp4", "day1/deep/b.mkv", "day2/c.mp4", "day1/notes.txt", "odd[1]*.mp4"):
        bucket.put(key, b"12345")
    return bucket


def test_an_object_is_a_clip_with_its_uuid_and_size(bucket: ClipBucket) -> None:
    uri = f"{bucket.url}/day1/a.mp4"

    (clip,) = bucket.find("day1/a.mp4").clips

    etag = bucket.settings.open_bucket(bucket.name).stat("day1/a.mp4").etag
    assert clip == ManifestLine(clip_uuid=keys.clip_uuid(uri), source=uri, num_bytes=5, etag=etag)


def test_an_object_that_is_missing_is_a_problem_that_leaves_the_others(bucket: ClipBucket) -> None:
    found = bucket.find("gone.mp4", "day2/c.mp4")

    assert len(found.clips) == 1
    assert [("gone.mp4" in problem) for problem in found.problems] == [True]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("", ["day1/a.mp4", "day1/deep/b.mkv", "day2/c.mp4", "odd[1]*.mp4"]),
        ("day1/", ["day1/a.mp4", "day1/deep/b.mkv"]),
        ("day1/*", ["day1/a.mp4"]),
        ("day*/*.mp4", ["day1/a.mp4", "day2/c.mp4"]),
        ("**/*.mkv", ["day1/deep/b.mkv"]),
        ("d**/b.mkv", []),
        ("day[2-9]/?.mp4", ["day2/c.mp4"]),
        ("odd[1]*.mp4", ["odd[1]*.mp4"]),
    ],
)
def test_prefixes_and_patterns_name_the_videos_there(
    bucket: ClipBucket, name: str, found: list[str]
) -> None:
    if found:
        assert bucket.keys(name) == found
    else:
        assert bucket.find(name).problems == [f"{bucket.url}/{name}: no video file fits it"]


def parquet(*clips: str) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"clip": list(clips)}), file)
    return file.getvalue()


MANIFESTS = {
    "lists/m.jsonl": b'{"clip": "../day1/a.mp4"}\n{"clip": "b.mp4"}\n',
    "lists/m.csv.gz": gzip.compress(b"clip\n../day1/a.mp4\nb.mp4\n"),
    "lists/m.parquet": parquet("../day1/a.mp4", "b.mp4"),
}


@pytest.mark.parametrize("key", MANIFESTS)
@pytest.mark.parametrize("range_bytes", [7, 2**24])
def test_a_manifest_is_read_range_by_range_and_its_paths_are_keys(
    bucket: ClipBucket, key: str, range_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_RANGE_BYTES", range_bytes)
    bucket.put(key, MANIFESTS[key])

    assert bucket.keys(key) == ["day1/a.mp4", "lists/b.mp4"]


def test_a_manifest_that_cannot_be_read_leaves_the_others_of_a_pattern(bucket: ClipBucket) -> None:
    bucket.put("more/1.csv", b"label\nx\n")
    bucket.put("more/2.csv", b"clip\nb.mp4\n")

    found = bucket.find("more/*.csv")

    assert [clip.source for clip in found.clips] == [f"{bucket.url}/more/b.mp4"]
    assert [said.startswith(f"{bucket.url}/more/1.csv: ") for said in found.problems] == [True]
