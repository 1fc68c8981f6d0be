"""A run over a clip that has a record makes what it lacks, and nothing else: counted where it is
made, with the real steps in their order.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import celery
import pytest

from clipfleet import keys
from clipfleet.messages import AssembleJob, ClipJob, WindowJob
from clipfleet.options import Options
from clipfleet.queues import ASSEMBLE, CAPTION, ENHANCE, PREPARE, PREVIEW
from clipfleet.records import ClipRecord, Status, digest, read_record
from clipfleet.settings import read_settings
from clipfleet.store import Store
from clipfleet_workers.context import Context
from clipfleet_workers.inference.engine import Answer, Engine, EngineConfig, Prompt
from clipfleet_workers.inference.loaded_model import LoadedModel, Slots
from clipfleet_workers.media.packs import Pack
from clipfleet_workers.steps import assemble, idempotent, prepare
from clipfleet_workers.steps.caption import caption
from clipfleet_workers.steps.enhance import enhance
from clipfleet_workers.steps.preview import preview
from tests.support import clips
from tests.support.records import words
from tests.unit.protocol import Broker, Message

CLIP = "6ba7b810-9dad-51d1-80b4-00c04fd430c8"
MINI = {"model_variant": "mini"}
WORK = {CAPTION: caption, ENHANCE: enhance, PREVIEW: preview}
WINDOWS = 2  # of the clip of 400 frames


class CountingEngine(Engine):
    """Answers with what it is asked, and counts; of `failing`, the prompts' texts, it fails."""

    name, revision = "counting 1", "0"

    def __init__(self, config: EngineConfig | None = None) -> None:
        self.with_frames, self.without = 0, 0
        self.failing: set[str] = set()

    def generate(self, prompt: Prompt, *, timeout_s: float) -> Answer:
        if prompt.video is not None:
            self.with_frames += 1
        else:
            self.without += 1
        if prompt.user in self.failing:
            raise ValueError("it cannot do this one")
        text = f"Seen: {prompt.user}" if prompt.video else f"Better: {prompt.user}"
        return Answer(text=text, finish_reason="stop", prompt_tokens=9, output_tokens=3)

    def interrupt(self) -> None: ...

    def close(self) -> None: ...


class SilentBroker:
    def emit(self, *_: object, **__: object) -> None: ...


class Runs:
    """Runs over one clip, one after the other, whose messages are worked off here."""

    def __init__(self, store: Store, clip: Path) -> None:
        self.store, self.clip = store, clip
        self.engine, self.done = CountingEngine(), Counter[str]()
        self.context = Context(read_settings(store=store.uri))
        model = LoadedModel(
            self.engine,
            Slots({CAPTION: 4, ENHANCE: 4}),
            variant="mini",
            fp8=False,
            repository="mini",
            revision="0",
            timeout_s=60.0,
        )
        vars(self.context).update(store=store, broker=SilentBroker())
        self.context.models.update({CAPTION: model, ENHANCE: model})
        self._broker: Any = Broker()

    def run(self, *, replaces: str | None = None, **groups: dict[str, Any]) -> ClipRecord:
        """Do the clip with these options; what was done of it is counted in `done`, by queue."""
        caption_options = {**MINI, **groups.pop("caption", {})}
        asked = Options.model_validate({**groups, "caption": caption_options})
        run_id = f"run-{asked.hash}"
        self.store.put(keys.run_options(run_id), asked.to_json().encode())
        self.done.clear()
        self.engine.with_frames = self.engine.without = 0
        job = ClipJob(
            run_id=run_id,
            clip_uuid=CLIP,
            options_hash=asked.hash,
            source=self.clip.as_uri(),
            replaces=replaces,
        )
        prepare.prepare(self.context, self._broker, job)
        while self._broker.waiting:
            self._work_off(self._broker.take(0))
        assert list(self.store.list(keys.SCRATCH)) == []
        return self.record()

    def _work_off(self, message: Message) -> None:
        self.done[message.queue] += 1
        assert message.queue != PREPARE, "nothing is missing"
        if message.queue == ASSEMBLE:
            job = AssembleJob.read(message.payload)
            assemble.assemble(self.context, self._broker, job)
        else:
            window = WindowJob.read(message.payload)
            idempotent.do_once(self.context, message.queue, window, WORK[message.queue])
        if message.then:
            first, *then = message.then
            follows = (first.queue, first.payload, tuple(then), message.chord, message.index)
            self._broker.send(Message(*follows))
        else:
            self._broker.count(message, idempotent.DONE)

    def record(self) -> ClipRecord:
        return read_record(self.store.get(keys.record(CLIP)))

    @property
    def asked(self) -> tuple[int, int]:
        """How often the engine was asked, with frames and with text alone."""
        return self.engine.with_frames, self.engine.without


@pytest.fixture
def runs(folder_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.setattr(celery, "chain", Broker.chain)
    monkeypatch.setattr(celery, "chord", Broker.chord)
    path = tmp_path / "clip.mp4"
    path.write_bytes(clips.encode(400, options={"preset": "ultrafast"}))
    return Runs(folder_store, path)


ALONE = {"generate_captions": False}
ENHANCED = {"enabled": True, "model_variant": "same"}


def test_previews_alone_ask_no_model_and_name_none(runs: Runs) -> None:
    record = runs.run(prepare=ALONE)

    assert runs.done == {PREVIEW: WINDOWS, ASSEMBLE: 1}
    assert runs.asked == (0, 0)
    assert (record.valid, record.models, record.prompts) == (True, {}, {})
    assert record.recipes.keys() == {"windows", "preview"}
    for window in record.windows:
        assert (window.status, window.captions) == (Status.OK, {})
        assert window.preview_status is Status.OK
        assert window.frames.indices == [], "no model saw any"


def test_previews_then_captions_then_enhancement_make_each_once(runs: Runs) -> None:
    previews = [w.preview for w in runs.run(prepare=ALONE).windows]

    captioned = runs.run()
    assert runs.done == {CAPTION: WINDOWS, ASSEMBLE: 1}
    assert runs.asked == (WINDOWS, 0)

    enhanced = runs.run(enhance=ENHANCED)
    assert runs.done == {ENHANCE: WINDOWS, ASSEMBLE: 1}
    assert runs.asked == (0, WINDOWS)

    assert enhanced.valid
    assert [w.preview for w in enhanced.windows] == previews
    for was, window in zip(captioned.windows, enhanced.windows, strict=True):
        assert was.caption
        assert window.caption
        assert window.caption.model_copy(update={"enhanced": None}) == was.caption
        assert words(window.enhanced) == f"Better: {words(was.caption)}"
        assert window.frames == was.frames
        assert len(window.frames.indices) >= 4

    assert runs.run(enhance=ENHANCED) == enhanced
    assert runs.done == {}


def test_a_clips_own_prompt_leaves_its_previews_alone(runs: Runs) -> None:
    runs.run(enhance=ENHANCED)

    record = runs.run(enhance=ENHANCED, caption={"prompt_text": "What colour?"})

    assert runs.done == {CAPTION: WINDOWS, ENHANCE: WINDOWS, ASSEMBLE: 1}
    assert [words(w.enhanced) for w in record.windows] == ["Better: Seen: What colour?"] * WINDOWS


def test_other_previews_leave_captions_alone(runs: Runs) -> None:
    runs.run(enhance=ENHANCED)

    runs.run(enhance=ENHANCED, preview={"target_height": 64})

    assert runs.done == {PREVIEW: WINDOWS, ASSEMBLE: 1}
    assert runs.asked == (0, 0)


def test_other_windows_are_made_whole(runs: Runs) -> None:
    runs.run()

    runs.run(prepare={"window_size": 100, "remainder_threshold": 50})

    assert runs.done == {CAPTION: 4, PREVIEW: 4, ASSEMBLE: 1}


def test_what_failed_is_made_again_beside_what_is_missing(runs: Runs) -> None:
    runs.run()
    damaged = runs.record()
    first, second = damaged.windows
    assert first.caption
    failed = first.caption.model_copy(update={"status": Status.ERROR, "text": None})
    windows = [first.model_copy(update={"captions": {"default": failed}}), second]
    changed = damaged.model_copy(update={"windows": windows})
    runs.store.put(keys.record(CLIP), changed.to_bytes())

    record = runs.run(enhance=ENHANCED)

    assert runs.done == {CAPTION: 1, ENHANCE: WINDOWS, ASSEMBLE: 1}
    assert runs.asked == (1, WINDOWS)
    assert record.valid


def test_a_source_that_was_replaced_is_done_anew(runs: Runs) -> None:
    runs.run(prepare=ALONE)
    runs.clip.write_bytes(clips.encode(400, options={"preset": "ultrafast", "crf": "40"}))

    record = runs.run()

    assert runs.done == {CAPTION: WINDOWS, PREVIEW: WINDOWS, ASSEMBLE: 1}
    assert record.num_bytes == runs.clip.stat().st_size


def test_a_record_of_other_frames_than_the_file_has_is_not_built_on(runs: Runs) -> None:
    record = runs.run()
    fewer = record.model_copy(update={"windows": record.windows[:1]})
    runs.store.put(keys.record(CLIP), fewer.to_bytes())

    again = runs.run(enhance=ENHANCED)

    assert runs.done == {CAPTION: 2, ENHANCE: 2, PREVIEW: 2, ASSEMBLE: 1}
    assert len(again.windows) == WINDOWS


def test_a_clip_that_is_done_again_is_done_whole(runs: Runs) -> None:
    record = runs.run()

    runs.run(replaces=digest(record.to_bytes()))

    assert runs.done == {CAPTION: WINDOWS, PREVIEW: WINDOWS, ASSEMBLE: 1}


def test_a_record_that_is_deleted_meanwhile_is_written_whole(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    was = runs.run()
    real = assemble.assemble

    def assembled(*arguments: Any) -> None:
        runs.store.delete(keys.record(CLIP))
        real(*arguments)

    monkeypatch.setattr(assemble, "assemble", assembled)
    record = runs.run(enhance=ENHANCED)

    assert runs.asked == (0, WINDOWS)
    for before, window in zip(was.windows, record.windows, strict=True):
        assert words(window.caption) == words(before.caption)
        assert (window.preview, window.frames) == (before.preview, before.frames)


def test_what_is_not_made_has_no_packs(runs: Runs) -> None:
    record = runs.run(prepare=ALONE)
    asked = Options.model_validate({"caption": MINI})
    runs.store.put(keys.run_options("r"), asked.to_json().encode())
    job = ClipJob(run_id="r", clip_uuid=CLIP, options_hash=asked.hash, source=runs.clip.as_uri())

    plan = prepare.cut_clip(runs.context, job, asked, record)

    assert [window.kept for window in plan.windows] == [[PREVIEW]] * WINDOWS
    for window in plan.windows:
        span = (window.start_frame, window.end_frame)
        frames = Pack.from_bytes(runs.store.get(job.scratch.frames(*span)), key="")
        assert frames.indices == window.frame_indices
        assert not runs.store.exists(job.scratch.preview_frames(*span))
