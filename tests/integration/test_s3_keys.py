"""Keys as S3 has them: every text is one, and each that is listed comes to its record."""

import pytest

from clipfleet.messages import ClipJob
from clipfleet.records import ClipRecord
from clipfleet.sources import AllowedSources
from clipfleet_workers.context import Context
from tests.support.clip_bucket import ClipBucket
from tests.support.records import HASH
from tests.support.s3_server import S3Server
from tests.support.small_fleet import SmallFleet

KEYS = (
    *("a/b.mp4", "a//b.mp4", "a///b.mp4", "/lead.mp4", "//lead.mp4", "/a/b.mp4"),
    *("trail.mp4 ", " lead.mp4", "sp ace.mp4", "h#a.mp4", "q?x=1&y.mp4", "p%20c.mp4", "p%.mp4"),
    *("plus+x.mp4", "tilde~.mp4", "back\\s.mp4", "a&b<c>.mp4", "semi;colon:=@!$'(),.mp4"),
    *("\u00e9.mp4", "e\u0301.mp4", "\N{CLAPPER BOARD}.mp4", "line\u2028.mp4", "new\nline.mp4"),
    *("tab\t.mp4", "control\x01.mp4", "..a..mp4/...mp4", "a.mp4/b.mp4", "%2E%2E/a.mp4"),
)


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> ClipBucket:
    """A bucket with an object under each of the keys, which holds its key."""
    bucket = ClipBucket(s3_server)
    for key in KEYS:
        bucket.put(key, key.encode())
    return bucket


@pytest.mark.parametrize("allowed", [False, True])
def test_each_key_is_listed_as_a_clip_of_its_own_and_a_worker_reads_it(
    bucket: ClipBucket, allowed: bool
) -> None:
    found = bucket.find("")
    more = {"allowed_sources": [f"{bucket.url}/"]} if allowed else {}
    context = Context(bucket.settings.model_copy(update=more))

    read = {}
    for clip in found.clips:
        job = ClipJob(run_id="r", clip_uuid=clip.clip_uuid, options_hash=HASH, source=clip.source)
        with context.open_clip(job) as opened:
            read[clip.source.removeprefix(f"{bucket.url}/")] = opened.file.read().decode()

    assert (found.problems, found.passed) == ([], {"hidden": 1})
    assert read == {key: key for key in KEYS if not key.startswith("..")}
    assert len({clip.clip_uuid for clip in found.clips}) == len(KEYS) - 1


def test_each_key_can_be_named_alone(bucket: ClipBucket) -> None:
    assert bucket.keys(*KEYS) == sorted(KEYS)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a/", ["a///b.mp4", "a//b.mp4", "a/b.mp4"]),
        ("a//", ["a///b.mp4", "a//b.mp4"]),
        ("/", ["//lead.mp4", "/a/b.mp4", "/lead.mp4"]),
        ("a//*.mp4", ["a//b.mp4"]),
        ("/*.mp4", ["/lead.mp4"]),
        ("a/**/b.mp4", ["a///b.mp4", "a//b.mp4", "a/b.mp4"]),
        ("e\u0301*.mp4", ["e\u0301.mp4", "\u00e9.mp4"]),
    ],
)
def test_an_empty_part_is_a_folder_like_another(
    bucket: ClipBucket, name: str, found: list[str]
) -> None:
    assert bucket.keys(name) == found


def test_a_manifest_in_a_folder_without_a_name_names_what_lies_beside_it(
    s3_server: S3Server,
) -> None:
    bucket = ClipBucket(s3_server)
    rows = b"clip\nx.mp4\nsub//y.mp4\n../z.mp4\n../../v.mp4\n../../../w.mp4\n"
    bucket.put("a//list.csv", rows)
    bucket.put("/list.csv", b"clip\nx.mp4\n")

    found = bucket.find("a//list.csv", "/list.csv")

    said = f"{bucket.url}/a//list.csv, line 6: {bucket.url}/../w.mp4: '../w.mp4' has "
    assert [problem.startswith(said) for problem in found.problems] == [True]
    assert [clip.source.removeprefix(f"{bucket.url}/") for clip in found.clips] == [
        *("a//x.mp4", "a//sub//y.mp4", "a/z.mp4", "v.mp4", "/x.mp4")
    ]


def test_a_folder_that_is_allowed_covers_no_other_with_an_empty_part() -> None:
    allowed = AllowedSources(["s3://b/a", "s3://b/c//", "s3://d//"])

    assert allowed.covers("s3://b/a/x.mp4")
    assert allowed.covers("s3://b/a//x.mp4")
    assert allowed.covers("s3://b/c//x.mp4")
    assert not allowed.covers("s3://b/c/x.mp4")
    assert not allowed.covers("s3://b//a/x.mp4")
    assert allowed.covers("s3://d//x.mp4")
    assert not allowed.covers("s3://d/x.mp4")


def test_keys_that_are_lost_on_the_way_are_one_problem_that_names_them(
    s3_server: S3Server,
) -> None:
    bucket = ClipBucket(s3_server)
    for key in ("x/../a.mp4", "x/./b.mp4", "x/../c.mp4", "x/../d.mp4"):
        bucket.put_raw(key)
    bucket.put("x/e.mp4")

    found = bucket.find("x/")

    assert [clip.source for clip in found.clips] == [f"{bucket.url}/x/e.mp4"]
    assert found.passed == {}
    (problem,) = found.problems
    assert "'x/../a.mp4' has a '.' or '..' part" in problem
    assert problem.endswith("; and 1 more")


def test_clips_under_such_keys_come_to_their_records(
    small_fleet: SmallFleet, bucket: ClipBucket
) -> None:
    access = {f"CLIPFLEET_{name.upper()}": value for name, value in bucket.access.items()}
    small_fleet.settings |= access
    small_fleet.start()

    done = small_fleet.submit(f"{bucket.url}/", "--run", "r", "--wait")

    paths = small_fleet.out.glob("metas/v0/*.json")
    records = [ClipRecord.model_validate_json(path.read_bytes()) for path in paths]
    assert done.returncode == 3, done.stdout
    assert "Passed over: 1 hidden.\n" in done.stdout
    assert sorted(each.source_video for each in records) == sorted(
        f"{bucket.url}/{key}" for key in KEYS if not key.startswith("..")
    )
    assert all("not a video file" in str(each.errors) for each in records)
