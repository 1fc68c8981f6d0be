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
from clipfleet_producer.runs.store import RunStore, active_runs
from clipfleet_producer.runs.writing import check_free, write_run

OPTIONS = Options()


def lines(count: int) -> list[ManifestLine]:
    return [ManifestLine(clip_uuid=keys.clip_uuid(str(i)), source=str(i)) for i in range(count)]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "lines_in", lambda shard: 2)


def test_clips_are_read_back_in_order_from_their_shards(folder_store: Store) -> None:
    run = write_run(folder_store, "r1", OPTIONS, lines(5))
    assert (run.head.clips, run.head.shards) == (5, 3)
    assert list(RunStore.open(folder_store, "r1").manifest.lines()) == lines(5)
    assert RunStore.open(folder_store, "r1").head == run.head


def test_a_run_written_again_forgets_its_old_clips_and_what_was_done(folder_store: Store) -> None:
    before = write_run(folder_store, "r1", OPTIONS, lines(5))
    before.done.write(0, RunCounts(clips=2, done=2), [])
    run = write_run(folder_store, "r1", OPTIONS, lines(1))
    assert list(RunStore.open(folder_store, "r1").manifest.lines()) == lines(1)
    before.done.write(1, RunCounts(), [])  # a feeder that does not know yet
    assert run.done.numbers() == set()


def test_a_run_whose_list_was_not_written_to_its_end_is_none(folder_store: Store) -> None:
    def breaks_off() -> Iterable[ManifestLine]:
        yield from lines(3)
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write_run(folder_store, "r1", OPTIONS, breaks_off())
    with pytest.raises(UsageError, match="the list of clips of run r1 is not whole"):
        RunStore.open(folder_store, "r1")
    assert active_runs(folder_store) == []


def test_a_name_taken_by_a_run_with_other_options_is_refused(folder_store: Store) -> None:
    other = Options.model_validate({"preview": {"quality": 1}})
    write_run(folder_store, "r2", other, lines(1))
    with pytest.raises(UsageError, match="run r2 is there already"):
        check_free(folder_store, "r2", OPTIONS)


@pytest.mark.parametrize(("there", "asked"), [("Nightly", "nightly"), ("a.B-1", "A.b-1")])
def test_a_name_that_differs_from_another_runs_in_case_alone_is_refused(
    store: Store, there: str, asked: str
) -> None:
    check_free(store, there, OPTIONS)
    write_run(store, there, OPTIONS, lines(1))

    with pytest.raises(UsageError, match=f"run {asked}: there is a run {there}, and some disks"):
        check_free(store, asked, OPTIONS)
    check_free(store, there, OPTIONS)
    check_free(store, f"{asked}2", OPTIONS)


@pytest.mark.parametrize("name", ["nul", "CON", "com1.2024", "Lpt9", "nightly."])
def test_a_name_that_windows_has_for_no_folder_is_refused(folder_store: Store, name: str) -> None:
    with pytest.raises(UsageError, match=f"run {name}: no folder has such a name on Windows"):
        check_free(folder_store, name, OPTIONS)


@pytest.mark.parametrize("name", ["null", "console", "com", "a.nul", "com12"])
def test_a_name_that_only_begins_so_is_taken(folder_store: Store, name: str) -> None:
    check_free(folder_store, name, OPTIONS)


def test_a_run_is_not_found_under_a_name_of_another_case(folder_store: Store) -> None:
    write_run(folder_store, "Nightly", OPTIONS, lines(1))
    # What a disk that takes one for the other answers.
    folder_store.put(keys.run_head("nightly"), folder_store.get(keys.run_head("Nightly")))

    with pytest.raises(UsageError, match=r"there is no run nightly in .*; there is Nightly"):
        RunStore.open(folder_store, "nightly")


def test_a_run_is_active_until_it_is_concluded(folder_store: Store) -> None:
    run = write_run(folder_store, "r1", OPTIONS, lines(1), control=RunControl(priority=3))
    assert active_runs(folder_store) == ["r1"]
    assert run.control() == RunControl(feeding=Feeding.ACTIVE, priority=3)
    run.conclude(RunCounts(clips=1, done=1))
    assert active_runs(folder_store) == []
    summary = run.summary()
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

    run = write_run(folder_store, "r1", OPTIONS, clips(), places=lambda: places)

    assert run.places() == [f"s3://bucket/{n}" for n in range(3)]


def test_options_of_single_clips_lie_beside_the_runs(folder_store: Store, tmp_path: Path) -> None:
    own = Options.model_validate({"caption": {"prompt_text": "What is it?"}})
    line = lines(1)[0].model_copy(update={"options_hash": own.hash})
    run = write_run(folder_store, "r1", OPTIONS, [line], variants=lambda lines: {own.hash: own})
    assert run.variants([line]) == {own.hash: own}


def test_of_two_that_write_a_run_at_once_one_does_and_the_other_says_so(
    folder_store: Store,
) -> None:
    def slowly() -> Iterable[ManifestLine]:
        yield from lines(2)
        write_run(folder_store, "r1", OPTIONS, lines(5))  # the other's, whole

    with pytest.raises(UsageError, match="run r1 was written by another submit meanwhile"):
        write_run(folder_store, "r1", OPTIONS, slowly())

    head = RunStore.open(folder_store, "r1").head
    assert head.clips == len(list(RunStore.open(folder_store, "r1").manifest.lines())) == 5
    assert len(list(folder_store.list(keys.run_manifests("r1")))) == head.shards, "no other's"
    assert len(list(folder_store.list(keys.ACTIVE))) == 1


def test_while_a_run_is_written_anew_the_one_before_stands(folder_store: Store) -> None:
    before = write_run(folder_store, "r1", OPTIONS, lines(3))

    def seen() -> Iterable[ManifestLine]:
        assert before.is_current()
        assert len(list(RunStore.open(folder_store, "r1").manifest.lines())) == 3
        assert before.control() is not None
        yield from lines(4)

    after = write_run(folder_store, "r1", OPTIONS, seen())

    assert not before.is_current()
    assert before.control() is None
    assert RunStore.open(folder_store, "r1") == after


@pytest.mark.parametrize("when", ["before its summary", "after its summary"])
def test_who_concludes_an_older_list_leaves_the_newer_run_active(
    folder_store: Store, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    old = write_run(folder_store, "r1", OPTIONS, lines(1))
    put = folder_store.put

    def submit_comes_between(key: str, *given: Any, **more: Any) -> bool:
        if not key.endswith("summary.json"):
            return put(key, *given, **more)
        monkeypatch.setattr(folder_store, "put", put)
        written = when == "after its summary" and put(key, *given, **more)
        write_run(folder_store, "r1", OPTIONS, lines(2))
        return written or put(key, *given, **more)

    monkeypatch.setattr(folder_store, "put", submit_comes_between)
    old.conclude(RunCounts(clips=1, done=1))

    run = RunStore.open(folder_store, "r1")
    assert run.head.manifest_version != old.head.manifest_version
    assert run.control() is not None
    assert run.summary() is None, "the old one's is not its own"
    run.conclude(RunCounts(clips=2, done=2))
    summary = run.summary()
    assert summary is not None
    assert summary["clips"] == 2


def test_a_list_that_nobody_came_to_the_end_of_goes_after_a_day(folder_store: Store) -> None:
    day_before = f"{int(time.time()) - 2 * 24 * 3600:08x}00000000"
    left = keys.run_manifest("r1", day_before, 0)
    fresh = keys.run_manifest("r1", f"{int(time.time()):08x}ffffffff", 0)
    folder_store.put(left, b"")
    folder_store.put(fresh, b"")

    write_run(folder_store, "r1", OPTIONS, lines(1))

    assert not folder_store.exists(left)
    assert folder_store.exists(fresh), "another may be writing it"
