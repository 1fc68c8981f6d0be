"""An export goes on as it began, whatever ended it, and takes no foreign folder for its own."""

import fcntl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from clipfleet import keys
from clipfleet.errors import ExitCode, StoreUnavailable, UsageError
from clipfleet.store import Store
from clipfleet_producer.export import Format, export_run, make_spec
from clipfleet_producer.export.journal import JOURNAL_FILE
from clipfleet_producer.runs import manifest
from clipfleet_producer.runs.store import RunStore
from tests.support.exported_run import (
    IN_THREES,
    RUN,
    StoredRun,
    done_record,
    json_rows,
    numbers,
    part_files,
)


@pytest.fixture
def run(folder_store: Store, monkeypatch: pytest.MonkeyPatch) -> StoredRun:
    """A run of ten clips in small shards, so that parts begin and end within; none is done."""
    monkeypatch.setattr(manifest, "lines_in", lambda shard: 2 if shard < 2 else 4)
    run = StoredRun(folder_store, Path(folder_store.uri))
    run.begin(10)
    return run


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "taken"


def test_clips_done_later_are_added_by_the_same_command(run: StoredRun, dest: Path) -> None:
    run.put(*(done_record(n) for n in (0, 4, 9)))
    run.export(dest, *IN_THREES)
    run.put(*(done_record(n) for n in range(10)))

    result = run.export(dest, *IN_THREES)

    assert result.exit_code == ExitCode.OK, result.output
    assert numbers(json_rows(dest)) == list(range(10))


def test_whole_parts_are_not_read_again(run: StoredRun, dest: Path) -> None:
    run.put(*(done_record(n) for n in range(10) if n != 4))
    run.export(dest, *IN_THREES)
    run.put(done_record(0, ["changed since"]), done_record(4))

    result = run.export(dest, *IN_THREES)

    assert "1 parts written" in result.output
    assert "3 were there" in result.output
    assert json_rows(dest)[0]["caption"] == "a red ball"


def test_a_part_that_vanished_or_was_cut_is_written_again(run: StoredRun, dest: Path) -> None:
    run.put(*(done_record(n) for n in range(10)))
    run.export(dest, *IN_THREES)
    whole = part_files(dest)
    (dest / "part-000000.jsonl").unlink()
    (dest / "part-000002.jsonl").write_bytes(whole["part-000002.jsonl"][:-10])

    result = run.export(dest, *IN_THREES)

    assert "2 parts written" in result.output
    assert part_files(dest) == whole


def test_clips_approved_later_are_added_by_the_same_command(run: StoredRun, dest: Path) -> None:
    run.put(*(done_record(n) for n in range(10)))
    run.review(3, "approved")
    run.export(dest, "--only-approved", *IN_THREES)
    run.review(0, "approved")

    run.export(dest, "--only-approved", *IN_THREES)

    assert numbers(json_rows(dest)) == [0, 3]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (("--format", "csv"), "format jsonl, not csv"),
        (("--only-valid",), "only valid False, not True"),
        (("--shard-size", "4"), "shard size 3, not 4"),
        (("--per", "clip"), "per window, not clip"),
    ],
)
def test_another_command_into_the_same_folder_is_refused_with_the_reason(
    run: StoredRun, dest: Path, other: tuple[str, ...], reason: str
) -> None:
    run.put(*(done_record(n) for n in range(10)))
    run.export(dest, *IN_THREES)
    before = part_files(dest)

    result = run.export(dest, *IN_THREES, *other)

    assert isinstance(result.exception, UsageError)
    assert reason in str(result.exception)
    assert part_files(dest) == before


def test_a_run_that_was_submitted_anew_is_another(run: StoredRun, dest: Path) -> None:
    run.put(*(done_record(n) for n in range(10)))
    run.export(dest)
    run.begin(9)

    result = run.export(dest)

    assert isinstance(result.exception, UsageError)
    assert "clips 10, not 9" in str(result.exception)


def test_a_folder_that_holds_other_things_is_refused_and_left_as_it_is(
    run: StoredRun, dest: Path
) -> None:
    dest.mkdir()
    (dest / "thesis.txt").write_text("mine")

    result = run.export(dest)

    assert isinstance(result.exception, UsageError)
    assert [path.name for path in dest.iterdir()] == ["thesis.txt"]


def test_two_exports_into_one_folder_at_once_are_refused(run: StoredRun, dest: Path) -> None:
    run.put(*(done_record(n) for n in range(10)))
    run.export(dest, *IN_THREES)
    with (dest / JOURNAL_FILE).open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        result = run.export(dest, *IN_THREES)

    assert isinstance(result.exception, UsageError)
    assert "another export is writing" in str(result.exception)


def test_a_journal_that_was_cut_in_mid_line_costs_that_part_alone(
    run: StoredRun, dest: Path
) -> None:
    run.put(*(done_record(n) for n in range(10)))
    run.export(dest, *IN_THREES)
    whole, journal = part_files(dest), dest / JOURNAL_FILE
    journal.write_bytes(journal.read_bytes()[:-5])

    result = run.export(dest, *IN_THREES)

    assert "1 parts written" in result.output
    assert part_files(dest) == whole


class _Failing:
    """A store that goes away after so many reads of records."""

    def __init__(self, store: Store, reads: int) -> None:
        self._store, self._left = store, reads

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def get(self, key: str, **given: Any) -> bytes:
        if key.startswith(keys.RECORDS):
            self._left -= 1
            if self._left < 0:
                raise StoreUnavailable(f"{key}: gone")
        return self._store.get(key, **given)


@pytest.mark.parametrize("format", Format)
def test_a_store_that_goes_away_ends_it_and_no_part_is_half_there(
    run: StoredRun, dest: Path, format: Format
) -> None:
    run.put(*(done_record(n) for n in range(10)), pictures=True)
    head = RunStore.open(run.store, RUN).head
    spec = make_spec(head, format, shard_size=3)
    failing: Any = _Failing(run.store, 7)

    with pytest.raises(StoreUnavailable):
        export_run(failing, head, spec, dest)
    assert not list(dest.glob(".part-*"))
    done = export_run(run.store, head, spec, dest)

    assert done.counts.rows == 10
    assert done.parts_written == 2


def _start(run: StoredRun, dest: Path) -> "subprocess.Popen[bytes]":
    code = "from clipfleet_producer.cli.results import export; export()"
    command = [sys.executable, "-c", code, RUN, str(dest), "--shard-size", "10"]
    return subprocess.Popen([*command, "--store", str(run.folder)])


def test_an_export_that_is_killed_goes_on_and_comes_out_the_same(
    folder_store: Store, dest: Path, tmp_path: Path
) -> None:
    run = StoredRun(folder_store, Path(folder_store.uri))
    run.begin(2000)
    run.put(*(done_record(n) for n in range(2000)))
    process = _start(run, dest)
    deadline = time.monotonic() + 60
    while not (dest / "part-000003.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert 4 <= len(part_files(dest)) < 200
    (dest / ".part-000150.jsonl.tmp").write_bytes(b"{")  # as one that was killed leaves

    again = _start(run, dest)
    assert again.wait(120) == ExitCode.OK
    untouched = _start(run, tmp_path / "untouched")
    assert untouched.wait(120) == ExitCode.OK

    assert part_files(dest) == part_files(tmp_path / "untouched")
    assert not list(dest.glob(".part-*"))
    assert numbers(json_rows(dest)) == list(range(2000))
