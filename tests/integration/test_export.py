"""An export takes a run's rows away: of which clips, in which order, in which parts."""

import json
from pathlib import Path
from typing import Any

import pytest

from clipfleet import keys
from clipfleet.errors import ExitCode, UsageError
from clipfleet.options import CaptionOptions, Options
from clipfleet.records import ManifestLine
from clipfleet.store import Store
from clipfleet_producer.cli import results
from clipfleet_producer.export import Format, export_run, make_spec
from clipfleet_producer.runs import manifest
from clipfleet_producer.runs.store import RunStore
from clipfleet_producer.runs.writing import write_run
from tests.support.exported_run import (
    IN_THREES,
    OPTIONS,
    RUN,
    StoredRun,
    done_record,
    json_rows,
    numbers,
    part_files,
    source,
)


@pytest.fixture(autouse=True)
def _small_manifest_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that parts begin and end within shards, and reach over several."""
    monkeypatch.setattr(manifest, "lines_in", lambda shard: 2 if shard < 2 else 4)


@pytest.fixture
def run(folder_store: Store) -> StoredRun:
    """A run of ten clips, of which none is done."""
    run = StoredRun(folder_store, Path(folder_store.uri))
    run.begin(10)
    return run


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "taken"


def test_rows_come_in_the_manifests_order_each_once(run: StoredRun, dest: Path) -> None:
    run.put(*(done_record(n, ["first", "second"]) for n in range(10)))

    result = run.export(dest, *IN_THREES)

    assert result.exit_code == ExitCode.OK, result.output
    rows = json_rows(dest)
    assert numbers(rows) == [n for n in range(10) for _ in range(2)]
    assert [row["caption"] for row in rows] == ["first", "second"] * 10


def test_a_part_holds_the_clips_of_its_place_in_the_manifest(run: StoredRun, dest: Path) -> None:
    run.put(*(done_record(n) for n in range(10)))

    run.export(dest, *IN_THREES)

    parts = [numbers(map(json.loads, data.splitlines())) for data in part_files(dest).values()]
    assert parts == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


def test_a_run_that_is_not_at_its_end_gives_what_is_done_and_exit_code_3(
    run: StoredRun, dest: Path
) -> None:
    run.put(*(done_record(n) for n in (0, 4, 9)))

    result = run.export(dest, *IN_THREES)

    assert result.exit_code == ExitCode.FAILED_CLIPS
    assert "7 clips have no record yet" in result.output
    assert numbers(json_rows(dest)) == [0, 4, 9]


def test_a_part_whose_clips_are_all_missing_has_no_file(run: StoredRun, dest: Path) -> None:
    run.put(done_record(9))

    run.export(dest, *IN_THREES)

    assert list(part_files(dest)) == ["part-000003.jsonl"]


def test_a_record_of_other_options_is_none(run: StoredRun, dest: Path) -> None:
    run.put(done_record(0, recipes={"windows": "0" * 16}), done_record(1))

    run.export(dest)

    assert numbers(json_rows(dest)) == [1]


def test_only_valid_leaves_out_clips_with_errors(run: StoredRun, dest: Path) -> None:
    run.put(*(done_record(n, [None, "fine"] if n % 2 else ["fine"]) for n in range(10)))

    result = run.export(dest, "--only-valid")

    assert result.exit_code == ExitCode.OK
    assert "5 clips were left out" in result.output
    assert numbers(json_rows(dest)) == [0, 2, 4, 6, 8]


def test_only_approved_takes_what_a_reviewer_approved_and_no_other(
    run: StoredRun, dest: Path
) -> None:
    run.put(*(done_record(n) for n in range(10)))
    run.review(3, "approved")
    run.review(4, "flagged")
    run.review(5, "no verdict of ours")

    run.export(dest, "--only-approved")

    assert numbers(json_rows(dest)) == [3]


def test_without_any_review_nothing_is_approved(run: StoredRun, dest: Path) -> None:
    run.put(*(done_record(n) for n in range(10)))

    result = run.export(dest, "--only-approved")

    assert json_rows(dest) == []
    assert "10 clips have no verdict yet" in result.output


def test_a_run_that_there_is_not_is_a_usage_error(run: StoredRun, dest: Path) -> None:
    result = run.invoke(results.export, "nope", str(dest))

    assert isinstance(result.exception, UsageError)
    assert not dest.exists()


def test_an_address_is_refused_as_a_destination(run: StoredRun) -> None:
    result = run.invoke(results.export, RUN, "s3://bucket/taken")

    assert isinstance(result.exception, UsageError)
    assert "not a folder" in str(result.exception)


def test_it_reads_from_s3_too(s3_store: Store, tmp_path: Path) -> None:
    run = StoredRun(s3_store, tmp_path)
    run.begin(10)
    run.put(*(done_record(n) for n in range(10)), pictures=True)
    head = RunStore.open(s3_store, RUN).head

    done = export_run(s3_store, head, make_spec(head, Format.JSONL, shard_size=3), tmp_path / "to")

    assert done.counts.rows == 10
    assert numbers(json_rows(tmp_path / "to")) == list(range(10))


def test_a_manifest_that_is_not_whole_is_refused(run: StoredRun, dest: Path) -> None:
    run.put(*(done_record(n) for n in range(10)))
    shard = keys.run_manifest(RUN, RunStore.open(run.store, RUN).head.manifest_version, 1)
    run.store.put(shard, run.store.get(shard).split(b"\n")[0] + b"\n")

    result = run.export(dest)

    assert isinstance(result.exception, UsageError)
    assert "shard 1" in str(result.exception)


class _Counting:
    """A store that counts reads of records."""

    def __init__(self, store: Store) -> None:
        self._store, self.reads = store, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def get(self, key: str, **given: Any) -> bytes:
        self.reads += key.startswith(keys.RECORDS)
        return self._store.get(key, **given)


def test_memory_does_not_grow_with_the_run(run: StoredRun, dest: Path) -> None:
    """At most some hundreds of records are held, however many there are in a part."""
    run.begin(3000)
    run.put(*(done_record(n) for n in range(3000)))
    head = RunStore.open(run.store, RUN).head
    taken = 0
    ahead: list[int] = []
    counting: Any = _Counting(run.store)

    def tick(clips: int) -> None:
        nonlocal taken
        taken += clips
        ahead.append(counting.reads - taken)

    export_run(counting, head, make_spec(head, Format.JSONL), dest, tick=tick)

    assert taken == 3000
    assert max(ahead) <= 256


def test_single_clips_may_have_options_of_their_own(folder_store: Store, dest: Path) -> None:
    own = Options(caption=CaptionOptions(prompt_text="Ours."))
    line = ManifestLine(
        clip_uuid=keys.clip_uuid(source(0)), source=source(0), options_hash=own.hash
    )
    write_run(folder_store, RUN, OPTIONS, [line], variants=lambda _: {own.hash: own})
    run = StoredRun(folder_store, Path(folder_store.uri))
    run.put(done_record(0, recipes=own.recipes))

    run.export(dest)

    assert numbers(json_rows(dest)) == [0]
