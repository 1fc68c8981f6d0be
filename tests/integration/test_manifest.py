"""A run as it lies in the store."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from clipfleet import keys
from clipfleet.errors import UsageError
from clipfleet.options import Options
from clipfleet.records import ManifestLine
from clipfleet.runs import Feeding, RunControl, RunCounts
from clipfleet.store import Store
from clipfleet_producer.runs import manifest

OPTIONS = Options()


def lines(count: int) -> list[ManifestLine]:
    return [ManifestLine(clip_uuid=keys.clip_uuid(str(i)), source=str(i)) for i in range(count)]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "lines_in", lambda shard: 2)


def test_clips_are_read_back_in_order_from_their_shards(folder_store: Store) -> None:
    head = manifest.write_run(folder_store, "r1", OPTIONS, lines(5))
    assert (head.clips, head.shards) == (5, 3)
    assert list(manifest.read_clips(folder_store, "r1")) == lines(5)
    assert manifest.read_head(folder_store, "r1") == head


def test_a_run_written_again_forgets_its_old_clips_and_what_was_done(folder_store: Store) -> None:
    before = manifest.write_run(folder_store, "r1", OPTIONS, lines(5))
    manifest.write_done(folder_store, before, 0, RunCounts(clips=2, done=2))
    head = manifest.write_run(folder_store, "r1", OPTIONS, lines(1))
    assert list(manifest.read_clips(folder_store, "r1")) == lines(1)
    manifest.write_done(folder_store, before, 1, RunCounts())  # a feeder that does not know yet
    assert manifest.done_shards(folder_store, head) == set()


def test_a_run_whose_list_was_not_written_to_its_end_is_none(folder_store: Store) -> None:
    def breaks_off() -> Iterable[ManifestLine]:
        yield from lines(3)
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        manifest.write_run(folder_store, "r1", OPTIONS, breaks_off())
    with pytest.raises(UsageError, match="the list of clips of run r1 is not whole"):
        manifest.read_head(folder_store, "r1")
    assert manifest.active_runs(folder_store) == []


def test_a_name_taken_by_a_run_with_other_options_is_refused(folder_store: Store) -> None:
    other = Options.model_validate({"preview": {"quality": 1}})
    manifest.write_run(folder_store, "r2", other, lines(1))
    with pytest.raises(UsageError, match="run r2 is there already"):
        manifest.check_free(folder_store, "r2", OPTIONS)


@pytest.mark.parametrize(("there", "asked"), [("Nightly", "nightly"), ("a.B-1", "A.b-1")])
def test_a_name_that_differs_from_another_runs_in_case_alone_is_refused(
    store: Store, there: str, asked: str
) -> None:
    manifest.check_free(store, there, OPTIONS)
    manifest.write_run(store, there, OPTIONS, lines(1))

    with pytest.raises(UsageError, match=f"run {asked}: there is a run {there}, and some disks"):
        manifest.check_free(store, asked, OPTIONS)
    manifest.check_free(store, there, OPTIONS)
    manifest.check_free(store, f"{asked}2", OPTIONS)


@pytest.mark.parametrize("name", ["nul", "CON", "com1.2024", "Lpt9", "nightly."])
def test_a_name_that_windows_has_for_no_folder_is_refused(folder_store: Store, name: str) -> None:
    with pytest.raises(UsageError, match=f"run {name}: no folder has such a name on Windows"):
        manifest.check_free(folder_store, name, OPTIONS)


@pytest.mark.parametrize("name", ["null", "console", "com", "a.nul", "com12"])
def test_a_name_that_only_begins_so_is_taken(folder_store: Store, name: str) -> None:
    manifest.check_free(folder_store, name, OPTIONS)


def test_a_run_is_not_found_under_a_name_of_another_case(folder_store: Store) -> None:
    manifest.write_run(folder_store, "Nightly", OPTIONS, lines(1))
    # What a disk that takes one for the other answers.
    folder_store.put(keys.run_head("nightly"), folder_store.get(keys.run_head("Nightly")))

    with pytest.raises(UsageError, match=r"there is no run nightly in .*; there is Nightly"):
        manifest.read_head(folder_store, "nightly")


def test_a_run_is_active_until_it_is_concluded(folder_store: Store) -> None:
    head = manifest.write_run(folder_store, "r1", OPTIONS, lines(1), priority=3)
    assert manifest.active_runs(folder_store) == ["r1"]
    assert manifest.read_state(folder_store, head) == RunControl(feeding=Feeding.ACTIVE, priority=3)
    manifest.conclude(folder_store, head, RunCounts(clips=1, done=1))
    assert manifest.active_runs(folder_store) == []
    summary = manifest.read_summary(folder_store, head)
    assert summary is not None
    assert (summary["clips"], summary["done"], summary["missing"]) == (1, 1, 0)


def test_the_places_that_a_run_names_are_asked_for_once_its_clips_are_known(
    folder_store: Store,
) -> None:
    places: list[str] = []

    def clips() -> Iterable[ManifestLine]:
        for line in lines(3):
            places.append(f"s3://bucket/{line.source}")
            yield line

    head = manifest.write_run(folder_store, "r1", OPTIONS, clips(), places=lambda: places)

    assert manifest.read_places(folder_store, head) == [f"s3://bucket/{n}" for n in range(3)]


def test_options_of_single_clips_lie_beside_the_runs(folder_store: Store, tmp_path: Path) -> None:
    own = Options.model_validate({"caption": {"prompt_text": "What is it?"}})
    line = lines(1)[0].model_copy(update={"options_hash": own.hash})
    manifest.write_run(folder_store, "r1", OPTIONS, [line], variants=lambda lines: {own.hash: own})
    assert manifest.read_variants(folder_store, "r1", [line]) == {own.hash: own}


def test_of_two_that_write_a_run_at_once_one_does_and_the_other_says_so(
    folder_store: Store,
) -> None:
    def slowly() -> Iterable[ManifestLine]:
        yield from lines(2)
        manifest.write_run(folder_store, "r1", OPTIONS, lines(5))  # the other's, whole

    with pytest.raises(UsageError, match="run r1 was written by another submit meanwhile"):
        manifest.write_run(folder_store, "r1", OPTIONS, slowly())

    head = manifest.read_head(folder_store, "r1")
    assert head.clips == len(list(manifest.read_clips(folder_store, "r1"))) == 5
    assert len(list(folder_store.list(keys.run_manifests("r1")))) == head.shards, "no other's"
    assert len(list(folder_store.list(keys.ACTIVE))) == 1


def test_while_a_run_is_written_anew_the_one_before_stands(folder_store: Store) -> None:
    before = manifest.write_run(folder_store, "r1", OPTIONS, lines(3))

    def seen() -> Iterable[ManifestLine]:
        assert manifest.is_current(folder_store, before)
        assert len(list(manifest.read_clips(folder_store, "r1"))) == 3
        assert manifest.read_state(folder_store, before) is not None
        yield from lines(4)

    after = manifest.write_run(folder_store, "r1", OPTIONS, seen())

    assert not manifest.is_current(folder_store, before)
    assert manifest.read_state(folder_store, before) is None
    assert manifest.read_head(folder_store, "r1") == after


@pytest.mark.parametrize("when", ["before its summary", "after its summary"])
def test_who_concludes_an_older_list_leaves_the_newer_run_active(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    old = manifest.write_run(folder_store, "r1", OPTIONS, lines(1))
    put = folder_store.put

    def submit_comes_between(key: str, *given: Any, **more: Any) -> bool:
        if not key.endswith("summary.json"):
            return put(key, *given, **more)
        monkeypatch.setattr(folder_store, "put", put)
        written = when == "after its summary" and put(key, *given, **more)
        manifest.write_run(folder_store, "r1", OPTIONS, lines(2))
        return written or put(key, *given, **more)

    monkeypatch.setattr(folder_store, "put", submit_comes_between)
    manifest.conclude(folder_store, old, RunCounts(clips=1, done=1))

    head = manifest.read_head(folder_store, "r1")
    assert head.manifest_version != old.manifest_version
    assert manifest.read_state(folder_store, head) is not None
    assert manifest.read_summary(folder_store, head) is None, "the old one's is not its own"
    manifest.conclude(folder_store, head, RunCounts(clips=2, done=2))
    summary = manifest.read_summary(folder_store, head)
    assert summary is not None
    assert summary["clips"] == 2


def test_a_list_that_nobody_came_to_the_end_of_goes_after_a_day(folder_store: Store) -> None:
    day_before = f"{int(time.time()) - 2 * 24 * 3600:08x}00000000"
    left = keys.run_manifest("r1", day_before, 0)
    fresh = keys.run_manifest("r1", f"{int(time.time()):08x}ffffffff", 0)
    folder_store.put(left, b"")
    folder_store.put(fresh, b"")

    manifest.write_run(folder_store, "r1", OPTIONS, lines(1))

    assert not folder_store.exists(left)
    assert folder_store.exists(fresh), "another may be writing it"
