"""Loads the models that a GPU worker serves, one engine where one will do."""

import contextlib
import importlib
import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator

from clipfleet import logs, models
from clipfleet.engines import ENGINES
from clipfleet.errors import ExitCode, UsageError
from clipfleet.options import Options
from clipfleet.queues import CAPTION, SPECS
from clipfleet.settings import Settings
from clipfleet_workers.inference.engine import Engine, EngineConfig
from clipfleet_workers.inference.loaded_model import LoadedModel, Slots, in_flight

log = logging.getLogger("clipfleet")


def engine_class(name: str) -> type[Engine]:
    """The class of the engine `name`, imported only now: not every worker has its dependencies."""
    module, _, found = ENGINES[name].partition(":")
    engine: type[Engine] = getattr(
        importlib.import_module(f"clipfleet_workers.inference.{module}"), found
    )
    return engine


def load_models(
    settings: Settings, queues: tuple[str, ...], options: Options, *, gpus: int = 1
) -> dict[str, LoadedModel]:
    """The model of each queue, over `gpus` GPUs. `caption` and `enhance` together share one engine.

    Raises `UsageError` where they ask for different models, `ModelUnavailable` where one cannot
    be loaded. Ends the process where that takes longer than `load_timeout_s`.
    """
    caption, enhancer = options.caption, options.enhancer
    if len(queues) > 1 and not options.one_engine:
        raise UsageError(
            f"one engine cannot serve both {caption.model_variant} and {enhancer[0]}: "
            "start a worker for caption and another for enhance"
        )
    own = (caption.model_variant, caption.fp8, caption.model_dir)
    variant, fp8, model_dir = own if CAPTION in queues else enhancer
    model, kind = models.find(variant), engine_class(settings.engine)
    sizes = {queue: SPECS[queue].batch_size(options) for queue in queues}
    slots = {queue: in_flight(size) if kind.queues_ahead else size for queue, size in sizes.items()}
    engine = _load(
        kind,
        EngineConfig(
            model=model,
            model_dir=model_dir,
            cache_dir=settings.cache_dir,
            batch_size=sum(sizes.values()),
            windows=slots.get(CAPTION, 0),
            fp8=fp8,
            disable_mmcache=caption.disable_mmcache and CAPTION in queues,
            gpu_memory_utilization=settings.gpu_memory_utilization,
            gpus=gpus,
            url=settings.engine_url,
            api_key=settings.engine_api_key,
            arguments=settings.engine_arguments,
        ),
        within_s=settings.load_timeout_s,
    )
    loaded = LoadedModel(
        engine,
        Slots(slots),
        variant=variant,
        fp8=fp8,
        repository=model.repository or model.name,
        revision=engine.revision,
        timeout_s=settings.request_timeout_s,
    )
    return dict.fromkeys(queues, loaded)


def _load(kind: type[Engine], config: EngineConfig, *, within_s: float) -> Engine:
    started, name = time.monotonic(), config.model.name
    log.info("loading %s", name, extra={"action": "model_loading"})
    with _time_limit(within_s, name):
        engine = kind(config)
    logs.adopt(*kind.loggers)
    seconds = round(time.monotonic() - started, 1)
    extra = {"action": "model_loaded", "seconds": seconds}
    log.info("loaded %s in %s s", name, seconds, extra=extra)
    return engine


@contextlib.contextmanager
def _time_limit(seconds: float, variant: str) -> Iterator[None]:
    """Ends this process after `seconds`: a download, a lock or a GPU's driver may hang for ever,
    and none of them can be cancelled. The supervisor starts another.
    """
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
