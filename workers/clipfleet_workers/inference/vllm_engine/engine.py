"""The default engine: vLLM's AsyncLLM, on a GPU where there is one, else on the CPU.

One event loop in its own thread serves all callers, so that windows of all clips share vLLM's
continuous batching.
"""

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clipfleet.clock import within
from clipfleet.errors import (
    EngineDead,
    EngineFailed,
    Interrupted,
    ModelUnavailable,
    RequestRefused,
    RequestTimedOut,
)
from clipfleet.grid import Grid
from clipfleet.models import Model
from clipfleet_workers.inference.chat import Chat, frame_times, processor_arguments
from clipfleet_workers.inference.engine import Answer, Engine, EngineConfig, Prompt, Video
from clipfleet_workers.inference.loop import Loop
from clipfleet_workers.inference.vllm_engine import plugin
from clipfleet_workers.inference.vllm_engine.placeholders import install
from clipfleet_workers.inference.weights import find_weights

STOP_S = 1.0  # nothing is in flight when an engine is closed; left to itself, vLLM takes 8 s
_STOPPED_S = 30.0  # then its processes are left to the supervisor

_ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB; vLLM's own default asks for half the machine
    # On a CPU. By default it caches 1,024 matrix products, one for each number of rows, and memory
    # grows for thousands of windows (5% in all); with 16, no slowdown was measured.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}


# On a GPU. A window's prefill takes one and a half steps of this many tokens, and its decode 190:
# with 128 in flight, every step does both. Larger steps would need more windows in flight.
# Uncompiled, the vision encoder spends 50 of a window's 130 ms launching single operations.
GPU_ARGUMENTS: Mapping[str, Any] = {
    "max_num_batched_tokens": 4_096,
    "compilation_config": {"compile_mm_encoder": True},
}


def _cpu_arguments() -> dict[str, Any]:
    """Run the model in the engine's own process: vLLM's default busy-waits on a further one.

    On two cores `mini` is ready after 14 s instead of 21, takes 0.7 GB less, and answers 1.6 times
    as many windows, token for token the same.
    """
    from vllm.v1.executor.uniproc_executor import UniProcExecutor

    return {"distributed_executor_backend": UniProcExecutor}


def prepare_process(scratch: Path, cache: Path) -> None:
    """Prepare this process, and through its environment its children, for importing vLLM.

    vLLM leaves sockets and other files behind in `scratch`, which the caller removes; what it
    compiles goes to `cache`.
    """
    install()
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ[plugin.ENABLED] = "1"
    os.environ["TMPDIR"] = str(scratch)  # its processes find each other by a file there
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache / "inductor"))  # else there, too
    os.environ.setdefault("VLLM_RPC_BASE_PATH", str(scratch))
    os.environ.setdefault("VLLM_CACHE_ROOT", str(cache))
    site = str(Path(__file__).parent / "site")
    inherited = os.environ.get("PYTHONPATH", "")
    if site not in inherited.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (site, inherited)))


class VllmEngine(Engine):
    """One model in one AsyncLLM."""

    queues_ahead = True
    loggers = ("vllm", *Engine.loggers)

    def __init__(self, config: EngineConfig) -> None:
        """Load the model, which takes 15 s for a small one.

        Raises `ModelUnavailable`, with vLLM's own reason, where it cannot.
        """
        model = self._model = config.model
        on_gpu = _check_machine(model, fp8=config.fp8)
        weights, self.revision = find_weights(
            model, model_dir=config.model_dir, cache_dir=config.cache_dir
        )
        self._scratch = tempfile.TemporaryDirectory(prefix="clipfleet-")  # short: sockets
        prepare_process(Path(self._scratch.name), config.cache_dir / "vllm")
        import vllm

        self.name = f"vllm {vllm.__version__}"
        self._loop = Loop()
        try:
            start = _start(vllm_arguments(config, weights, on_gpu=on_gpu))
            self._llm = self._loop.run(start, timeout_s=None)  # bounded by whoever loads models
            self._chat = Chat(model, weights)
        except Exception as error:
            raise ModelUnavailable(
                f"vLLM cannot load {model.name} from {weights}: {type(error).__name__}: {error}"
            ) from error

    def generate(self, prompt: Prompt, *, timeout_s: float) -> Answer:
        """See `Engine.generate`."""
        from vllm.v1.engine.exceptions import EngineDeadError

        request: dict[str, Any] = {"prompt": self._chat.render(prompt)}
        if prompt.video is not None:
            request |= video_request(self._model, prompt.video)
        try:
            return self._loop.run(self._answer(prompt, request), timeout_s=timeout_s)
        except (Interrupted, EngineDead):
            raise
        except TimeoutError:
            raise RequestTimedOut(
                f"{self._model.name} gave no answer within {timeout_s:g} s"
            ) from None
        except EngineDeadError as error:
            raise EngineDead(f"the engine of {self._model.name} died: {error}") from error
        except ValueError as error:  # what vLLM raises for a prompt that it refuses
            raise RequestRefused(f"{self._model.name} refused this request: {error}") from error
        except Exception as error:
            raise EngineFailed(f"{type(error).__name__}: {error}") from error

    async def _answer(self, prompt: Prompt, request: dict[str, Any]) -> Answer:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        sampling = SamplingParams(
            temperature=0.0,
            max_tokens=prompt.max_output_tokens,
            repetition_penalty=self._model.repetition_penalty,
            seed=0,
            output_kind=RequestOutputKind.FINAL_ONLY,
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

    def interrupt(self) -> None:
        """See `Engine.interrupt`."""
        self._loop.interrupt()

    def close(self) -> None:
        """Stop the engine's processes and the loop."""
        with contextlib.suppress(Exception):  # it may be dead already
            within(_STOPPED_S, lambda: self._llm.shutdown(timeout=STOP_S))
        self._loop.close()
        self._scratch.cleanup()


def vllm_arguments(config: EngineConfig, weights: Path, *, on_gpu: bool) -> dict[str, Any]:
    """What vLLM is started with: our arguments, overridden by the configuration's."""
    model = config.model
    wanted: dict[str, Any] = {
        "model": str(weights),
        "dtype": model.dtype,
        "max_model_len": model.max_model_tokens,
        "max_num_seqs": config.batch_size,
        "seed": 0,
        "enforce_eager": not on_gpu,
        "disable_log_stats": True,
        "trust_remote_code": model.family.remote_code,
    }
    if model.grid is not None:
        windows = config.windows or config.batch_size
        wanted["limit_mm_per_prompt"] = {"image": 0, "video": 1}
        wanted["mm_processor_cache_gb"] = (
            0 if config.disable_mmcache else cache_gb(model.grid, windows=windows)
        )
    if not model.family.prefix_caching:
        wanted["enable_prefix_caching"] = False
    if config.fp8:
        wanted["quantization"] = "fp8"
    if on_gpu:
        wanted["gpu_memory_utilization"] = config.gpu_memory_utilization
        wanted["tensor_parallel_size"] = config.gpus
        wanted |= GPU_ARGUMENTS
    else:
        wanted |= _cpu_arguments()
    return wanted | dict(config.arguments)


def video_request(model: Model, video: Video) -> dict[str, Any]:
    """What a request carries beside its text: the frames, their times, the processor's arguments.

    The frames' name saves hashing them, and lets a second pass over them reuse the first's work.
    """
    clip = (video.frames, frame_times(model, video))
    request: dict[str, Any] = {"multi_modal_data": {"video": clip}}
    if arguments := processor_arguments(model, video):
        request["mm_processor_kwargs"] = arguments
    if video.name is not None:
        request["multi_modal_uuids"] = {"video": [video.name]}
    return request


def cache_gb(grid: Grid, *, windows: int) -> float:
    """The size of vLLM's cache of processed frames, in GiB: enough for all windows in flight.

    A second pass comes while its window is in flight; older entries only take memory (vLLM's
    default is 4 GiB).
    """
    return windows * grid.max_total_pixels * 3 / 2**30


def _check_machine(model: Model, *, fp8: bool) -> bool:
    """Whether there is a GPU. Raises `ModelUnavailable` where this machine cannot run the model."""
    import torch

    instead = f"; use {model.instead}" if model.instead else ""
    if not torch.cuda.is_available():
        if fp8:
            raise ModelUnavailable("fp8 needs a GPU, and this machine shows none; leave it out")
        if model.needs_capability:
            raise ModelUnavailable(f"{model.name} needs a GPU, and this machine shows none")
        return False
    found = torch.cuda.get_device_capability()
    if model.needs_capability and found < model.needs_capability:
        needed = "{}.{}".format(*model.needs_capability)
        raise ModelUnavailable(
            f"{model.name} needs a GPU of compute capability {needed}, and "
            f"{torch.cuda.get_device_name()} has {found[0]}.{found[1]}{instead}"
        )
    return True


async def _start(arguments: dict[str, Any]) -> Any:
    from vllm import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    if hasattr(AsyncEngineArgs, "mm_device_do_normalize"):
        arguments["mm_device_do_normalize"] = False  # it expects patches, and we send frames
    return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))
