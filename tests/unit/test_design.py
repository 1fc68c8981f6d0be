"""The contract that DESIGN fixes, written out: keys, fields, options, queues, message sizes.

Readers of the output and scripts around the commands depend on every line of these tables: a change
here is a change for them.
"""

import json
from typing import Any

import kombu.transport.memory
import pytest
from pydantic import BaseModel

from clipfleet import keys, models, queues
from clipfleet.flags import each_option
from clipfleet.messages import MAX_MESSAGE_BYTES, MAX_SOURCE_BYTES, ClipJob, source_bytes
from clipfleet.options import Options
from clipfleet.records import (
    Attempt,
    Caption,
    ClipRecord,
    EnhancedCaption,
    Failure,
    Frames,
    ModelRecord,
    Preview,
    Score,
    SourceInfo,
    Status,
    WindowRecord,
)
from tests.support.option_table import OPTIONS

CLIP = "6ba7b810-9dad-51d1-80b4-00c04fd430c8"
HASH = "0123456789abcdef"

KEYS = {
    "record": (keys.record(CLIP), f"metas/v0/{CLIP}.json"),
    "preview": (keys.preview(CLIP, 256, 511), f"previews/{CLIP}/256_511.webp"),
    "poster": (keys.poster(CLIP, 256, 511), f"previews/{CLIP}/256_511.jpg"),
    "clip": (keys.clip(CLIP), f"clips/{CLIP}.mp4"),
    "run": (keys.run("r1"), "runs/r1/"),
    "run's options": (keys.run_options("r1"), "runs/r1/options.json"),
    "run's manifest": (
        keys.run_manifest("r1", "0a1b2c3d", 12),
        "runs/r1/manifest/0a1b2c3d/000012.jsonl",
    ),
    "run's places": (keys.run_sources("r1", "0a1b2c3d"), "runs/r1/sources/0a1b2c3d.json"),
    "run's head": (keys.run_head("r1"), "runs/r1/run.json"),
    "options of a clip": (keys.run_variant("r1", HASH), f"runs/r1/options/{HASH}.json"),
    "shard that is done": (
        keys.run_done("r1", "0a1b2c3d", 12),
        "runs/r1/done/0a1b2c3d/000012.json",
    ),
    "digest of a shard that is done": (
        keys.run_digest("r1", "0a1b2c3d", 12),
        "runs/r1/done/0a1b2c3d/000012.jsonl",
    ),
    "run that is fed": (keys.active("r1", "0a1b2c3d"), "active/r1@0a1b2c3d.json"),
    "run's summary": (keys.run_summary("r1"), "runs/r1/summary.json"),
    "scratch": (keys.Scratch(CLIP, HASH).prefix, f"scratch/{CLIP}/{HASH}/"),
    "source": (keys.Scratch(CLIP, HASH).source, f"scratch/{CLIP}/{HASH}/source"),
    "address": (keys.Scratch(CLIP, HASH).address, f"scratch/{CLIP}/{HASH}/address"),
    "addresses of a shard": (
        keys.shard_addresses("r1", "0a1b2c3d", 12),
        "scratch/runs/r1@0a1b2c3d/000012.json",
    ),
    "metadata": (keys.Scratch(CLIP, HASH).metadata, f"scratch/{CLIP}/{HASH}/metadata.json"),
    "plan": (keys.Scratch(CLIP, HASH).plan, f"scratch/{CLIP}/{HASH}/plan.json"),
    "frames": (keys.Scratch(CLIP, HASH).frames(0, 255), f"scratch/{CLIP}/{HASH}/0_255.frames"),
    "preview frames": (
        keys.Scratch(CLIP, HASH).preview_frames(0, 255),
        f"scratch/{CLIP}/{HASH}/0_255.preview-frames",
    ),
    "record of a set": (keys.record(CLIP, "v2"), f"sets/v2/metas/v0/{CLIP}.json"),
    "preview of a set": (keys.preview(CLIP, 0, 9, "v2"), f"sets/v2/previews/{CLIP}/0_9.webp"),
    "poster of a set": (keys.poster(CLIP, 0, 9, "v2"), f"sets/v2/previews/{CLIP}/0_9.jpg"),
    "clip of a set": (keys.clip(CLIP, "v2"), f"sets/v2/clips/{CLIP}.mp4"),
    "review": (keys.review(CLIP), f"reviews/v0/{CLIP}.json"),
    "review of a set": (keys.review(CLIP, "v2"), f"sets/v2/reviews/v0/{CLIP}.json"),
    "scratch of a set": (keys.Scratch(CLIP, HASH, "v2").prefix, f"scratch/v2/{CLIP}/{HASH}/"),
    "part": (
        keys.Scratch(CLIP, HASH).part(0, 255, "caption"),
        f"scratch/{CLIP}/{HASH}/0_255.caption.json",
    ),
}


@pytest.mark.parametrize("name", KEYS)
def test_everything_lies_under_the_key_that_design_gives(name: str) -> None:
    built, expected = KEYS[name]

    assert built == expected


REFERENCE_CLIP_FIELDS = {
    "span_uuid",
    "source_video",
    "duration_span",
    "width_source",
    "height_source",
    "framerate_source",
    "clip_location",
    "width",
    "height",
    "framerate",
    "num_frames",
    "video_codec",
    "num_bytes",
    "windows",
    "valid",
    "errors",
}
TEXT_FIELDS = {
    *("status", "text", "finish_reason", "prompt_tokens", "output_tokens", "flags", "attempts"),
    *("model", "prompt_sha256", "sampling", "recipe"),
}
PREVIEW_FIELDS = {
    *("key", "poster_key", "num_bytes", "width", "height", "num_frames", "duration_ms"),
}
FIELDS: dict[type[BaseModel], set[str]] = {
    ClipRecord: REFERENCE_CLIP_FIELDS
    | {
        "schema_version",
        "warnings",
        "metadata",
        "source",
        "models",
        "prompts",
        "recipes",
        "set",
        "run_id",
        "clipfleet_version",
        "finished_at",
    },
    WindowRecord: {
        *("start_frame", "end_frame", "start_s", "end_s", "status", "errors"),
        *("captions", "frames", "preview"),
    },
    EnhancedCaption: TEXT_FIELDS,
    Caption: TEXT_FIELDS | {"data", "score", "first_pass", "enhanced"},
    Attempt: {"text", "finish_reason", "flags"},
    Score: {"faithfulness", "completeness", "correctness", "reason", "model"},
    Frames: {
        *("indices", "times_s", "sampling", "width", "height", "strip_key"),
        "encoding",
    },
    Preview: PREVIEW_FIELDS | {"recipe"},
    ModelRecord: {"repository", "revision", "engine"},
    Failure: {"step", "error", "message", "start_frame", "end_frame"},
    SourceInfo: {
        "width",
        "height",
        "framerate",
        "num_frames",
        "duration_s",
        "video_codec",
        "pixel_format",
        "num_bytes",
        "etag",
        "mtime",
        "container",
        "video_streams",
        "rotation_degrees",
        "mirrored",
        "pixel_aspect_ratio",
        "interlaced",
        "color_matrix",
        "color_matrix_guessed",
        "color_range",
        "color_transfer",
        "variable_frame_rate",
    },
}


@pytest.mark.parametrize("model", FIELDS, ids=lambda model: model.__name__)
def test_a_record_has_exactly_the_fields_that_design_gives(model: type[BaseModel]) -> None:
    assert set(model.model_fields) == FIELDS[model]


def test_a_record_is_of_schema_version_2() -> None:
    assert ClipRecord.model_fields["schema_version"].default == 2


def test_a_status_is_one_of_four() -> None:
    assert [status.value for status in Status] == ["ok", "error", "skipped", "cancelled"]


def test_the_queues_are_the_five_of_design() -> None:
    assert queues.QUEUES == ("prepare", "preview", "caption", "enhance", "assemble")


def test_the_gpu_queues_are_caption_and_enhance() -> None:
    assert queues.GPU_QUEUES == ("caption", "enhance")


def test_the_options_are_exactly_those_of_design_with_their_defaults_and_flags() -> None:
    found = {
        (group, name): (field.default, flag.partition("/")[0])
        for group, name, field, flag in each_option()
    }

    assert found == {option: (row.default, row.flag) for option, row in OPTIONS.items()}


CHOICES = {
    ("caption", "prompt_variant"): {"default", "av", "av-surveillance"},
    ("enhance", "prompt_variant"): {"default", "av-surveillance"},
}
MODELS = {
    "qwen": "Qwen/Qwen2.5-VL-7B-Instruct",
    "qwen3": "Qwen/Qwen3-VL-8B-Instruct",
    "nemotron": "nvidia/NVIDIA-Nemotron-Nano-12B-v2-VL-BF16",
    "nemotron-bf16": "nvidia/NVIDIA-Nemotron-Nano-12B-v2-VL-BF16",
    "nemotron-fp8": "nvidia/NVIDIA-Nemotron-Nano-12B-v2-VL-FP8",
    "nemotron-nvfp4": "nvidia/NVIDIA-Nemotron-Nano-12B-v2-VL-NVFP4-QAD",
    "mini": None,
    "qwen_lm": "Qwen/Qwen2.5-14B-Instruct",
    "qwen3_lm": "Qwen/Qwen3-14B",
}


@pytest.mark.parametrize("option", CHOICES, ids=".".join)
def test_a_variant_is_one_of_those_that_design_names(option: tuple[str, str]) -> None:
    fields = {(group, name): field for group, name, field, _ in each_option()}
    annotation: Any = fields[option].annotation

    assert set(annotation.__args__) == CHOICES[option]


def test_the_models_are_those_that_design_names() -> None:
    assert {name: model.repository for name, model in models.MODELS.items()} == MODELS


@pytest.mark.parametrize(("limit", "accepted"), [(-1, False), (0, True), (6, True), (7, False)])
def test_the_previews_compression_level_goes_from_0_to_6(limit: int, accepted: bool) -> None:
    from clipfleet.options import PreviewOptions

    assert _accepts(PreviewOptions, compression_level=limit) is accepted


@pytest.mark.parametrize(("limit", "accepted"), [(-1, False), (0, True), (100, True), (101, False)])
def test_the_previews_quality_goes_from_0_to_100(limit: int, accepted: bool) -> None:
    from clipfleet.options import PreviewOptions

    assert _accepts(PreviewOptions, quality=limit) is accepted


def _accepts(model: type[BaseModel], **values: Any) -> bool:
    try:
        model(**values)
    except ValueError:
        return False
    return True


MOST_WINDOWS = 40


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """(queue, bytes) of every message as kombu hands it to the broker, headers and all."""
    sent: list[tuple[str, int]] = []

    def put(channel: object, queue: str, message: dict[str, Any], **_: Any) -> None:
        sent.append((queue, len(json.dumps(message))))  # what kombu's Redis transport pushes

    monkeypatch.setattr(kombu.transport.memory.Channel, "_put", put)
    return sent


def _send_everything(source: str) -> None:
    """A clip with all that may be asked for, every id and number as long as it can be."""
    app = queues.make_app("memory://", lease_s=30)
    app.conf.update(result_backend="cache+memory://")
    job = ClipJob(
        run_id="r" * 64,
        clip_uuid=CLIP,
        options_hash=HASH,
        set_name="s" * 64,
        source=source,
        staged=True,
        mtime="2026-01-02T03:04:05.678901+00:00",
        attempt=1000,
    )
    windows = [(i * 100_000 + 10**9, i * 100_000 + 10**9 + 99_999) for i in range(MOST_WINDOWS)]
    queues.send_clip(app, job)
    queues.send_windows(app, job, windows, EVERYTHING)


EVERYTHING = Options.model_validate({"enhance": {"enabled": True}})
NO_PREVIEWS = Options.model_validate(
    {"prepare": {"generate_previews": False}, "enhance": {"enabled": True}}
)


def _source(length: int) -> str:
    start = "s3://bucket/"
    return start + "k" * (length - len(start))


def test_every_message_of_a_clip_is_under_4_kib(wire: list[tuple[str, int]]) -> None:
    _send_everything(_source(900))

    assert {queue for queue, _ in wire} == {"prepare", "caption", "preview"}
    assert len(wire) == 1 + 2 * MOST_WINDOWS
    assert max(size for _, size in wire) < MAX_MESSAGE_BYTES


def test_a_message_is_no_longer_for_a_clip_of_many_windows(wire: list[tuple[str, int]]) -> None:
    app = queues.make_app("memory://", lease_s=30)
    app.conf.update(result_backend="cache+memory://")
    job = ClipJob(run_id="r1", clip_uuid=CLIP, options_hash=HASH, source="file:///a.mp4")
    windows = [(start, start + 255) for start in range(10_000, 10_000 + 256 * MOST_WINDOWS, 256)]

    queues.send_windows(app, job, windows[:2], NO_PREVIEWS)
    few = max(size for _, size in wire)
    wire.clear()
    queues.send_windows(app, job, windows, NO_PREVIEWS)
    many = max(size for _, size in wire)

    assert many - few <= 8  # the digits of its index in the group


@pytest.mark.parametrize("letter", ["k", "é", "😀"])
def test_every_message_of_the_longest_source_is_under_4_kib(
    wire: list[tuple[str, int]], letter: str
) -> None:
    source = "s3://bucket/"
    while source_bytes(source + letter) <= MAX_SOURCE_BYTES:
        source += letter

    _send_everything(source)

    assert max(size for _, size in wire) < MAX_MESSAGE_BYTES
