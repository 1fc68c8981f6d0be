"""What the steps that ask a model share: the loaded model, a request's name, the answer stored."""

import dataclasses
import time
from typing import Any

from clipfleet.errors import ModelMismatch
from clipfleet.messages import WindowJob
from clipfleet.models import find
from clipfleet.queues import CAPTION
from clipfleet.records import Completion, Flag, ModelRecord, Sampling, WrittenText
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
    max_output_tokens: int,
    first: Answer | None = None,
    first_prompt: str | None = None,
) -> Completion:
    """The answer to the prompt as it is stored; with the first pass's, where it is the second's."""
    return Completion(
        **_written(answer),
        variant=model.variant,
        model=ModelRecord(
            repository=model.repository, revision=model.revision, engine=model.engine.name
        ),
        prompt=prompt,
        sampling=Sampling(
            max_output_tokens=max_output_tokens,
            temperature=0.0,
            repetition_penalty=find(model.variant).repetition_penalty,
        ),
        first=WrittenText(**_written(first)) if first else None,
        first_prompt=first_prompt,
    )


def _written(answer: Answer) -> dict[str, Any]:
    marks = {
        Flag.TRUNCATED: answer.finish_reason == "length",
        Flag.REPETITIVE: runs_away(answer.text),
        Flag.EMPTY: not answer.text,
    }
    return {**dataclasses.asdict(answer), "flags": [str(flag) for flag in marks if marks[flag]]}
