"""Whatever workers, messages and scratch do, every clip comes to one whole record.

Hypothesis tries to break it: see `Protocol`'s rules. For a longer search than CI's, raise
`max_examples` below; for another, take `derandomize` away. A failure is not made smaller, which
takes minutes: take `phases` away for that.
"""

import itertools
import logging
import os
import tempfile
from typing import Any

import celery
import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from clipfleet import keys
from clipfleet.errors import ObjectMissing
from clipfleet.messages import AssembleJob, ClipJob, WindowJob
from clipfleet.queues import ASSEMBLE, CAPTION, ENHANCE, PREPARE, PREVIEW, QUEUES
from clipfleet.records import ClipRecord, ManifestLine, Part, find_record
from clipfleet.settings import read_settings
from clipfleet.store.folder import FolderStore
from clipfleet_producer.runs import model
from clipfleet_workers.context import Context
from clipfleet_workers.steps import assemble, idempotent, prepare
from tests.support.records import run_head
from tests.unit.protocol import Broker, Ending, Message, SteppedStore, Worker
from tests.unit.protocol_job import LINES, OPTIONS, WORK, cut_clip, faults_of, lost_its_parts

SETTINGS = hypothesis.settings(
    max_examples=100,
    stateful_step_count=20,
    derandomize=True,
    print_blob=False,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),  # which mind a busy machine
)

FEEDS = 20
number, few = st.integers(0, 30), st.integers(0, 9)


class Protocol(RuleBasedStateMachine):
    """Three runs over two clips, and all that may befall them."""

    def __init__(self) -> None:
        super().__init__()
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(celery, "chain", Broker.chain)
        self._patch.setattr(celery, "chord", Broker.chord)
        self._patch.setattr(prepare, "cut_clip", cut_clip)
        self._patch.setattr(os, "fsync", lambda _: None)  # nobody pulls the plug here
        self._folder = tempfile.TemporaryDirectory()
        self._inner = FolderStore(self._folder.name)
        self._inner.prepare()
        self._store = SteppedStore(self._inner, self._wrote)
        self._context = Context(read_settings(store=self._folder.name))
        vars(self._context).update(store=self._store, broker=SilentBroker())
        self._broker = Broker()
        self._app: Any = self._broker
        self._workers: list[Worker] = []
        self._wrong: list[str] = []
        self._broker_loses = self._store_loses = False
        self._runs = {
            name: model.Run(head=run_head(name, options), store=self._store)
            for name, options in OPTIONS.items()
        }
        self._following: list[tuple[str, ManifestLine]] = []
        for name, options in OPTIONS.items():
            self._inner.put(keys.run_options(name), options.to_json().encode())
        self._begin("first")

    @initialize(broker=st.booleans(), store=st.booleans(), prepared=st.booleans())
    def what_is_lost(self, broker: bool, store: bool, prepared: bool) -> None:
        """Where the broker loses messages, scratch may stay for its lifecycle to clear. Where parts
        are taken out of scratch or asked for early, a clip may be given up for want of them.
        """
        self._broker_loses, self._store_loses = broker, store
        if prepared:  # most can go wrong from here on
            self.a_queue_is_worked_off(PREPARE)

    def _begin(self, name: str, *, redo: bool = False) -> None:
        for line in LINES:
            kept = find_record(self._inner, line.clip_uuid) if redo else None
            replaces = kept.digest if kept else None
            self._following.append((name, line.model_copy(update={"replaces": replaces})))
            if redo:  # as a feeder does at first
                self._inner.delete_prefix(keys.Scratch(line.clip_uuid, OPTIONS[name].hash).prefix)
            self._feed(*self._following[-1])

    def _feed(self, name: str, line: ManifestLine) -> None:
        clip = model.CheckedClip(line=line, record=None, replaces=line.replaces)
        self._runs[name].feed(self._app, clip)

    def _wrote(self, key: str, data: bytes) -> None:
        """Look at each record as it is written."""
        if not key.startswith(keys.RECORDS):
            return
        record = ClipRecord.model_validate_json(data)
        before = self._record(key)
        if before and before.windows:
            if not record.windows:
                self._wrong.append("a whole record was replaced by one without parts")
            if not before.recipes.items() <= record.recipes.items():
                self._wrong.append(f"of {before.recipes} only {record.recipes} are left")
        if not lost_its_parts(record):
            self._wrong += faults_of(record)

    def _record(self, key: str) -> ClipRecord | None:
        try:
            return ClipRecord.model_validate_json(self._inner.get(key))
        except ObjectMissing:
            return None

    def _step(self, message: Message) -> str | None:
        """What `workers/clipfleet_workers/delivery/tasks.py` does on each queue."""
        if message.queue == PREPARE:
            # "again" clears scratch; "other" replaces records, by which late workers are known.
            lost = self._store_loses or self._has_begun("again") or self._has_begun("other")
            if message.payload["attempt"] > 1 and not lost:
                self._wrong.append("parts were missing although nothing was lost")
            prepare.prepare(self._context, self._app, ClipJob.read(message.payload))
        elif message.queue == ASSEMBLE:
            assemble.assemble(self._context, self._app, AssembleJob.read(message.payload))
        else:
            job = WindowJob.read(message.payload)
            return idempotent.do_once(self._context, message.queue, job, WORK[message.queue])
        return None

    # What workers do.

    def _waiting(self) -> bool:
        return bool(self._broker.waiting)

    def _working(self) -> bool:
        return bool(self._workers)

    def _take(self, which: int) -> Worker:
        worker = Worker(self._broker, self._broker.take(which), self._step)
        self._workers.append(worker)
        return worker

    def _worker(self, which: int) -> Worker:
        return self._workers[which % len(self._workers)]

    def _look_at(self, worker: Worker) -> None:
        if not worker.alive:
            self._workers.remove(worker)
            self._wrong += map(repr, worker.raised)

    @precondition(lambda self: self._waiting() and len(self._workers) < 4)
    @rule(which=number, operations=few)
    def begin_a_task(self, which: int, operations: int) -> None:
        worker = self._take(which)
        worker.advance(operations)
        self._look_at(worker)

    @precondition(_waiting)
    @rule(queue=st.sampled_from(QUEUES))
    def a_queue_is_worked_off(self, queue: str) -> None:
        for message in [m for m in self._broker.waiting if m.queue == queue]:
            worker = self._take(self._broker.waiting.index(message))
            worker.advance()
            self._look_at(worker)

    @precondition(_waiting)
    @rule()
    def all_queues_are_worked_off(self) -> None:
        """The latest message first: what comes too early is done too early."""
        while self._broker.waiting and not self._wrong:
            worker = self._take(len(self._broker.waiting) - 1)
            worker.advance()
            self._look_at(worker)

    @precondition(_working)
    @rule(which=number, operations=few)
    def go_on(self, which: int, operations: int) -> None:
        worker = self._worker(which)
        worker.advance(operations)
        self._look_at(worker)

    @precondition(_working)
    @rule(which=number, how=st.sampled_from(Ending))
    def end_a_worker(self, which: int, how: Ending) -> None:
        worker = self._worker(which)
        worker.end(how)
        self._look_at(worker)

    @precondition(lambda self: self._waiting() and len(self._workers) < 4)
    @rule(which=number, operations=few)
    def a_worker_is_overtaken(self, which: int, operations: int) -> None:
        """It stands still, another does its task, and everything goes on from there."""
        worker = self._take(which)
        worker.advance(operations)
        self._look_at(worker)
        if worker.message in self._broker.unacked:
            self._broker.deliver_again(worker.message)
        self.all_queues_are_worked_off()

    # What becomes of messages.

    @precondition(lambda self: self._broker.unacked)
    @rule(which=number)
    def a_lease_runs_out(self, which: int) -> None:
        self._broker.deliver_again(self._broker.unacked[which % len(self._broker.unacked)])

    @precondition(_waiting)
    @rule(which=number)
    def a_message_is_doubled(self, which: int) -> None:
        self._broker.waiting.append(self._broker.waiting[which % len(self._broker.waiting)])

    @precondition(lambda self: self._broker_loses and self._waiting())
    @rule(which=number)
    def a_message_is_lost(self, which: int) -> None:
        self._broker.waiting.pop(which % len(self._broker.waiting))

    @precondition(lambda self: self._broker_loses)
    @rule()
    def the_broker_is_emptied(self) -> None:
        self._broker.forget()

    @precondition(lambda self: self._store_loses and self._broker.chords)
    @rule(which=number)
    def a_chord_ends_too_early_or_twice(self, which: int) -> None:
        body = self._broker.chords[which % len(self._broker.chords)].body
        self._broker.waiting.append(Message(body.queue, body.payload))

    # What becomes of the store, and what producers do.

    @precondition(lambda self: self._store_loses)
    @rule(which=number)
    def scratch_is_deleted(self, which: int) -> None:
        found = sorted(item.key for item in self._inner.list(keys.SCRATCH))
        if found:
            self._inner.delete_prefix(found[which % len(found)].rpartition("/")[0] + "/")

    @precondition(lambda self: not self._has_begun("other"))
    @rule()
    def a_run_with_other_options_begins(self) -> None:
        self._begin("other")

    @precondition(lambda self: not self._has_begun("again") and self._all_have_records())
    @rule()
    def a_run_does_all_again(self) -> None:
        self._begin("again", redo=True)

    def _has_begun(self, run: str) -> bool:
        return any(name == run for name, _ in self._following)

    def _all_have_records(self) -> bool:
        return len(list(self._inner.list(keys.RECORDS))) == len(LINES)

    @rule(which=number)
    def a_clip_is_fed_again(self, which: int) -> None:
        name, line = self._following[which % len(self._following)]
        self._feed(name, line)

    # What must hold.

    @invariant()
    def nothing_went_wrong(self) -> None:
        assert not self._wrong, self._wrong

    def teardown(self) -> None:
        try:
            self._come_to_an_end()
        finally:
            for worker in list(self._workers):
                worker.end(Ending.DEATH)
            self._patch.undo()
            self._folder.cleanup()

    def _come_to_an_end(self) -> None:
        """Without further trouble, and followed as `clipfleet feed` does."""
        for _ in range(FEEDS):
            self._finish()
            self._following = [
                (name, line)
                for name, line in self._following
                if self._runs[name].check(line).record is None
            ]
            if not self._following:
                break
            for name, line in self._following:
                self._feed(name, line)
        self.nothing_went_wrong()
        assert not self._following, f"without a record: {self._following}"
        records = {item.key for item in self._inner.list(keys.RECORDS)}
        assert records == {keys.record(line.clip_uuid) for line in LINES}
        left = sorted(item.key for item in self._inner.list(keys.SCRATCH))
        assert self._broker_loses or not left, f"left in scratch: {left}"

    def _finish(self) -> None:
        """Have every message done, those of slow workers by others first."""
        while (self._workers or self._broker.unacked or self._broker.waiting) and not self._wrong:
            for message in list(self._broker.unacked):
                self._broker.deliver_again(message)
            self.all_queues_are_worked_off()
            for worker in list(self._workers):
                worker.advance()
                self._look_at(worker)


class SilentBroker:
    """Takes events and keeps none."""

    def emit(self, *_: Any) -> None: ...


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Trouble is what these tests are made of."""
    caplog.set_level(logging.CRITICAL, "clipfleet")


def test_every_clip_comes_to_one_whole_record() -> None:
    run_state_machine_as_test(Protocol, settings=SETTINGS)


def test_a_part_that_comes_after_the_record_is_taken_back() -> None:
    protocol = Protocol()
    protocol.a_queue_is_worked_off(PREPARE)

    protocol.a_worker_is_overtaken(which=0, operations=3)  # it has read the frames by then

    protocol.teardown()  # where it goes on


def test_a_part_that_comes_late_is_taken_back_by_whoever_finds_it_next() -> None:
    protocol = Protocol()
    protocol.a_queue_is_worked_off(PREPARE)
    protocol.a_worker_is_overtaken(which=0, operations=3)
    protocol.go_on(0, 1)  # it has written its part

    protocol.end_a_worker(0, Ending.FAILURE)  # the look whether it is late fails, and is retried

    protocol.teardown()


def test_a_whole_record_stays_though_a_second_assemble_finds_its_parts_cleared_away() -> None:
    protocol = Protocol()
    protocol.what_is_lost(broker=False, store=True, prepared=True)
    for chord in (0, 1):  # the clip is at its last attempt
        protocol.a_chord_ends_too_early_or_twice(chord)
        protocol.a_queue_is_worked_off(ASSEMBLE)
        protocol.a_queue_is_worked_off(PREPARE)
    for queue in (CAPTION, ENHANCE, PREVIEW):
        protocol.a_queue_is_worked_off(queue)

    protocol.a_worker_is_overtaken(which=0, operations=4)  # it has seen that there is no record

    protocol.teardown()


def test_a_step_that_is_delivered_twice_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    real, done = WORK[PREVIEW], list[tuple[str, int]]()

    def preview(context: Context, job: WindowJob) -> Part:
        done.append((job.clip_uuid, job.start_frame))
        return real(context, job)

    monkeypatch.setitem(WORK, PREVIEW, preview)
    protocol = Protocol()
    protocol.a_queue_is_worked_off(PREPARE)
    waiting = protocol._broker.waiting
    waiting += [message for message in waiting if message.queue == PREVIEW]
    protocol.a_queue_is_worked_off(PREVIEW)

    assert len(done) == len(set(done)) > 0
    protocol.teardown()


def test_results_that_differ_from_run_to_run_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault planted in the protocol: a task that is done twice counts twice for its chord."""
    real, numbers = idempotent.do_once, itertools.count()
    monkeypatch.setattr(idempotent, "do_once", lambda *a: f"{real(*a)} {next(numbers)}")

    protocol = Protocol()
    protocol.a_queue_is_worked_off(PREPARE)
    waiting = protocol._broker.waiting
    waiting += [message for message in waiting if message.queue == PREVIEW]
    for queue in (PREVIEW, ASSEMBLE, PREPARE):
        protocol.a_queue_is_worked_off(queue)

    with pytest.raises(AssertionError, match="parts were missing although nothing was lost"):
        protocol.nothing_went_wrong()
    with pytest.raises(AssertionError):
        protocol.teardown()
