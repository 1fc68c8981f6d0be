"""A clip in flight and its record, to build tests on."""

from typing import Any

from clipfleet import keys
from clipfleet.messages import ClipJob, WindowJob
from clipfleet.options import Options
from clipfleet.records import (
    ClipRecord,
    Completion,
    EnhancedCaption,
    Failure,
    ModelRecord,
    Part,
    Plan,
    PreviewFile,
    Sampling,
    SourceInfo,
    Status,
    WindowPlan,
    WrittenText,
)
from clipfleet.runs import RunHead, RunSources
from clipfleet.store import Store

CLIP = "6ba7b810-9dad-51d1-80b4-00c04fd430c8"
HASH = "0123456789abcdef"
OTHER_HASH = "fedcba9876543210"
EDITION = "0" * 8
OPTIONS = Options()

JOB = ClipJob(run_id="r1", clip_uuid=CLIP, options_hash=HASH, source="file:///clips/a.mp4")
SOURCE = SourceInfo(
    width=1280,
    height=720,
    framerate=30.0,
    num_frames=400,
    duration_s=400 / 30,
    video_codec="h264",
    pixel_format="yuv420p",
    num_bytes=123_456,
    container="mov,mp4,m4a,3gp,3g2,mj2",
    video_streams=1,
    rotation_degrees=0,
    mirrored=False,
    pixel_aspect_ratio=1.0,
    interlaced=False,
    color_matrix="bt709",
    color_matrix_guessed=True,
    color_range="limited",
    color_transfer="unspecified",
    variable_frame_rate=False,
)


def window_plan(start: int, end: int) -> WindowPlan:
    """A window's plan, with its two ends and two frames between them sampled."""
    indices = [start, start + 1, end - 1, end]
    return WindowPlan(
        start_frame=start,
        end_frame=end,
        start_s=start / 30,
        end_s=(end + 1) / 30,
        frame_indices=indices,
        frame_times_s=[n / 30 for n in indices],
        sampling="index",
        grid_width=1008,
        grid_height=560,
    )


PLAN = Plan(
    job=JOB,
    num_bytes=123_456,
    source=SOURCE,
    windows=[window_plan(0, 255), window_plan(256, 399)],
    frame_encoding="raw",
)


_COUNTS: Any = {
    "finish_reason": "stop",
    "prompt_tokens": 5840,
}
MODEL = ModelRecord(
    repository="Qwen/Qwen2.5-VL-7B-Instruct", revision="cc59489", engine="vllm 0.32.0"
)
SAMPLING = Sampling(max_output_tokens=512, temperature=0.0, repetition_penalty=1.05)


def completed(
    text: str, *, first: str | None = None, variant: str = "qwen", model: ModelRecord = MODEL
) -> Part:
    """A model's answer."""
    return Part(
        status=Status.OK,
        completion=Completion(
            text=text,
            first=WrittenText(text=first, **_COUNTS, output_tokens=170) if first else None,
            first_prompt="First, describe this." if first else None,
            **_COUNTS,
            output_tokens=190,
            variant=variant,
            model=model,
            prompt="Describe this.",
            sampling=SAMPLING,
        ),
    )


def previewed(start: int, end: int) -> Part:
    """A preview that was made."""
    return Part(
        status=Status.OK,
        preview=PreviewFile(
            key=f"previews/{CLIP}/{start}_{end}.webp",
            poster_key=f"previews/{CLIP}/{start}_{end}.jpg",
            num_bytes=4321,
            width=426,
            height=240,
            num_frames=9,
            duration_ms=8533,
        ),
    )


def failed(step: str, message: str) -> Part:
    """A step that failed."""
    failure = Failure.model_validate({"step": step, "error": "Broken", "message": message})
    return Part(status=Status.ERROR, error=failure)


def skipped(step: str, message: str) -> Part:
    """A step that had nothing to do."""
    failure = Failure.model_validate({"step": step, "error": "Skipped", "message": message})
    return Part(status=Status.SKIPPED, error=failure)


def words(text: EnhancedCaption | None) -> str:
    """What was said, if anything was."""
    return (text.text or "") if text else ""


def clip_record(options: Options = OPTIONS) -> ClipRecord:
    """A record without windows, of a clip that was done with these options."""
    return ClipRecord(
        span_uuid=CLIP,
        source_video="file:///clips/a.mp4",
        duration_span=(0.0, 400 / 30),
        width_source=1280,
        height_source=720,
        framerate_source=30.0,
        clip_location="file:///clips/a.mp4",
        width=1280,
        height=720,
        framerate=30.0,
        num_frames=400,
        video_codec="h264",
        num_bytes=123_456,
        windows=[],
        valid=False,
        errors=[],
        recipes=options.recipes,
        run_id="r1",
        clipfleet_version="0.1.0",
        finished_at="2026-01-02T03:04:05+00:00",
    )


def run_head(run_id: str, options: Options, *, clips: int = 1, **more: Any) -> RunHead:
    """What a run of one shard is."""
    return RunHead(
        run_id=run_id,
        options_hash=options.hash,
        manifest_version=EDITION,
        clips=clips,
        shards=1,
        created_at="2026-01-01T00:00:00+00:00",
        **more,
    )


def put_run(store: Store, run_id: str, options: Options) -> RunHead:
    """Have a run of one shard with these options; what it is."""
    store.put(keys.run_options(run_id), options.to_json().encode())
    return run_head(run_id, options)


def put_places(store: Store, *places: str) -> None:
    """Have the run `r1` in the store name these places, that its clips may be copied from."""
    store.put(keys.run_head("r1"), run_head("r1", Options()).to_bytes())
    store.put(keys.run_sources("r1", EDITION), RunSources(allowed=[*places]).to_bytes())


def put_plan(store: Store, job: WindowJob) -> None:
    """Have the clip of a window's message planned, with that window alone."""
    windows = [window_plan(job.start_frame, job.end_frame)]
    plan = PLAN.model_copy(update={"windows": windows})
    store.put(job.scratch.plan, plan.to_bytes())
