"""Runs end, whoever finds that out; and all of them can be found."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clipfleet import keys
from clipfleet.errors import StoreDenied, UsageError
from clipfleet.options import CaptionOptions, Options
from clipfleet.runs import RunControl, RunCounts, RunState, digest_record
from clipfleet.store import Store
from clipfleet_producer.api import Fleet
from clipfleet_producer.cli.listing import chosen_options
from clipfleet_producer.runs import control
from clipfleet_producer.runs.ending import discard_if_idle, end_if_done
from clipfleet_producer.runs.like_clips import measured_run
from clipfleet_producer.runs.listing import list_runs
from clipfleet_producer.runs.model import Run
from clipfleet_producer.runs.names import choose_run_id
from clipfleet_producer.runs.status import RunStatus, StatusReader
from clipfleet_producer.runs.store import active_runs
from tests.support.cli_here import run_here
from tests.support.feeding import OPTIONS, Scene, lines, record_of, step_until


def have_done(scene: Scene, count: int, *, run_id: str = "r1", **fields: object) -> None:
    for line in lines(count):
        record = record_of(line, **{"run_id": run_id, "valid": True, **fields})
        scene.store.put(keys.record(line.clip_uuid), record.to_bytes())


def status_of(scene: Scene, run_id: str = "r1") -> RunStatus:
    return StatusReader(Run.open(scene.store, run_id), scene.broker).read()


def command(scene: Scene, *arguments: str, columns: int = 80) -> tuple[int, str]:
    """A command on the scene's store, on a screen of this width; its exit code and output."""
    env = {
        "CLIPFLEET_BROKER": scene.server.url,
        "CLIPFLEET_STORE": scene.store.uri,
        "COLUMNS": str(columns),
        "HOME": scene.store.uri,
    }
    done = run_here(arguments, env=env, cwd=Path(scene.store.uri))
    return done.returncode, done.stdout


# The end.


def test_a_run_whose_clips_all_have_records_is_finished_by_whoever_looks(scene: Scene) -> None:
    scene.write(lines(3))
    have_done(scene, 3)

    assert status_of(scene).state is RunState.FINISHED
    run = Run.open(scene.store, "r1")
    summary = run.summary()
    assert summary is not None
    assert (summary["done"], summary["missing"]) == (3, 0)
    assert len(run.done.digest(0)) == 3
    assert active_runs(scene.store) == []


def test_a_run_that_was_fed_by_nobody_to_the_end_ends_when_the_api_lists_runs(
    scene: Scene,
) -> None:
    scene.write(lines(2), embedded=True)
    have_done(scene, 2)
    fleet = Fleet(store=scene.store.uri, broker=scene.server.url)

    assert fleet.runs() == []
    assert Run.open(scene.store, "r1").summary() is not None


def test_a_run_that_lacks_a_record_has_not_finished(scene: Scene) -> None:
    scene.write(lines(3))
    have_done(scene, 2)

    assert not end_if_done(Run.open(scene.store, "r1"))
    assert status_of(scene).state is RunState.RUNNING
    assert active_runs(scene.store) == ["r1"]


def test_who_may_only_read_sees_that_a_run_has_finished(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.write(lines(3))
    have_done(scene, 3)
    before = {each.key for each in scene.store.list("")}

    def denied(*_: object, **__: object) -> bool:
        raise StoreDenied("read only")

    for verb in ("put", "put_if_match", "delete", "delete_prefix"):
        monkeypatch.setattr(type(scene.store), verb, denied)
    assert status_of(scene).state is RunState.FINISHED
    assert end_if_done(Run.open(scene.store, "r1"))
    assert {each.key for each in scene.store.list("")} == before


def test_the_counts_of_a_shard_are_written_once(scene: Scene) -> None:
    scene.write(lines(3))
    have_done(scene, 3)
    run = Run.open(scene.store, "r1")
    assert end_if_done(run)
    counts, digest = run.done.counts(0), run.done.digest(0)

    run.done.write(0, RunCounts(), [])
    assert run.done.counts(0) == counts
    assert run.done.digest(0) == digest


def test_a_run_ended_when_its_last_record_was_written(scene: Scene) -> None:
    scene.write(lines(1))
    head = scene.head.model_copy(update={"created_at": "2026-01-01T00:00:00+00:00"})
    scene.store.put(keys.run_head("r1"), head.to_bytes())
    have_done(scene, 1, finished_at="2026-01-01T00:01:40+00:00")

    assert status_of(scene).elapsed_s == 100


def test_a_cancelled_run_stays_cancelled_and_tells_what_was_done(scene: Scene) -> None:
    scene.write(lines(3))
    have_done(scene, 2)
    code, said = command(scene, "cancel", "r1")

    assert code == 0
    assert "2 of 3 clips are done (0 with errors)" in " ".join(said.split())
    status = status_of(scene)
    assert (status.state, status.counts.done) == (RunState.CANCELLED, 2)


# What a run did itself.


def test_a_run_submitted_again_under_its_name_counts_what_it_does_from_then_on(
    scene: Scene,
) -> None:
    scene.write(lines(3))
    have_done(scene, 2, finished_at="2020-01-01T00:00:00+00:00")

    counts = status_of(scene).counts
    assert (counts.done, counts.previously_done) == (2, 2)


def test_a_run_that_did_nothing_is_not_kept(scene: Scene) -> None:
    scene.write(lines(3))
    have_done(scene, 3, run_id="another")
    run = Run.open(scene.store, "r1")
    assert end_if_done(run)

    assert discard_if_idle(run)
    assert not list(scene.store.list(keys.RUNS))
    assert len(list(scene.store.list(keys.RECORDS))) == 3


def test_a_run_that_did_something_is_kept(scene: Scene) -> None:
    scene.write(lines(3))
    have_done(scene, 3)
    run = Run.open(scene.store, "r1")
    assert end_if_done(run)

    assert not discard_if_idle(run)


# Finding runs.


def test_all_runs_are_listed_the_newest_first(scene: Scene) -> None:
    scene.write(lines(1), "first")
    have_done(scene, 1, run_id="first")
    scene.write(lines(2), "second")

    found = list(list_runs(scene.store, scene.broker))
    assert [(run.head.run_id, run.state) for run in found] == [
        ("second", RunState.RUNNING),
        ("first", RunState.FINISHED),
    ]
    assert [run.counts.done for run in found] == [1, 1]
    assert len(list(list_runs(scene.store, scene.broker, limit=1))) == 1


def test_the_newest_run_is_called_latest_wherever_a_run_is_named(scene: Scene) -> None:
    scene.write(lines(1), "first")
    scene.write(lines(2), "second")

    assert Run.open(scene.store, "latest").run_id == "second"
    code, said = command(scene, "status", "latest", "--json")
    assert (code, json.loads(said)["run"]) == (0, "second")
    assert "Run second is paused" in command(scene, "pause", "latest")[1]
    with pytest.raises(UsageError, match="newest of all runs"):
        choose_run_id("latest")


def test_without_a_run_there_is_no_latest(scene: Scene) -> None:
    with pytest.raises(UsageError, match="there is no run in"):
        Run.open(scene.store, "latest")


LONG = "a-run-whose-name-is-as-long-as-names-of-runs-may-be-0123456789abcd"[:64]


@pytest.mark.parametrize("columns", [30, 50, 80, 200])
@pytest.mark.parametrize("arguments", [("runs",), ("status",), ("status", LONG)])
def test_a_runs_name_is_cut_at_no_width(
    scene: Scene, arguments: tuple[str, ...], columns: int
) -> None:
    scene.write(lines(3), LONG)
    have_done(scene, 1)

    code, said = command(scene, *arguments, columns=columns)
    assert code == 0
    assert LONG in said


def test_runs_are_listed_for_machines(scene: Scene) -> None:
    scene.write(lines(3))
    have_done(scene, 1)

    (found,) = json.loads(command(scene, "runs", "--json")[1])["runs"]
    assert (found["run"], found["state"], found["set"]) == ("r1", "running", "")
    assert (found["clips"], found["done"], found["failed"]) == (3, 1, 0)
    assert found["options"] == {"captioning-algorithm": OPTIONS.caption.model_variant}


def test_options_that_matter_are_those_that_shape_captions_and_are_not_at_their_default() -> None:
    options = Options(caption=CaptionOptions(max_output_tokens=99, caption_batch_size=3))

    assert chosen_options(options) == {
        "captioning-algorithm": options.caption.model_variant,
        "captioning-max-output-tokens": 99,
    }


# Orders.


def test_a_run_keeps_its_priority_when_it_is_resumed(scene: Scene) -> None:
    scene.write(lines(3), priority=7, in_flight=5)
    run = Run.open(scene.store, "r1")
    control.cancel(run, scene.broker)
    control.resume(run, scene.broker)

    now = run.control()
    assert now is not None
    assert (now.priority, now.in_flight) == (7, 5)


def test_a_run_is_fed_with_as_many_in_flight_as_it_was_submitted_with(scene: Scene) -> None:
    scene.write(lines(20), in_flight=3)
    feeder, _ = scene.feeder(in_flight=64)

    step_until(feeder, lambda: scene.waiting() == 3)
    scene.run.set_control(RunControl(in_flight=5))
    step_until(feeder, lambda: scene.waiting() == 5)


def test_without_a_broker_status_shows_what_the_store_knows_and_exits_4(scene: Scene) -> None:
    scene.write(lines(3))
    have_done(scene, 2)
    scene.server.kill()
    try:
        code, said = command(scene, "status", "r1")
        everything, _ = command(scene, "status")
    finally:
        scene.server.start()
    assert (code, everything) == (4, 4)
    assert "2 of 3 done" in said


def test_a_feeder_counts_what_is_done_of_shards_that_are_not(scene: Scene, store: Store) -> None:
    scene.write(lines(20))
    feeder, watcher = scene.feeder(in_flight=5)
    step_until(feeder, lambda: scene.waiting() == 5)
    scene.work_off()
    step_until(feeder, lambda: len(watcher.finished) == 5)

    assert (feeder.total.done, feeder.counts.done) == (0, 5)


def test_a_dry_run_takes_as_long_as_windows_of_like_clips_did(scene: Scene) -> None:
    sized = [
        line.model_copy(update={"num_bytes": 100 * (place + 1)})
        for place, line in enumerate(lines(2))
    ]
    scene.write(sized)
    head = scene.head.model_copy(update={"created_at": "2026-01-01T00:00:00+00:00"})
    scene.store.put(keys.run_head("r1"), head.to_bytes())
    have_done(scene, 2)
    run = Run.open(scene.store, "r1")
    digests = [
        digest_record(checked.record, checked.digest).model_copy(update={"windows": windows})
        for windows, checked in zip((1, 7), run.check_all(sized), strict=True)
        if checked.record is not None
    ]
    counts = RunCounts(clips=2, done=2, windows=8)
    run.done.write(0, counts, [each.model_dump_json() for each in digests])
    run.conclude(counts, ended_at=datetime(2026, 1, 1, 0, 0, 10, tzinfo=UTC))

    found = measured_run(scene.store, OPTIONS.hash)
    assert found is not None
    assert (found.windows_per_s, found.sizes) == (0.8, [(100, 1), (200, 7)])
    assert found.windows(lines(1)[0]) == 4, "of a size that is not known"
    assert measured_run(scene.store, "0" * 16) is None
