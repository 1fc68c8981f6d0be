"""The enhance queue: a caption becomes a better one."""

from clipfleet.messages import WindowJob
from clipfleet.queues import CAPTION, ENHANCE
from clipfleet.records import Failure, Part, Status
from workers import prompts
from workers.caption import completion, holding, request_id
from workers.context import Context
from workers.engines.base import Prompt
from workers.parts import find_part


def enhance(context: Context, job: WindowJob) -> Part:
    """Rewrite the window's caption; skipped where there is none. Raises a `ClipError`."""
    options = context.options(job).enhance
    caption = find_part(context, job, job.start_frame, job.end_frame, CAPTION)
    if caption is None or caption.completion is None or not caption.completion.text:
        reason = "the caption failed" if caption and caption.error else "the caption is empty"
        return Part(status=Status.SKIPPED, error=_skipped(job, reason))
    model = holding(context, ENHANCE, options.model_variant, fp8=options.fp8)
    prompt = prompts.enhance_prompt(options)
    answer = model.generate(
        Prompt(
            request_id=request_id(job, ENHANCE),
            system=prompt,
            user=caption.completion.text,
            max_output_tokens=options.max_output_tokens,
        )
    )
    return Part(status=Status.OK, completion=completion(model, answer, prompt))


def _skipped(job: WindowJob, reason: str) -> Failure:
    return Failure(
        step="enhance",
        error="Skipped",
        message=f"not enhanced: {reason}",
        start_frame=job.start_frame,
        end_frame=job.end_frame,
    )
