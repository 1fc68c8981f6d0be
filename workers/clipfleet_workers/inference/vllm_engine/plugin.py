"""Our vLLM plug-in: what vLLM runs in each of its processes before it loads a model."""

import os

from clipfleet.models import MODELS

# Set only by `vllm_engine.engine`: a vLLM that somebody else starts in the same environment is left
# alone.
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
