"""The caption queue: a window's frames become words."""

import numpy as np

from clipfleet import prompts
from clipfleet.errors import WindowTooLong
from clipfleet.messages import WindowJob
from clipfleet.options import CaptionOptions, PrepareOptions
from clipfleet.queues import CAPTION
from clipfleet.records import Failure, Part, Status
from clipfleet_workers.context import Context
from clipfleet_workers.inference.engine import Answer, Prompt, Video
from clipfleet_workers.inference.loaded_model import LoadedModel
from clipfleet_workers.media.packs import Pack
from clipfleet_workers.steps.generation import completion, loaded_model, request_id
from clipfleet_workers.steps.scratch import read_pack


def caption(context: Context, job: WindowJob) -> Part:
    """Caption the window, twice where a second pass was asked for. Raises a `ClipError`."""
    options = context.options(job)
    model = loaded_model(context, CAPTION, options.caption.model_variant, fp8=options.caption.fp8)
    pack = read_pack(context, job.scratch.frames(job.start_frame, job.end_frame))
    video = window_video(pack, job.start_frame, job.end_frame, options.prepare)
    prompt = prompts.caption_prompt(options.caption)
    answer = _ask(model, job, prompt, video, options.caption)
    first, first_prompt, left_out = None, None, None
    if options.caption.generate_stage2_caption:
        again = prompts.stage2_prompt(options.caption, answer.text)
        try:
            first, answer = answer, _ask(model, job, again, video, options.caption)
            first_prompt, prompt = prompt, prompts.stage2_text(options.caption)
        except WindowTooLong as error:  # with the first caption in it, the prompt may be
            left_out = _left_out(job, error)
    written = completion(
        model,
        answer,
        prompt,
        max_output_tokens=options.caption.max_output_tokens,
        first=first,
        first_prompt=first_prompt,
    )
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
