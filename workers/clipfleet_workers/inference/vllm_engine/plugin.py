"""vLLM's way in: what it runs in each of its processes before it loads a model."""

import os

# Set by `vllm_engine.engine` alone, so that a vLLM that others start in the same environment is
# left as it is.
ENABLED = "CLIPFLEET_ENGINE_PLUGIN"

_MODELS = {
    "Qwen2_5_VLForConditionalGeneration": "RawQwen2_5VL",
    "Qwen3VLForConditionalGeneration": "RawQwen3VL",
}


def register() -> None:
    """Put our models, which take frames as bytes, in place of vLLM's own of the same name."""
    if os.environ.get(ENABLED) != "1":
        return
    from vllm import ModelRegistry

    for architecture, name in _MODELS.items():
        ModelRegistry.register_model(
            architecture, f"clipfleet_workers.inference.vllm_engine.raw_frames:{name}"
        )
