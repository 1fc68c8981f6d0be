"""What the steps that ask a model share: the loaded model, a request's name, the answer stored."""

import dataclasses
import time
from typing import Any

from clipfleet import prompts
from clipfleet.errors import ModelMismatch
from clipfleet.messages import WindowJob
from clipfleet.queues import CAPTION
from clipfleet.records import Completion, Written
from clipfleet_workers.context import Context
from clipfleet_workers.inference.engine import Answer
from clipfleet_workers.inference.loaded_model import LoadedModel
from clipfleet_workers.steps.repetition import runs_away


def loaded_model(context: Context, queue: str, variant: str, *, fp8: bool) -> LoadedModel:
    """The model loaded for `queue`. Raises `ModelMismatch` if the run asks for another."""
    model = context.models[queue]
    if (model.variant, model.fp8) != (variant, fp8):
        flag = "--captioning-algorithm" if queue == CAPTION else "--enhance-captions-algorithm"
        raise ModelMismatch(
            f"the run asks for {_spelled(variant, fp8)}, and the {queue} worker has "
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
