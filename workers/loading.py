"""Loads the models that a GPU worker serves, one engine where one will do."""

import logging
import threading
import time

from clipfleet.errors import UsageError
from clipfleet.options import Options
from clipfleet.queues import CAPTION, ENHANCE
from clipfleet.settings import Settings
from workers import models
from workers.context import LoadedModel
from workers.engines.vllm import VllmEngine

log = logging.getLogger("clipfleet")


def load_models(
    settings: Settings, queues: tuple[str, ...], options: Options
) -> dict[str, LoadedModel]:
    """The model of each queue. `caption` and `enhance` together share one engine.

    Raises `UsageError` where they ask for different models, `ModelUnavailable` where one cannot
    be loaded.
    """
    caption, enhance = options.caption, options.enhance
    sizes = {CAPTION: caption.caption_batch_size, ENHANCE: enhance.model_batch_size}
    if len(queues) > 1 and not options.one_engine:
        raise UsageError(
            f"one engine cannot hold both {caption.model_variant} and {enhance.model_variant}: "
            "start a worker for caption and another for enhance"
        )
    wanted = caption if CAPTION in queues else enhance
    started = time.monotonic()
    log.info("loading %s", wanted.model_variant, extra={"action": "model_loading"})
    model = models.find(wanted.model_variant)
    weights, revision = models.weights(
        model, model_dir=wanted.model_dir, cache_dir=settings.cache_dir
    )
    engine = VllmEngine(
        model,
        weights,
        cache_dir=settings.cache_dir,
        batch_size=max(sizes[queue] for queue in queues),
        fp8=wanted.fp8,
        disable_mmcache=caption.disable_mmcache and CAPTION in queues,
        gpu_memory_share=settings.gpu_memory_share,
    )
    seconds = round(time.monotonic() - started, 1)
    log.info(
        "loaded %s in %s s",
        model.name,
        seconds,
        extra={"action": "model_loaded", "seconds": seconds},
    )
    return {
        queue: LoadedModel(
            engine=engine,
            slots=threading.BoundedSemaphore(sizes[queue]),
            variant=str(wanted.model_variant),
            fp8=wanted.fp8,
            repository=model.repository or model.name,
            revision=revision,
        )
        for queue in queues
    }
