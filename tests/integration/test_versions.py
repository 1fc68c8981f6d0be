"""What an older and a newer version of clipfleet wrote, read by this one: nothing of it is lost."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from clipfleet import keys
from clipfleet.errors import MessageInvalid, NewerVersion, UsageError
from clipfleet.messages import MESSAGE_VERSION, AssembleJob, ClipJob, WindowJob
from clipfleet.options import OPTIONS_VERSION, Options
from clipfleet.queues import CAPTION
from clipfleet.records import SCHEMA_VERSION, Part, digest, find_record
from clipfleet.runs import Feeding, RunControl, RunCounts, RunHead
from clipfleet.settings import read_settings
from clipfleet.store import Store
from clipfleet_producer.runs import control
from clipfleet_producer.runs.model import Run
from clipfleet_producer.runs.store import RunStore, read_options
from clipfleet_producer.runs.writing import write_run
from clipfleet_workers.context import Context
from clipfleet_workers.steps import assemble, idempotent, scratch
from tests.support.feeding import lines, record_of
from tests.support.records import (
    CLIP,
    EDITION,
    HASH,
    JOB,
    PLAN,
    clip_record,
    completed,
    put_run,
    run_head,
    window_plan,
)

WINDOW = WindowJob(run_id="r1", clip_uuid=CLIP, options_hash=HASH, start_frame=0, end_frame=255)
END = AssembleJob(run_id="r1", clip_uuid=CLIP, options_hash=HASH)
OPTIONS = Options()


def later(data: bytes, *, version: str = "version", by: int = 1) -> bytes:
    """The object as a later version would write it."""
    found = json.loads(data)
    return json.dumps({**found, version: found.get(version, 1) + by, "added": [1]}).encode()


def with_field(data: bytes, **fields: Any) -> bytes:
    return json.dumps({**json.loads(data), **fields}).encode()


@pytest.fixture
def context(folder_store: Store) -> Context:
    found = Context(read_settings())
    vars(found).update(store=folder_store, broker=None)
    return found


# Messages.


@pytest.mark.parametrize("job", [JOB, WINDOW, END], ids=lambda job: type(job).__name__)
def test_a_message_of_a_later_version_is_left_to_it_whatever_it_holds(job: Any) -> None:
    payload = {**job.model_dump(), "version": MESSAGE_VERSION + 1, "tenant": "t", "run_id": 7}
    with pytest.raises(NewerVersion, match="left to newer workers"):
        type(job).read(payload)


@pytest.mark.parametrize("job", [JOB, WINDOW, END], ids=lambda job: type(job).__name__)
def test_a_message_of_this_version_with_a_field_that_it_does_not_have_is_refused(job: Any) -> None:
    with pytest.raises(MessageInvalid, match="tenant"):
        type(job).read({**job.model_dump(), "tenant": "t"})


@pytest.mark.parametrize("job", [JOB, WINDOW, END], ids=lambda job: type(job).__name__)
def test_a_message_of_the_second_version_is_of_the_set_without_a_name(job: Any) -> None:
    second = {n: v for n, v in job.model_dump().items() if n != "set_name"} | {"version": 2}

    read = type(job).read(second)

    assert (read, read.set_name) == (job, "")


def test_a_message_of_the_first_version_is_read() -> None:
    payload = JOB.model_dump()
    first = {n: v for n, v in payload.items() if n not in ("version", "replaces")} | {"redo": True}
    assert ClipJob.read(first) == JOB


@pytest.mark.parametrize("version", [0, -1, "3", 2.5, True, None, [2]])
def test_a_version_that_is_none_is_refused(version: object) -> None:
    with pytest.raises(MessageInvalid):
        WindowJob.read({**WINDOW.model_dump(), "version": version})


# Records.


def test_a_record_of_a_later_schema_is_done_and_never_written_over(
    folder_store: Store, context: Context
) -> None:
    precious = later(clip_record().to_bytes(), version="schema_version")
    folder_store.put(keys.record(CLIP), precious)
    folder_store.put(
        keys.Scratch(CLIP, HASH).plan, PLAN.model_copy(update={"windows": []}).to_bytes()
    )
    told = list[str]()
    vars(context)["emit"] = lambda job, **fields: told.append(fields["status"])
    vars(context)["options"] = lambda job: OPTIONS

    kept = find_record(folder_store, CLIP)
    assert kept is not None
    assert kept.newer
    assert kept.is_done({"windows": "f" * 16}), "whatever it was asked for with"
    assert kept.is_done(OPTIONS.recipes, replaces=kept.digest), "and whoever wants it done again"
    assemble.assemble(context, None, END)

    assert folder_store.get(keys.record(CLIP)) == precious
    assert told == ["error"], "as it says of itself"


def test_a_record_of_a_later_schema_that_reads_otherwise_is_done_all_the_same(
    folder_store: Store,
) -> None:
    strange = {"schema_version": SCHEMA_VERSION + 1, "clip": CLIP, "windows": {"0": []}}
    folder_store.put(keys.record(CLIP), json.dumps(strange).encode())

    kept = find_record(folder_store, CLIP)

    assert kept is not None
    assert kept.newer
    assert kept.record.windows == []
    assert "newer clipfleet" in kept.record.warnings[0]


def test_a_run_is_done_with_clips_that_a_later_version_did(folder_store: Store) -> None:
    (line,) = lines(1)
    head = put_run(folder_store, "r2", OPTIONS)
    record = record_of(line, valid=False)
    for replaces in (None, digest(record.to_bytes())):
        folder_store.put(
            keys.record(line.clip_uuid), later(record.to_bytes(), version="schema_version")
        )
        run = Run(head=head.model_copy(update={"retry_failed": True}), store=folder_store)
        found = run.check(line.model_copy(update={"redo": True, "replaces": replaces}))
        assert found.record is not None


def test_a_clip_is_done_again_for_the_record_that_was_meant_and_no_other(
    folder_store: Store,
) -> None:
    (line,) = lines(1)
    bad = record_of(line, valid=False).to_bytes()
    good = record_of(line, run_id="t1").to_bytes()
    run = Run(head=put_run(folder_store, "t2", OPTIONS), store=folder_store)
    again = line.model_copy(update={"replaces": digest(bad)})

    folder_store.put(keys.record(line.clip_uuid), bad)
    assert run.check(again).replaces == digest(bad)
    folder_store.put(keys.record(line.clip_uuid), good)  # by another retry
    assert run.check(again).record is not None


# What lies in scratch.


@pytest.mark.parametrize(
    ("key", "data", "read"),
    [
        (keys.Scratch(CLIP, HASH).plan, PLAN.to_bytes(), lambda c: scratch.stored_plan(c, JOB)),
        (
            keys.Scratch(CLIP, HASH).part(0, 255, CAPTION),
            completed("words").to_bytes(),
            lambda c: scratch.find_part(c, JOB, 0, 255, CAPTION),
        ),
    ],
    ids=["plan", "part"],
)
def test_what_a_later_version_left_in_scratch_is_left_to_it(
    folder_store: Store, context: Context, key: str, data: bytes, read: Callable[[Context], Any]
) -> None:
    folder_store.put(key, later(data))
    with pytest.raises(NewerVersion):
        read(context)

    folder_store.put(key, with_field(data, added=1))
    assert read(context) is not None, "a field more of this version says nothing against it"

    old = {name: value for name, value in json.loads(data).items() if name != "version"}
    folder_store.put(key, json.dumps(old).encode())
    assert read(context) is not None, "and one from before there were versions is read"


def test_a_plan_from_before_messages_had_versions_is_read(
    folder_store: Store, context: Context
) -> None:
    plan = json.loads(PLAN.to_bytes())
    plan["job"] = {
        name: value for name, value in plan["job"].items() if name not in ("version", "replaces")
    } | {"redo": False}
    folder_store.put(keys.Scratch(CLIP, HASH).plan, json.dumps(plan).encode())

    assert scratch.stored_plan(context, JOB) == PLAN


def test_a_window_that_the_plan_does_not_have_is_refused(
    folder_store: Store, context: Context
) -> None:
    plan = PLAN.model_copy(update={"windows": [window_plan(0, 99)]})
    folder_store.put(keys.Scratch(CLIP, HASH).plan, plan.to_bytes())

    def work(*_: object) -> Part:
        raise AssertionError("it was worked on")

    with pytest.raises(MessageInvalid, match="no window of frames 0 to 255"):
        idempotent.do_once(context, CAPTION, WINDOW, work)


# Options and runs.


def test_options_of_a_later_version_are_left_to_it(folder_store: Store, context: Context) -> None:
    newer = later(OPTIONS.to_json().encode())
    folder_store.put(keys.run_options("r1"), newer)

    with pytest.raises(NewerVersion):
        context.options(WINDOW)
    with pytest.raises(UsageError, match="options of version 2 are left to a newer clipfleet"):
        read_options(folder_store, "r1")
    with pytest.raises(UsageError, match="newer clipfleet"):
        write_run(folder_store, "r1", OPTIONS, lines(1))
    assert folder_store.get(keys.run_options("r1")) == newer


def test_options_of_this_version_are_read_as_before_they_had_one(folder_store: Store) -> None:
    assert json.loads(OPTIONS.to_json())["version"] == OPTIONS_VERSION
    assert Options.from_json(OPTIONS.model_dump_json().encode()) == OPTIONS
    assert Options.from_json(OPTIONS.to_json().encode()) == OPTIONS
    with pytest.raises(ValueError, match="later"):
        Options.from_json(with_field(OPTIONS.to_json().encode(), later=1))


@pytest.mark.parametrize("data", [b'{"caption": {"prompt_text": "\\ud800"}}', b"[]", b"{", b"1"])
def test_options_that_are_none_of_any_version_are_refused_as_such(data: bytes) -> None:
    with pytest.raises(ValidationError):
        Options.from_json(data)


def test_a_run_of_a_later_version_is_named_and_left_alone(folder_store: Store) -> None:
    newer = later(run_head("r1", OPTIONS).to_bytes())
    folder_store.put(keys.run_head("r1"), newer)
    folder_store.put(keys.run_options("r1"), OPTIONS.to_json().encode())

    with pytest.raises(UsageError, match="a RunHead of version 3 is left to a newer clipfleet"):
        RunStore.open(folder_store, "r1")
    with pytest.raises(UsageError, match="newer clipfleet"):
        write_run(folder_store, "r1", OPTIONS, lines(1))
    assert folder_store.get(keys.run_head("r1")) == newer


def test_what_a_later_version_says_of_how_a_run_is_fed_is_kept(folder_store: Store) -> None:
    head = run_head("r1", OPTIONS)
    folder_store.put(keys.run_head("r1"), with_field(head.to_bytes(), later=1))
    state = with_field(RunControl(priority=3).to_bytes(), until="2027-01-01")
    folder_store.put(keys.active("r1", EDITION), state)

    control.pause(RunStore.open(folder_store, "r1"))

    kept = json.loads(folder_store.get(keys.active("r1", EDITION)))
    assert (kept["feeding"], kept["priority"], kept["until"]) == (Feeding.PAUSED, 3, "2027-01-01")


def test_counts_of_a_shard_of_a_later_version_are_read_with_what_is_known(
    folder_store: Store,
) -> None:
    head: RunHead = run_head("r1", OPTIONS)
    data = with_field(RunCounts(clips=2, done=2).to_bytes(), judged=2)
    folder_store.put(keys.run_done("r1", EDITION, 0), data)

    found = RunStore(store=folder_store, head=head).done.counts(0)

    assert found is not None
    assert found.done == 2
