"""vLLM's way in: what it runs in each of its processes before it loads a model."""

import os

from clipfleet.models import MODELS

# Set by `vllm_engine.engine` alone, so that a vLLM that others start in the same environment is
# left as it is.
ENABLED = "CLIPFLEET_ENGINE_PLUGIN"


def register() -> None:
    """Replace vLLM's models of some families with ours, which take frames as bytes."""
    if os.environ.get(ENABLED) != "1":
        return
    from vllm import ModelRegistry

    ours: dict[str, str] = {}
    for model in MODELS.values():
        ours |= model.family.vllm_classes
    for architecture, where in ours.items():
        ModelRegistry.register_model(architecture, f"{__package__}.{where}")
