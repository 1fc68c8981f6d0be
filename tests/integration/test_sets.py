"""Sets in a store: no run loses another's captions, whichever comes first."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest
from pydantic import SecretStr

from clipfleet import keys
from clipfleet.errors import SetConflict, UsageError
from clipfleet.options import (
    CaptionOptions,
    EnhanceOptions,
    Options,
    PrepareOptions,
    PreviewOptions,
)
from clipfleet.records import ClipRecord, read_record
from clipfleet.runs import RunControl
from clipfleet.sets import SetFile
from clipfleet.settings import Settings, read_settings
from clipfleet.store import Store
from clipfleet_producer.feeding.submission import RunRequest, SubmittedRun, create_run
from clipfleet_producer.runs.control import resume
from clipfleet_producer.runs.model import Run
from clipfleet_producer.runs.sets import check_is_of_set, find_set
from clipfleet_workers.steps.assemble import build_record, put_record
from tests.support.feeding import Scene
from tests.support.records import PLAN, completed, previewed
from tests.support.s3_server import S3Server

PROMPTS = ("What moves?", "Who is there?", "Where is it?")
CLIPS = 3


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder of clips that nobody looks into."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(CLIPS):
        (folder / f"{number}.mp4").write_text(f"clip {number}")
    return folder


@pytest.fixture
def settings(store: Store, request: pytest.FixtureRequest) -> Settings:
    """Those of a producer of each kind of store in turn."""
    return settings_of(store, request)


def settings_of(store: Store, request: pytest.FixtureRequest) -> Settings:
    if not store.is_remote:
        return read_settings(store=store.uri)
    server: S3Server = request.getfixturevalue("s3_server")
    return read_settings(
        store=store.uri,
        s3_endpoint=server.endpoint,
        s3_access_key=server.access_key,
        s3_secret_key=server.secret_key,
    )


def asking(prompt: str | None = None, **more: object) -> Options:
    """What a run gives that has this prompt."""
    given = {} if prompt is None else {"prompt_text": prompt}
    return Options.model_validate({"caption": CaptionOptions.model_validate(given), **more})


class Producer:
    """Submits runs of a folder of clips, and does them as workers would."""

    def __init__(self, settings: Settings, clips: Path) -> None:
        self.settings, self.clips = settings, clips
        self.store = settings.open_store()
        self.runs = 0

    def submit(
        self, options: Options, set_name: str = "", *, overwrite: bool = False
    ) -> SubmittedRun:
        self.runs += 1
        request = RunRequest(
            names=[str(self.clips)],
            run_id=f"r{self.runs}",
            set_name=set_name,
            overwrite=overwrite,
        )
        return create_run(request, self.settings, options)

    def run(self, options: Options, set_name: str = "", *, overwrite: bool = False) -> int:
        """Submit a run, do its clips, and say how many there were to do."""
        return self.work(self.submit(options, set_name, overwrite=overwrite))

    def work(self, submitted: SubmittedRun) -> int:
        run = submitted.run
        todo = [
            checked.line
            for shard in range(run.head.shards)
            for checked in run.check_shard(shard, records=0)
            if checked.counts is None
        ]
        for line in todo:
            made = made_of(line.clip_uuid, run, submitted.options)
            put_record(self.store, made)
        return len(todo)

    def captions(self, set_name: str = "") -> set[str]:
        """All captions of a set's records, each of which must be whole."""
        found = [*self.records(set_name)]
        assert len(found) == CLIPS
        assert all(record.valid for record in found)
        said = {window.caption and window.caption.text for r in found for window in r.windows}
        return {text for text in said if text}

    def records(self, set_name: str = "") -> Iterator[ClipRecord]:
        for info in self.store.list(keys.in_set(set_name) + keys.RECORDS):
            yield read_record(self.store.get(info.key))


def made_of(clip_uuid: str, run: Run, options: Options) -> ClipRecord:
    """What workers make of a clip of the run."""
    ours = {
        "clip_uuid": clip_uuid,
        "run_id": run.run_id,
        "set_name": run.head.set_name,
        "options_hash": run.head.options_hash,
    }
    parts = []
    for window in PLAN.windows:
        found = {"caption": completed(f"Asked: {options.caption.prompt_text}")}
        if options.enhance.enabled:
            found["enhance"] = completed("Enhanced.", variant="qwen_lm")
        if options.prepare.generate_previews:
            found["preview"] = previewed(window.start_frame, window.end_frame)
        parts.append(found)
    plan = PLAN.model_copy(update={"job": PLAN.job.model_copy(update=ours), "num_bytes": 6})
    return build_record(plan, parts, options=options)


@pytest.fixture
def producer(settings: Settings, clips: Path) -> Producer:
    return Producer(settings, clips)


@pytest.mark.parametrize("prompts", permutations(PROMPTS), ids=lambda p: "-".join(w[:3] for w in p))
def test_of_three_prompts_in_any_order_no_caption_is_lost(
    producer: Producer, prompts: tuple[str, str, str]
) -> None:
    sets = {"": prompts[0], "second": prompts[1], "third": prompts[2]}
    begun: list[str] = []
    for name, prompt in sets.items():
        for other in begun:
            with pytest.raises(SetConflict) as refused:
                producer.submit(asking(prompt), other)
            assert f"'{sets[other]}' there, '{prompt}' here" in str(refused.value)
        assert producer.run(asking(prompt), name) == CLIPS
        begun.append(name)
    for name, prompt in sets.items():
        assert producer.captions(name) == {f"Asked: {prompt}"}
        assert producer.run(asking(), name) == 0, "the set has the prompt"
        assert producer.run(asking(prompt), name) == 0


def test_a_refused_run_leaves_nothing_behind(producer: Producer) -> None:
    producer.run(asking(PROMPTS[0]))
    before = sorted((info.key, info.etag) for info in producer.store.list(""))
    with pytest.raises(SetConflict):
        producer.submit(asking(PROMPTS[1]))
    assert sorted((info.key, info.etag) for info in producer.store.list("")) == before


def test_overwriting_replaces_records_as_they_are_done_again(producer: Producer) -> None:
    producer.run(asking(PROMPTS[0]))
    submitted = producer.submit(asking(PROMPTS[1]), overwrite=True)
    assert producer.captions() == {f"Asked: {PROMPTS[0]}"}
    assert producer.work(submitted) == CLIPS
    assert producer.captions() == {f"Asked: {PROMPTS[1]}"}
    assert producer.run(asking()) == 0
    with pytest.raises(SetConflict):
        producer.submit(asking(PROMPTS[0]))


def test_enhancement_is_added_to_captions_and_both_are_the_sets_from_then_on(
    producer: Producer,
) -> None:
    quiet = PrepareOptions(generate_previews=False)
    producer.run(asking(PROMPTS[0], prepare=quiet))
    submitted = producer.submit(asking(enhance=EnhanceOptions(enabled=True)))
    assert submitted.plan.added == ["enhanced:default"]
    assert producer.work(submitted) == CLIPS
    assert producer.captions() == {f"Asked: {PROMPTS[0]}"}
    more = producer.submit(
        asking(prepare=PrepareOptions(generate_previews=True), preview=PreviewOptions(quality=90))
    )
    assert more.plan.added == ["preview"]
    assert producer.work(more) == CLIPS
    found = find_set(producer.store, "")
    assert found is not None
    assert set(found.products) == {"windows", "preview", "caption:default", "enhanced:default"}
    assert found.options.preview.quality == 90
    assert found.run_id == "r1"


def test_everything_of_a_set_lies_below_its_folder(producer: Producer) -> None:
    producer.run(asking(PROMPTS[0]), "terse")
    names = {info.key.partition("/")[0] for info in producer.store.list("")}
    assert names <= {"sets", "runs", "active", "scratch"}
    found = SetFile.read(producer.store.get("sets/terse/set.json"))
    assert (found.name, found.run_id) == ("terse", "r1")
    assert all(record.set == "terse" for record in producer.records("terse"))


def test_a_runs_name_is_taken_in_every_set(producer: Producer) -> None:
    producer.run(asking(PROMPTS[0]))
    producer.runs = 0
    with pytest.raises(UsageError, match=r"run r1 is there already, in set \(default\)"):
        producer.submit(asking(PROMPTS[0]), "other")
    assert find_set(producer.store, "other") is None


@pytest.mark.parametrize("same", [True, False])
def test_of_two_producers_that_begin_a_set_at_once_one_is_refused_or_they_agree(
    store: Store, settings: Settings, clips: Path, same: bool
) -> None:
    count, every_s = 8, 0.4
    start_at = str(time.time() + 4)
    env = {"CLIPFLEET_STORE": settings.store, "PATH": "/usr/bin:/bin"}
    if settings.s3_endpoint and settings.s3_access_key:
        secret = settings.s3_secret_key or SecretStr("")
        env["CLIPFLEET_S3_ENDPOINT"] = settings.s3_endpoint
        env["CLIPFLEET_S3_ACCESS_KEY"] = settings.s3_access_key
        env["CLIPFLEET_S3_SECRET_KEY"] = secret.get_secret_value()
    command = [sys.executable, "-m", "tests.support.producer_of_sets"]
    producers = [
        subprocess.Popen(
            [*command, who, prompt, str(clips / "0.mp4"), str(count), start_at, str(every_s)],
            env=env,
            stdout=subprocess.PIPE,
            text=True,
        )
        for who, prompt in (("a", PROMPTS[0]), ("b", PROMPTS[0] if same else PROMPTS[1]))
    ]
    said = [each.communicate(timeout=120)[0].splitlines() for each in producers]
    assert [each.returncode for each in producers] == [0, 0]
    for number, both in enumerate(zip(*said, strict=True)):
        found = find_set(store, f"set-{number}")
        assert found is not None
        begun = [line for line in both if line.startswith("begun ")]
        assert begun == [f"begun {found.options.caption.prompt_text}"] * (2 if same else 1)
        if not same:
            (refused,) = [line for line in both if line.startswith("refused ")]
            assert "--captioning-prompt-text is" in refused


def test_a_run_of_options_that_its_set_has_no_longer_is_fed_no_more(
    scene: Scene, clips: Path, tmp_path: Path
) -> None:
    producer = Producer(read_settings(store=scene.store.uri), clips)
    old = producer.submit(asking(PROMPTS[0])).run
    check_is_of_set(old)
    producer.run(asking(PROMPTS[1]), overwrite=True)
    old.set_control(RunControl())
    with pytest.raises(UsageError, match=r"set \(default\) was given other options since run r1"):
        check_is_of_set(old)
    with pytest.raises(UsageError, match=r"'What moves\?' here\. Submit its clips again"):
        resume(old, scene.broker)
    assert producer.captions() == {f"Asked: {PROMPTS[1]}"}


def test_a_set_that_a_newer_clipfleet_wrote_is_left_to_it(producer: Producer) -> None:
    producer.run(asking(PROMPTS[0]))
    found = json.loads(producer.store.get("set.json"))
    producer.store.put("set.json", json.dumps(found | {"version": 99}).encode())
    with pytest.raises(UsageError, match=r"set\.json: a SetFile of version 99"):
        producer.submit(asking(PROMPTS[0]))
    producer.store.put("set.json", b"no json")
    with pytest.raises(UsageError, match=r"set\.json: "):
        producer.submit(asking(PROMPTS[0]))
