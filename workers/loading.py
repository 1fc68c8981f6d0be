"""Loads the models that a GPU worker serves, one engine where one will do."""

import logging
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
    if CAPTION not in queues:
        model = _load(
            settings,
            enhance.model_variant,
            enhance.model_dir,
            batch_size=enhance.model_batch_size,
            fp8=enhance.fp8,
        )
        return {ENHANCE: model}
    if ENHANCE in queues and (str(caption.model_variant), caption.fp8) != (
        str(enhance.model_variant),
        enhance.fp8,
    ):
        raise UsageError(
            f"one engine cannot hold both {caption.model_variant} and {enhance.model_variant}: "
            "start a worker for caption and another for enhance"
        )
    model = _load(
        settings,
        caption.model_variant,
        caption.model_dir,
        batch_size=max(
            caption.caption_batch_size, enhance.model_batch_size if ENHANCE in queues else 1
        ),
        fp8=caption.fp8,
        disable_mmcache=caption.disable_mmcache,
    )
    return dict.fromkeys(queues, model)


def _load(
    settings: Settings,
    variant: str,
    model_dir: str | None,
    *,
    batch_size: int,
    fp8: bool,
    disable_mmcache: bool = False,
) -> LoadedModel:
    started = time.monotonic()
    log.info("loading %s", variant, extra={"action": "model_loading"})
    model = models.find(variant)
    weights = models.weights(model, model_dir=model_dir, cache_dir=settings.cache_dir)
    engine = VllmEngine(
        model,
        weights,
        cache_dir=settings.cache_dir,
        batch_size=batch_size,
        fp8=fp8,
        disable_mmcache=disable_mmcache,
    )
    seconds = time.monotonic() - started
    log.info(
        "loaded %s in %.0f s",
        variant,
        seconds,
        extra={"action": "model_loaded", "seconds": seconds},
    )
    return LoadedModel(
        engine=engine,
        variant=str(variant),
        fp8=fp8,
        repository=model.repository or model.name,
        revision=model.revision if model_dir is None else str(weights),
    )
