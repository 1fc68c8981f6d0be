"""The digest of a finished shard: what its clips' records say in short, for whoever lists them."""

import pytest

from clipfleet import keys
from clipfleet.messages import MAX_SOURCE_BYTES
from clipfleet.records import ClipRecord, Failure, digest
from clipfleet.runs import ClipDigest, RunControl, RunCounts, digest_record
from clipfleet_producer.runs.ending import finish
from clipfleet_producer.runs.model import Run
from tests.support.exported_run import done_record, with_caption
from tests.support.feeding import Scene, lines, record_of, step_until


def stored(scene: Scene, clip_uuid: str) -> tuple[ClipRecord, str]:
    """A clip's record, and its digest."""
    data = scene.store.get(keys.record(clip_uuid))
    return ClipRecord.model_validate_json(data), digest(data)


def digests(scene: Scene) -> dict[str, ClipDigest]:
    """The digest of the scene's run, which has one shard."""
    return {each.clip_uuid: each for each in scene.run.done.digest(0)}


def test_a_shard_that_was_fed_has_a_line_for_each_of_its_records(scene: Scene) -> None:
    before, *rest = lines(3)
    windows = done_record(0, ["a car", None]).windows
    done = record_of(before, run_id="r0", valid=False, windows=windows)
    scene.store.put(keys.record(before.clip_uuid), done.to_bytes())
    scene.write([before, *rest])
    feeder, _ = scene.feeder()
    step_until(feeder, lambda: scene.waiting() == 2)

    scene.work_off(valid=True)
    assert step_until(feeder, lambda: False)

    found = digests(scene)
    assert found == {
        line.clip_uuid: digest_record(*stored(scene, line.clip_uuid)) for line in [before, *rest]
    }
    assert (found[before.clip_uuid].windows, found[before.clip_uuid].captions) == (2, 1)
    assert found[before.clip_uuid].errors == ["RequestTimedOut"]
    assert [found[line.clip_uuid].valid for line in rest] == [True, True]


def test_a_shard_that_was_done_before_it_was_fed_has_its_digest_too(scene: Scene) -> None:
    (line,) = lines(1)
    scene.store.put(keys.record(line.clip_uuid), record_of(line).to_bytes())
    scene.write([line])

    finish(Run(store=scene.store, head=scene.head))

    assert digests(scene) == {
        line.clip_uuid: digest_record(*stored(scene, line.clip_uuid)),
    }


def test_a_shard_that_is_looked_at_again_has_no_digest_until_it_is_done(scene: Scene) -> None:
    (line,) = lines(1)
    scene.write([line])
    each = digest_record(record_of(line), "0" * 32).model_dump_json()
    scene.run.done.write(0, RunCounts(clips=2, done=1, lost=1), [each])
    scene.run.conclude(RunCounts(clips=2, done=1, lost=1))
    assert len(digests(scene)) == 1

    scene.run.reopen(RunControl())

    assert (digests(scene), scene.run.done.numbers()) == ({}, set())


@pytest.mark.parametrize("damage", [b"", b"{", b"[]\n", b'{"clip_uuid": 3}\n'])
def test_a_digest_that_cannot_be_read_is_none(scene: Scene, damage: bytes) -> None:
    scene.write(lines(1))
    key = keys.run_digest("r1", scene.head.manifest_version, 0)
    scene.store.put(key, damage)

    assert digests(scene) == {}


def test_a_line_is_short_however_much_its_record_says() -> None:
    record = done_record(0, ["a word " * 1000] * 200)
    failures = [Failure(step="caption", error="TimedOut", message="no " * 1000)] * 500
    windows = [with_caption(window, flags=["truncated", "empty"]) for window in record.windows]
    source = "s3://" + "x" * (MAX_SOURCE_BYTES - 5)
    long = {"windows": windows, "errors": failures, "metadata": {"a": "b" * 9000}}
    record = record.model_copy(update={**long, "source_video": source})

    line = digest_record(record, "0" * 32).model_dump_json(exclude_defaults=True)

    assert len(line) < MAX_SOURCE_BYTES + 700
    found = ClipDigest.model_validate_json(line)
    assert (found.windows, found.errors) == (200, ["TimedOut"])
    assert found.flags == {"truncated": 200, "empty": 200}
