"""The caption queue: a window's frames become words."""

import dataclasses
import time
from typing import Any

import numpy as np

from clipfleet import keys, prompts
from clipfleet.errors import ModelMismatch, WindowTooLong
from clipfleet.messages import WindowJob
from clipfleet.options import CaptionOptions, PrepareOptions
from clipfleet.queues import CAPTION
from clipfleet.records import Completion, Failure, Part, Status, Written
from clipfleet_workers.context import Context
from clipfleet_workers.inference.engine import Answer, Prompt, Video
from clipfleet_workers.inference.loaded_model import LoadedModel
from clipfleet_workers.media.packs import Pack
from clipfleet_workers.steps.repetition import runs_away
from clipfleet_workers.steps.scratch import read_pack


def caption(context: Context, job: WindowJob) -> Part:
    """Caption the window, twice where a second pass was asked for. Raises a `ClipError`."""
    options = context.options(job)
    model = holding(context, CAPTION, options.caption.model_variant, fp8=options.caption.fp8)
    pack = read_pack(context, job, keys.frames)
    video = window_video(pack, job.start_frame, job.end_frame, options.prepare)
    prompt = prompts.caption_prompt(options.caption)
    answer = _ask(model, job, prompt, video, options.caption)
    first, stage2, left_out = None, None, None
    if options.caption.generate_stage2_caption:
        stage2 = prompts.stage2_text(options.caption)
        again = prompts.stage2_prompt(options.caption, answer.text)
        try:
            first, answer = answer, _ask(model, job, again, video, options.caption)
        except WindowTooLong as error:  # with the first caption in it, the prompt may be
            left_out = _left_out(job, error)
    written = completion(model, answer, prompt, first=first, stage2=stage2)
    return Part(status=Status.OK, completion=written, error=left_out)


def _left_out(job: WindowJob, error: WindowTooLong) -> Failure:
    return Failure(
        step="caption",
        error=type(error).__name__,
        message=f"the second pass is left out, and the first caption stands: {error}",
        start_frame=job.start_frame,
        end_frame=job.end_frame,
    )


def window_video(pack: Pack, start_frame: int, end_frame: int, options: PrepareOptions) -> Video:
    """The window's frames as the model is given them, with the truth about their times."""
    dtype, resize = options.preprocess_dtype, options.model_does_preprocess
    return Video(
        frames=pack.frames.astype(np.dtype(dtype), copy=False),
        indices=[number - start_frame for number in pack.indices],
        num_frames=end_frame - start_frame + 1,
        fps=pack.source_fps,
        resize=resize,
        name=f"{pack.checksum}.{dtype}.{int(resize)}" if pack.checksum else None,
    )


def _ask(
    model: LoadedModel, job: WindowJob, prompt: str, video: Video, options: CaptionOptions
) -> Answer:
    return model.generate(
        CAPTION,
        Prompt(
            request_id=request_id(job, CAPTION),
            user=prompt,
            video=video,
            max_output_tokens=options.max_output_tokens,
        ),
    )


def holding(context: Context, queue: str, variant: str, *, fp8: bool) -> LoadedModel:
    """The model loaded for `queue`. Raises `ModelMismatch` if the run asks for another."""
    model = context.models[queue]
    if (model.variant, model.fp8) != (variant, fp8):
        flag = "--captioning-algorithm" if queue == CAPTION else "--enhance-captions-algorithm"
        raise ModelMismatch(
            f"the run asks for {_spelled(variant, fp8)}, and the {queue} worker holds "
            f"{_spelled(model.variant, model.fp8)}; start the worker with {flag} {variant}, or "
            f"submit the run with {flag} {model.variant}"
        )
    return model


def _spelled(variant: str, fp8: bool) -> str:
    return f"{variant} in fp8" if fp8 else str(variant)


def request_id(job: WindowJob, queue: str) -> str:
    """A name for the request that no other in flight has, a second delivery's included."""
    return f"{job.clip_uuid}.{job.start_frame}.{queue}.{time.monotonic_ns()}"


def completion(
    model: LoadedModel,
    answer: Answer,
    prompt: str,
    *,
    first: Answer | None = None,
    stage2: str | None = None,
) -> Completion:
    """The answer as it is stored."""
    return Completion(
        **_written(answer),
        first=Written(**_written(first)) if first else None,
        model=model.repository,
        revision=model.revision,
        engine=model.engine.name,
        prompt=prompt,
        prompt_sha256=prompts.sha256(prompt),
        stage2_prompt=stage2,
    )


def _written(answer: Answer) -> dict[str, Any]:
    marks = {"cut": answer.finish_reason == "length", "repeats": runs_away(answer.text)}
    return dataclasses.asdict(answer) | marks
