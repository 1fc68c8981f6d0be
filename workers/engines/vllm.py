"""The default engine: vLLM's AsyncLLM, on a GPU where there is one, else on the CPU.

One event loop in a thread of its own serves every caller, so that windows of all clips are batched
continuously.
"""

import asyncio
import contextlib
import os
import tempfile
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from clipfleet.errors import EngineDead, ModelUnavailable, WindowTooLong
from workers.engines.base import Answer, Engine, Prompt
from workers.models import Model

T = TypeVar("T")

REQUEST_TIMEOUT_S = 900.0
STOP_S = 1.0  # nothing is in flight when an engine is closed; left to itself, vLLM takes 8 s

_ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB; vLLM's own default asks for half the machine
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}


def prepare_process(scratch: Path, cache: Path) -> None:
    """Set this process up, and through its environment those it starts, to import vLLM.

    vLLM leaves its sockets behind in `scratch`, which is the caller's to remove; what it learns
    about models goes to `cache`.
    """
    from workers.engines.placeholders import install

    install()
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("VLLM_RPC_BASE_PATH", str(scratch))
    os.environ.setdefault("VLLM_CACHE_ROOT", str(cache))
    site = str(Path(__file__).parent / "site")
    inherited = os.environ.get("PYTHONPATH", "")
    if site not in inherited.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (site, inherited)))


class VllmEngine(Engine):
    """One model in one AsyncLLM."""

    def __init__(
        self,
        model: Model,
        weights: Path,
        *,
        cache_dir: Path,
        batch_size: int,
        fp8: bool = False,
        disable_mmcache: bool = False,
        gpu_memory_share: float = 0.9,
    ) -> None:
        """Load the model; half a minute for a small one.

        `weights` is a folder; vLLM keeps what it learns about models in `cache_dir`. `batch_size`
        bounds the prompts in flight. `fp8` quantizes weights to 8 bits on a GPU, of whose memory
        the engine takes `gpu_memory_share`.
        Raises `ModelUnavailable` with the engine's own reason where it cannot.
        """
        import torch

        self._model = model
        self._on_gpu = bool(torch.cuda.is_available())
        if fp8 and not self._on_gpu:
            raise ModelUnavailable("fp8 needs a GPU, and this machine shows none; leave it out")
        self._scratch = tempfile.TemporaryDirectory(prefix="clipfleet-engine-")
        prepare_process(Path(self._scratch.name), cache_dir / "vllm")
        import vllm

        self.name = f"vllm {vllm.__version__}"
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="engine", daemon=True).start()
        arguments: dict[str, Any] = {
            "model": str(weights),
            "dtype": model.dtype,
            "max_model_len": model.max_model_tokens,
            "max_num_seqs": batch_size,
            "seed": 0,
            "enforce_eager": not self._on_gpu,
            "disable_log_stats": True,
        }
        if model.grid is not None:
            arguments["limit_mm_per_prompt"] = {"image": 0, "video": 1}
        if fp8:
            arguments["quantization"] = "fp8"
        if self._on_gpu:
            arguments["gpu_memory_utilization"] = gpu_memory_share
        if disable_mmcache:
            arguments["mm_processor_cache_gb"] = 0
        try:
            self._llm = self._call(_start(arguments)).result()
            self._template = _chat_template(weights)
        except Exception as error:
            raise ModelUnavailable(
                f"vLLM cannot load {model.name} from {weights}: {type(error).__name__}: {error}"
            ) from error

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def generate(self, prompt: Prompt) -> Answer:
        """See `Engine.generate`."""
        from vllm.v1.engine.exceptions import EngineDeadError

        text = self._render(prompt)
        self._check_budget(prompt, text)
        request = self._call(asyncio.wait_for(self._answer(prompt, text), REQUEST_TIMEOUT_S))
        try:
            return request.result()
        except EngineDeadError as error:
            raise EngineDead(f"the engine of {self._model.name} died: {error}") from error
        except TimeoutError:
            raise TimeoutError(
                f"{self._model.name} gave no answer within {REQUEST_TIMEOUT_S:.0f} s"
            ) from None

    def _render(self, prompt: Prompt) -> str:
        messages: list[dict[str, Any]] = []
        if prompt.system is not None:
            messages.append({"role": "system", "content": self._plain(prompt.system)})
        user = self._plain(prompt.user)
        content = [{"type": "video"}, {"type": "text", "text": user}] if prompt.video else user
        messages.append({"role": "user", "content": content})
        rendered: str = self._template.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        return rendered

    def _plain(self, text: str) -> str:
        """`text` with the model's control tokens broken up, so that words stay words."""
        tokenizer = getattr(self._template, "tokenizer", self._template)
        for token in tokenizer.all_special_tokens:
            text = text.replace(token, token[:1] + " " + token[1:])
        return text

    def _check_budget(self, prompt: Prompt, text: str) -> None:
        tokenizer = getattr(self._template, "tokenizer", self._template)
        tokens = len(tokenizer(text)["input_ids"]) + prompt.max_output_tokens
        if prompt.video and self._model.grid and not prompt.video.resize:
            frames, height, width = prompt.video.frames.shape[:3]
            factor = self._model.grid.factor
            tokens += -(-frames // 2) * (height // factor) * (width // factor)
        if tokens > self._model.max_model_tokens:
            raise WindowTooLong(
                f"the window needs {tokens} tokens with its output, and {self._model.name} holds "
                f"{self._model.max_model_tokens}; lower --captioning-window-size, "
                "--captioning-sampling-fps or the output tokens"
            )

    async def _answer(self, prompt: Prompt, text: str) -> Answer:
        from vllm import SamplingParams

        request: dict[str, Any] = {"prompt": text}
        if prompt.video is not None:
            metadata = {**prompt.video.metadata, "do_sample_frames": False}
            request["multi_modal_data"] = {"video": (prompt.video.frames, metadata)}
            request["mm_processor_kwargs"] = {
                "do_resize": prompt.video.resize,
                "do_sample_frames": False,
            }
        sampling = SamplingParams(
            temperature=0.0,
            max_tokens=prompt.max_output_tokens,
            repetition_penalty=self._model.repetition_penalty,
            seed=0,
        )
        last: Any = None
        async for output in self._llm.generate(request, sampling, prompt.request_id):
            last = output
        if last is None:
            raise RuntimeError(f"{self._model.name} ended a request without an answer")
        written = last.outputs[0]
        return Answer(
            text=written.text.strip(),
            finish_reason=written.finish_reason or "unknown",
            prompt_tokens=len(last.prompt_token_ids),
            output_tokens=len(written.token_ids),
        )

    def close(self) -> None:
        """Stop the engine's processes and the loop."""
        with contextlib.suppress(Exception):  # it may be dead already
            self._llm.shutdown(timeout=STOP_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._scratch.cleanup()


async def _start(arguments: dict[str, Any]) -> Any:
    from vllm import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))


def _chat_template(weights: Path) -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(weights)
