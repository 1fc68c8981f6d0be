"""The enhance queue: a caption becomes a better one."""

from clipfleet import prompts
from clipfleet.errors import ObjectMissing
from clipfleet.messages import WindowJob
from clipfleet.queues import CAPTION, ENHANCE
from clipfleet.records import Failure, Part, Status
from clipfleet_workers.context import Context
from clipfleet_workers.inference.engine import Prompt
from clipfleet_workers.steps.generation import completion, loaded_model, request_id
from clipfleet_workers.steps.scratch import find_part


def enhance(context: Context, job: WindowJob) -> Part:
    """Enhance the window's caption; skipped where it failed or is empty.

    Raises a `ClipError`, or `ObjectMissing` where the caption's part is gone: then all of scratch
    is, and the window is captioned again.
    """
    options = context.options(job)
    caption = find_part(context, job, job.start_frame, job.end_frame, CAPTION)
    if caption is None:
        raise ObjectMissing(f"the caption of frames {job.start_frame} to {job.end_frame} is gone")
    if caption.completion is None or not caption.completion.text:
        reason = "the caption failed" if caption.error else "the caption is empty"
        return Part(status=Status.SKIPPED, error=_skipped(job, reason))
    variant, fp8, _ = options.enhancer
    model = loaded_model(context, ENHANCE, variant, fp8=fp8)
    prompt = prompts.enhance_prompt(options.enhance)
    most = options.enhance.max_output_tokens
    answer = model.generate(
        ENHANCE,
        Prompt(
            request_id=request_id(job, ENHANCE),
            system=prompt,
            user=caption.completion.text,
            max_output_tokens=most,
        ),
    )
    written = completion(model, answer, prompt, max_output_tokens=most)
    return Part(status=Status.OK, completion=written)


def _skipped(job: WindowJob, reason: str) -> Failure:
    return Failure(
        step="enhance",
        error="Skipped",
        message=f"not enhanced: {reason}",
        start_frame=job.start_frame,
        end_frame=job.end_frame,
    )
