"""The reference engine: the model authors' own code in transformers, one prompt at a time.

For laptops, for platforms without vLLM, and to compare the other engines with.
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from clipfleet.clock import Deadline, take
from clipfleet.errors import (
    EngineDead,
    EngineFailed,
    Interrupted,
    ModelUnavailable,
    RequestRefused,
    RequestTimedOut,
    UsageError,
)
from clipfleet_workers.inference.chat import Chat
from clipfleet_workers.inference.engine import Answer, Engine, EngineConfig, Prompt
from clipfleet_workers.inference.positions import authors_positions
from clipfleet_workers.inference.vllm_engine.placeholders import install
from clipfleet_workers.inference.weights import find_weights

_CLOSE_S = 30.0


class TransformersEngine(Engine):
    """One model in this process, on a GPU where there is one."""

    def __init__(self, config: EngineConfig) -> None:
        """Load the model. Raises `ModelUnavailable` with transformers' own reason."""
        model = config.model
        if config.fp8:
            raise UsageError("fp8 needs the engine vllm")
        if model.family.remote_code:
            raise ModelUnavailable(
                f"{model.name} brings model code of its own, which the engine transformers does "
                "not run; use the engine vllm"
            )
        weights, self.revision = find_weights(
            model, model_dir=config.model_dir, cache_dir=config.cache_dir
        )
        install()
        import torch
        import transformers

        self.name = f"transformers {transformers.__version__}"
        self._model = model
        self._turn = threading.Lock()
        self._interrupted = threading.Event()
        loader = (
            transformers.AutoModelForCausalLM
            if model.grid is None
            else transformers.AutoModelForImageTextToText
        )
        try:
            self._chat = Chat(model, weights)
            loaded: Any = loader.from_pretrained(weights, dtype=getattr(torch, model.dtype))
            self._network = loaded.eval().to("cuda" if torch.cuda.is_available() else "cpu")
        except Exception as error:
            raise ModelUnavailable(
                f"transformers cannot load {model.name} from {weights}: "
                f"{type(error).__name__}: {error}"
            ) from error

    def generate(self, prompt: Prompt, *, timeout_s: float) -> Answer:
        """See `Engine.generate`."""
        import torch

        text = self._chat.render(prompt)
        with self._in_turn(timeout_s) as deadline:
            if self._interrupted.is_set():
                raise Interrupted
            try:
                inputs = self._inputs(prompt, text)
            except (ValueError, TypeError) as error:
                raise RequestRefused(f"{self._model.name} refused this request: {error}") from error
            try:
                with torch.inference_mode(), self._positions(prompt):
                    tokens = self._write(inputs, prompt, deadline)
            except torch.OutOfMemoryError as error:
                raise EngineFailed(f"out of memory: {error}") from error
            except torch.AcceleratorError as error:
                raise EngineDead(f"the GPU failed: {error}") from error
            except RuntimeError as error:
                raise EngineFailed(f"{type(error).__name__}: {error}") from error
        if self._interrupted.is_set():
            raise Interrupted
        stopped = bool(tokens) and tokens[-1] in self._ends
        if not stopped and len(tokens) < prompt.max_output_tokens:
            raise self._late(timeout_s)
        return Answer(
            text=self._chat.tokenizer.decode(tokens, skip_special_tokens=True).strip(),
            finish_reason="stop" if stopped else "length",
            prompt_tokens=int(inputs["input_ids"].shape[1]),
            output_tokens=len(tokens),
        )

    @contextlib.contextmanager
    def _in_turn(self, timeout_s: float) -> Iterator[Deadline]:
        """Wait until no other prompt is being answered. Raises `RequestTimedOut`."""
        deadline = Deadline(timeout_s)
        if not take(self._turn, deadline):
            raise self._late(timeout_s)
        try:
            yield deadline
        finally:
            self._turn.release()

    def _late(self, timeout_s: float) -> RequestTimedOut:
        return RequestTimedOut(f"{self._model.name} gave no answer within {timeout_s:g} s")

    def _inputs(self, prompt: Prompt, text: str) -> Any:
        if prompt.video is None:
            return self._chat.tokenizer(text, return_tensors="pt").to(self._network.device)
        inputs = self._chat.processor(
            text=[text],
            videos=[prompt.video.frames],
            video_metadata=[prompt.video.metadata],
            do_resize=prompt.video.resize,
            do_sample_frames=False,
            return_tensors="pt",
        )
        inputs["pixel_values_videos"] = inputs["pixel_values_videos"].to(self._network.dtype)
        return inputs.to(self._network.device)

    def _positions(self, prompt: Prompt) -> contextlib.AbstractContextManager[None]:
        fix = prompt.video is not None and self._model.family.fix_positions
        return authors_positions() if fix else contextlib.nullcontext()

    @property
    def _ends(self) -> list[int]:
        ends = self._network.generation_config.eos_token_id
        return list(ends) if isinstance(ends, (list, tuple)) else [ends]

    def _write(self, inputs: Any, prompt: Prompt, deadline: Deadline) -> list[int]:
        """The answer's tokens, incomplete where the time is up."""
        from transformers import StoppingCriteriaList

        def stop(input_ids: Any, scores: Any, **_: Any) -> Any:
            import torch

            late = deadline.left_s() < 0 or self._interrupted.is_set()
            return torch.full((len(input_ids),), late, device=input_ids.device)

        written = self._network.generate(
            **inputs,
            do_sample=False,
            repetition_penalty=self._model.repetition_penalty,
            max_new_tokens=prompt.max_output_tokens,
            stopping_criteria=StoppingCriteriaList([stop]),
        )
        return [int(token) for token in written[0, inputs["input_ids"].shape[1] :]]

    def interrupt(self) -> None:
        """See `Engine.interrupt`."""
        self._interrupted.set()

    def close(self) -> None:
        """Release the weights."""
        self.interrupt()
        with contextlib.suppress(RequestTimedOut), self._in_turn(_CLOSE_S):
            self._network = None
