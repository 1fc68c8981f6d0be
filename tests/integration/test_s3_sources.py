"""Clips and manifests that lie in S3."""

import gzip
import io
import uuid

import pyarrow
import pyarrow.parquet
import pytest

from clipfleet import keys
from clipfleet.options import Options
from clipfleet.records import ManifestLine
from clipfleet.settings import Settings
from clipfleet.store import Store
from producer import sources
from producer.problems import Problems
from producer.sources import find_clips
from producer.variants import Variants
from tests.support.s3_server import S3Server


class Bucket:
    """A bucket with clips and manifests in it, and what is found there."""

    def __init__(self, server: S3Server) -> None:
        self.url = f"s3://clips-{uuid.uuid4()}"
        self.settings = Settings.model_validate(
            {
                "s3_endpoint": server.endpoint,
                "s3_access_key": server.access_key,
                "s3_secret_key": server.secret_key,
            }
        )
        self.store: Store = self.settings.open_store(self.url)
        self.store.prepare()

    def find(self, *names: str) -> tuple[list[ManifestLine], list[str]]:
        """(clips, problems) of what is named below the bucket."""
        problems = Problems()
        asked = [f"{self.url}/{name}" for name in names]
        with Variants(Options()) as variants:
            lines = list(find_clips(asked, self.settings, variants=variants, problems=problems))
        return lines, list(problems)

    def keys(self, *names: str) -> list[str]:
        """The keys of the clips found there; there must be no problem."""
        lines, problems = self.find(*names)
        assert problems == []
        return sorted(line.source.removeprefix(f"{self.url}/") for line in lines)


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> Bucket:
    """A bucket with clips of two days, and files of other kinds."""
    bucket = Bucket(s3_server)
    for key in ("day1/a.mp4", "day1/deep/b.mkv", "day2/c.mp4", "day1/notes.txt", "odd[1]*.mp4"):
        bucket.store.put(key, b"12345")
    return bucket


def test_an_object_is_a_clip_with_its_uuid_and_size(bucket: Bucket) -> None:
    uri = f"{bucket.url}/day1/a.mp4"

    (clip,) = bucket.find("day1/a.mp4")[0]

    assert clip == ManifestLine(clip_uuid=keys.clip_uuid(uri), source=uri, num_bytes=5)


def test_an_object_that_is_missing_is_a_problem_that_leaves_the_others(bucket: Bucket) -> None:
    lines, problems = bucket.find("gone.mp4", "day2/c.mp4")

    assert len(lines) == 1
    assert [("gone.mp4" in problem) for problem in problems] == [True]


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
    bucket: Bucket, name: str, found: list[str]
) -> None:
    if found:
        assert bucket.keys(name) == found
    else:
        assert bucket.find(name) == ([], [f"{bucket.url}/{name}: no video file fits it"])


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
    bucket: Bucket, key: str, range_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_RANGE_BYTES", range_bytes)
    bucket.store.put(key, MANIFESTS[key])

    assert bucket.keys(key) == ["day1/a.mp4", "lists/b.mp4"]


def test_a_manifest_that_cannot_be_read_leaves_the_others_of_a_pattern(bucket: Bucket) -> None:
    bucket.store.put("more/1.csv", b"label\nx\n")
    bucket.store.put("more/2.csv", b"clip\nb.mp4\n")

    lines, problems = bucket.find("more/*.csv")

    assert [line.source for line in lines] == [f"{bucket.url}/more/b.mp4"]
    assert [problem.startswith(f"{bucket.url}/more/1.csv: ") for problem in problems] == [True]
