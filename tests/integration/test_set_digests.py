"""What records say is taken from digests of finished shards, where these are the last word."""

from typing import Any

import pytest

from clipfleet import keys
from clipfleet.store import Store
from clipfleet_producer.runs.digests import record_sizes, run_digests, set_digests
from clipfleet_producer.runs.model import Run
from clipfleet_producer.runs.store import run_heads
from tests.support.exported_run import done_record
from tests.support.set_runs import begin_run, line, put_record, put_run

LATER = {"finished_at": "2026-01-02T04:04:05+00:00"}


@pytest.fixture
def read(folder_store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The clips whose records were read."""
    names: list[str] = []
    get = folder_store.get

    def noting(key: str, **rest: Any) -> bytes:
        if keys.RECORDS in key:
            names.append(key.rpartition("/")[2].removesuffix(".json"))
        return get(key, **rest)

    monkeypatch.setattr(folder_store, "get", noting)
    return names


def words(store: Store, run_id: str) -> list[int]:
    """The lengths of the captions of a run, as its clips' digests have them."""
    clips = run_digests(Run.open(store, run_id))
    return [n for clip in clips for n in (clip.texts["caption:default"].words if clip else [0])]


def test_a_finished_run_is_read_from_its_digest(folder_store: Store, read: list[str]) -> None:
    put_run(folder_store, "", "r1", {0: "one", 1: "one two"})

    assert words(folder_store, "r1") == [1, 2]
    assert read == []


def test_of_an_open_run_records_are_read(folder_store: Store, read: list[str]) -> None:
    begin_run(folder_store, "", "r1", [0, 1])
    put_record(folder_store, "", done_record(0, ["one two"]))

    assert words(folder_store, "r1") == [2, 0]
    assert len(read) == 2


def test_what_a_later_run_did_again_is_read_anew(folder_store: Store, read: list[str]) -> None:
    put_run(folder_store, "", "r1", {0: "one", 1: None})
    put_run(folder_store, "", "r2", {1: "one two three"}, **LATER)

    assert words(folder_store, "r1") == [1, 3]
    assert read == [line(1).clip_uuid]


def test_what_an_open_run_may_do_again_is_read(folder_store: Store, read: list[str]) -> None:
    put_run(folder_store, "", "r1", {0: "one", 1: None})
    begin_run(folder_store, "", "r2", [1])
    put_record(folder_store, "", done_record(1, ["one two three"], run_id="r2", **LATER))

    assert words(folder_store, "r1") == [1, 3]
    assert read == [line(1).clip_uuid]


def test_runs_of_other_sets_change_nothing(folder_store: Store, read: list[str]) -> None:
    put_run(folder_store, "", "r1", {0: "one"})
    put_run(folder_store, "b", "r2", {0: "one two three"}, **LATER)
    begin_run(folder_store, "b", "r3", [0])

    assert words(folder_store, "r1") == [1]
    assert read == []


def test_a_digest_that_says_too_little_is_none(folder_store: Store, read: list[str]) -> None:
    run = put_run(folder_store, "", "r1", {0: "one"})
    key = keys.run_digest("r1", run.head.manifest_version, 0)
    without = folder_store.get(key).replace(b'"texts"', b'"before"')
    folder_store.put(key, without)

    assert words(folder_store, "r1") == [1]
    assert read == [line(0).clip_uuid]


def test_a_sets_records_are_all_counted_whoever_wrote_them(
    folder_store: Store, read: list[str]
) -> None:
    put_run(folder_store, "b", "r1", {0: "one", 1: None})
    put_run(folder_store, "b", "r2", {1: "one two"}, **LATER)
    put_record(folder_store, "b", done_record(2, ["one two three"], set="b"))
    folder_store.delete(keys.record(line(0).clip_uuid, "b"))

    names = record_sizes(folder_store, "b")
    found = set_digests(folder_store, "b", names, heads=run_heads(folder_store))

    texts = {clip.source[-9:]: [*clip.texts["caption:default"].words] for clip in found}
    assert texts == {"00001.mp4": [2], "00002.mp4": [3]}
    assert read == [line(2).clip_uuid]
