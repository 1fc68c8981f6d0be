"""What a queue's spec alone decides."""

import base64
import json
from pathlib import Path
from typing import Any

import kombu.transport.memory
import pytest

from clipfleet import queues
from clipfleet.messages import ClipJob, WindowJob
from clipfleet.options import Options
from clipfleet.queues import (
    ASSEMBLE,
    CAPTION,
    ENHANCE,
    PREPARE,
    PREVIEW,
    QUEUES,
    SPECS,
    QueueSpec,
    wanted_queues,
    window_chains,
)
from tests.unit.imports import PACKAGES

STEPS = PACKAGES["clipfleet_workers"] / "clipfleet_workers" / "steps"
ENHANCED = Options.model_validate({"enhance": {"enabled": True}})
ALONE = Options.model_validate({"prepare": {"generate_previews": False}})
PREVIEWS = Options.model_validate({"prepare": {"generate_captions": False}})
JOB = ClipJob(
    run_id="r1",
    clip_uuid="6ba7b810-9dad-51d1-80b4-00c04fd430c8",
    options_hash="0123456789abcdef",
    source="file:///a.mp4",
)


@pytest.mark.parametrize("queue", QUEUES)
def test_a_queue_is_worked_off_by_the_function_of_its_name(queue: str) -> None:
    assert f"def {queue}(" in Path(STEPS / f"{queue}.py").read_text()


@pytest.mark.parametrize("queue", [name for name, spec in SPECS.items() if spec.after])
def test_a_queue_comes_behind_the_one_whose_result_it_reads(queue: str) -> None:
    assert QUEUES.index(SPECS[queue].after) < QUEUES.index(queue)


@pytest.mark.parametrize(
    ("options", "chains"),
    [
        (Options(), [[CAPTION], [PREVIEW]]),
        (ENHANCED, [[CAPTION, ENHANCE], [PREVIEW]]),
        (ALONE, [[CAPTION]]),
        (PREVIEWS, [[PREVIEW]]),
    ],
)
def test_a_window_goes_through_what_its_options_ask_for(
    options: Options, chains: list[list[str]]
) -> None:
    assert window_chains(options) == chains


@pytest.mark.parametrize(
    ("kept", "chains"),
    [
        ([PREVIEW], [[CAPTION, ENHANCE]]),
        ([CAPTION], [[ENHANCE], [PREVIEW]]),
        ([CAPTION, ENHANCE], [[PREVIEW]]),
        ([CAPTION, ENHANCE, PREVIEW], []),
    ],
)
def test_a_window_passes_by_queues_whose_products_it_has(
    kept: list[str], chains: list[list[str]]
) -> None:
    assert window_chains(ENHANCED, kept=kept) == chains


def test_without_captions_no_queue_that_needs_a_gpu_is_wanted() -> None:
    assert wanted_queues(PREVIEWS) == [PREPARE, PREVIEW, ASSEMBLE]


@pytest.fixture
def score(monkeypatch: pytest.MonkeyPatch) -> QueueSpec:
    """A queue of windows that reads enhanced captions."""
    spec = QueueSpec(name="score", message=WindowJob, after=ENHANCE)
    monkeypatch.setitem(SPECS, spec.name, spec)
    monkeypatch.setattr(queues, "WINDOW_QUEUES", (*queues.WINDOW_QUEUES, spec.name))
    return spec


def test_a_new_queue_joins_the_chain_of_the_one_that_it_comes_after(score: QueueSpec) -> None:
    assert window_chains(ENHANCED) == [[CAPTION, ENHANCE, score.name], [PREVIEW]]
    assert window_chains(Options()) == [[CAPTION, score.name], [PREVIEW]]


def test_a_new_queues_messages_go_with_those_that_they_wait_for(
    score: QueueSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: dict[str, list[str]] = {}

    def put(channel: object, queue: str, message: dict[str, Any], **_: Any) -> None:
        _, _, embed = json.loads(base64.b64decode(message["body"]))
        sent[queue] = [each["task"] for each in reversed(embed["chain"] or [])]

    monkeypatch.setattr(kombu.transport.memory.Channel, "_put", put)
    app = queues.make_app("memory://", lease_s=30)
    app.conf.update(result_backend="cache+memory://")
    queues.send_windows(app, JOB, [(0, 9)], ENHANCED)

    assert sent == {CAPTION: [ENHANCE, score.name], PREVIEW: []}
