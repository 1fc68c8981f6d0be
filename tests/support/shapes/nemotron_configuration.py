"""The configuration class that a Nemotron Nano VL folder brings along as remote code.

Neither transformers nor vLLM knows this model type, so its repository carries a Python file that
`trust_remote_code` runs. `shapes_nemotron` copies this one into the folder. It imports nothing of
clipfleet. Attributes are named as vLLM reads them.
"""

from typing import Any

from transformers import PretrainedConfig

KINDS = {"M": "mamba", "*": "attention", "-": "mlp"}


class NemotronHConfig(PretrainedConfig):  # type: ignore[misc]
    """The language model: Mamba2, attention and MLP layers in the order of a pattern.

    Written out here because transformers' own class of this name drops the pattern and has
    renamed the kinds of layers between versions; vLLM counts layers by `layers_block_type`.
    """

    model_type = "nemotron_h"

    def __init__(self, hybrid_override_pattern: str = "M*-", **kwargs: Any) -> None:
        self.hybrid_override_pattern = hybrid_override_pattern
        self.num_hidden_layers = len(hybrid_override_pattern)
        self.layers_block_type = [KINDS[letter] for letter in hybrid_override_pattern]
        kwargs.pop("num_hidden_layers", None)
        kwargs.pop("layers_block_type", None)
        super().__init__(**kwargs)


class RadioVisionConfig(PretrainedConfig):  # type: ignore[misc]
    """The vision tower; `args` are those of its training, of which vLLM reads a few."""

    model_type = "radio"

    def __init__(self, args: dict[str, Any] | None = None, **kwargs: Any) -> None:
        self.args = args or {}
        super().__init__(**kwargs)


class NemotronNanoVLConfig(PretrainedConfig):  # type: ignore[misc]
    """Both together, with the projector between them and the sizes of image tiles."""

    model_type = "NemotronH_Nano_VL_V2"
    is_composition = True

    def __init__(
        self,
        llm_config: dict[str, Any] | None = None,
        vision_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.llm_config = NemotronHConfig(**(llm_config or {}))
        self.vision_config = RadioVisionConfig(**(vision_config or {}))
        super().__init__(**kwargs)
