"""Loads the models that a GPU worker serves, one engine where one will do."""

import contextlib
import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator

from clipfleet import logs, models
from clipfleet.errors import ExitCode, UsageError
from clipfleet.options import Options
from clipfleet.queues import CAPTION, ENHANCE
from clipfleet.settings import Settings
from clipfleet_workers.inference.engine import Engine
from clipfleet_workers.inference.loaded_model import LoadedModel, Slots, in_flight
from clipfleet_workers.inference.weights import find_weights

log = logging.getLogger("clipfleet")


def load_models(
    settings: Settings, queues: tuple[str, ...], options: Options, *, gpus: int = 1
) -> dict[str, LoadedModel]:
    """The model of each queue, over `gpus` GPUs. `caption` and `enhance` together share one engine.

    Raises `UsageError` where they ask for different models, `ModelUnavailable` where one cannot
    be loaded. Ends the process where that takes longer than `load_timeout_s`.
    """
    caption = options.caption
    sizes = {
        queue: size
        for queue, size in (
            (CAPTION, caption.caption_batch_size),
            (ENHANCE, options.enhance.model_batch_size),
        )
        if queue in queues
    }
    enhancer = options.enhancer
    if len(queues) > 1 and not options.one_engine:
        raise UsageError(
            f"one engine cannot hold both {caption.model_variant} and {enhancer[0]}: "
            "start a worker for caption and another for enhance"
        )
    own = (caption.model_variant, caption.fp8, caption.model_dir)
    variant, fp8, model_dir = own if CAPTION in queues else enhancer
    # A server of its own looks after those that wait; more would only wait there.
    ahead = settings.engine == "vllm"
    slots = {queue: in_flight(size) if ahead else size for queue, size in sizes.items()}
    started = time.monotonic()
    log.info("loading %s", variant, extra={"action": "model_loading"})
    model = models.find(variant)
    with _time_limit(settings.load_timeout_s, variant):
        engine, revision = _engine(
            settings,
            model,
            model_dir=model_dir,
            fp8=fp8,
            gpus=gpus,
            batch_size=sum(sizes.values()),
            windows=slots.get(CAPTION, 0),
            disable_mmcache=caption.disable_mmcache and CAPTION in queues,
        )
    logs.adopt("vllm", "transformers", "huggingface_hub")
    seconds = round(time.monotonic() - started, 1)
    log.info(
        "loaded %s in %s s",
        model.name,
        seconds,
        extra={"action": "model_loaded", "seconds": seconds},
    )
    loaded = LoadedModel(
        engine,
        Slots(slots),
        variant=variant,
        fp8=fp8,
        repository=model.repository or model.name,
        revision=revision,
        timeout_s=settings.request_timeout_s,
    )
    return dict.fromkeys(queues, loaded)


@contextlib.contextmanager
def _time_limit(seconds: float, variant: str) -> Iterator[None]:
    """Ends this process after so long: a download, a lock or a GPU's driver may hang for ever, and
    none of them can be called off. Whoever keeps workers starts another."""
    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), _give_up, (seconds, variant))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _give_up(seconds: float, variant: str) -> None:
    log.critical(
        "%s is not loaded after %g s (setting load_timeout_s); this worker ends",
        variant,
        seconds,
        extra={"action": "model_load_timed_out", "seconds": seconds},
    )
    for child in multiprocessing.active_children():  # an engine's, which would keep the GPU
        child.kill()
    _exit(ExitCode.ENGINE_DEAD)


def _exit(code: int) -> None:
    os._exit(code)


def _engine(
    settings: Settings,
    model: models.Model,
    *,
    model_dir: str | None,
    fp8: bool,
    gpus: int,
    batch_size: int,
    windows: int,
    disable_mmcache: bool,
) -> tuple[Engine, str]:
    """The engine that the settings name, and its weights' revision."""
    if settings.engine == "openai":
        from clipfleet_workers.inference.openai_engine import OpenAIEngine

        secret = settings.engine_api_key
        return OpenAIEngine(
            model,
            settings.engine_url,
            api_key=secret.get_secret_value() if secret else None,
        ), "as its server has it"
    weights, revision = find_weights(model, model_dir=model_dir, cache_dir=settings.cache_dir)
    if settings.engine == "transformers":
        from clipfleet_workers.inference.transformers_engine import TransformersEngine

        if fp8:
            raise UsageError("fp8 needs the engine vllm")
        return TransformersEngine(model, weights), revision
    from clipfleet_workers.inference.vllm_engine.engine import VllmEngine

    return VllmEngine(
        model,
        weights,
        cache_dir=settings.cache_dir,
        batch_size=batch_size,
        windows=windows,
        fp8=fp8,
        disable_mmcache=disable_mmcache,
        gpu_memory_utilization=settings.gpu_memory_utilization,
        gpus=gpus,
        arguments=settings.engine_arguments,
    ), revision
