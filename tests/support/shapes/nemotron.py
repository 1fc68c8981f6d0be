"""The model folder of NVIDIA-Nemotron-Nano-12B-v2-VL: a hybrid Mamba model that sees.

The repository's files are not public code to copy, so what is here is put together from what
others read of it: layers and sizes from Megatron-Bridge's provider of this model, the vocabulary
from its training script's padding (131,072 tokens and the vision tokens, padded to a multiple of
16,512), the vision tower from C-RADIOv2-H.
"""

import shutil
from pathlib import Path
from typing import Any

from tests.support.shapes import nemotron_configuration
from tests.support.shapes.files import (
    CLIP_MEAN,
    CLIP_STD,
    THINK,
    Json,
    write_json,
    write_tokenizer,
)

CONTEXT = 131_072
SPECIAL = (
    "<unk>",
    "<s>",
    "</s>",
    "<SPECIAL_10>",
    "<SPECIAL_11>",
    "<SPECIAL_12>",
    "<image>",
    "<img>",
    "</img>",
    "<video>",
)
# `/no_think` in a message switches the reasoning off: the answer starts with an empty thought.
TEMPLATE = (
    "{% set mode = namespace(think=true) %}"
    "{% if messages[0].role != 'system' %}<SPECIAL_10>System\n\n{% endif %}"
    "{% for m in messages %}"
    "{% set said = namespace(text='') %}"
    "{% if m.content is string %}{% set said.text = m.content %}"
    "{% else %}{% for part in m.content %}"
    "{% if part.type == 'video' %}{% set said.text = said.text + '<video>\n' %}"
    "{% elif part.type == 'image' %}{% set said.text = said.text + '<image>\n' %}"
    "{% else %}{% set said.text = said.text + part.text %}{% endif %}"
    "{% endfor %}{% endif %}"
    "{% if '/no_think' in said.text %}{% set mode.think = false %}"
    "{% elif '/think' in said.text %}{% set mode.think = true %}{% endif %}"
    "{% set text = said.text | replace('/no_think', '') | replace('/think', '') | trim %}"
    "{% if m.role == 'system' %}<SPECIAL_10>System\n{{ text }}\n"
    "{% elif m.role == 'user' %}<SPECIAL_11>User\n{{ text }}\n"
    "{% else %}<SPECIAL_11>Assistant\n{{ text }}\n<SPECIAL_12>\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<SPECIAL_11>Assistant\n"
    "{% if mode.think %}<think>\n{% else %}<think></think>{% endif %}{% endif %}"
)

_LANGUAGE: Json = {
    "hybrid_override_pattern": "M-M-M-M*-" + "M-M-M-M*-" * 5 + "M-M-M-M-",
    "hidden_size": 5120,
    "intermediate_size": 20_480,
    "num_attention_heads": 40,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "mamba_num_heads": 128,
    "mamba_head_dim": 80,
    "n_groups": 8,
    "ssm_state_size": 128,
}
_TINY_LANGUAGE: Json = {
    "hybrid_override_pattern": "M-M*-",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "mamba_num_heads": 8,
    "mamba_head_dim": 64,
    "n_groups": 2,
    "ssm_state_size": 64,
}
# vLLM knows RADIO's sizes by the name in `model`: 32 layers of 1280, and 12 of 384.
_VISION: Json = {"vit": "vit_huge_patch16_224", "width": 1280, "projector": 20_480, "tile": 512}
_TINY_VISION: Json = {"vit": "vit_small_patch16_224", "width": 384, "projector": 512, "tile": 128}


def write_nemotron(folder: Path, tiny: bool, *, quantization: str | None = None) -> None:
    """Write the folder; `quantization` is ModelOpt's name for it, FP8 or NVFP4."""
    ids = write_tokenizer(
        folder,
        special=SPECIAL,
        plain=THINK,
        end="<SPECIAL_12>",
        padding="<unk>",
        template=TEMPLATE,
        longest=CONTEXT,
    )
    source = Path(nemotron_configuration.__file__)
    shutil.copyfile(source, folder / "configuration.py")
    vision = _TINY_VISION if tiny else _VISION
    config: Json = {
        "architectures": ["NemotronH_Nano_VL_V2"],
        "model_type": "NemotronH_Nano_VL_V2",
        "auto_map": {"AutoConfig": "configuration.NemotronNanoVLConfig"},
        "dtype": "bfloat16",
        "max_sequence_length": CONTEXT,
        "force_image_size": vision["tile"],
        "patch_size": 16,
        "downsample_ratio": 0.5,
        "ps_version": "v2",
        "use_thumbnail": True,
        "image_tag_type": "internvl",
        "template": "nemotron",
        "img_context_token": "<image>",
        "img_context_token_id": ids["<image>"],
        "img_start_token": "<img>",
        "img_end_token": "</img>",
        "video_context_token": "<video>",
        "video_context_token_id": ids["<video>"],
        "video_pruning_rate": 0.0,
        "norm_mean": CLIP_MEAN,
        "norm_std": CLIP_STD,
        "vit_hidden_size": vision["width"],
        "projector_hidden_size": vision["projector"],
        "eos_token_id": ids["<SPECIAL_12>"],
        "llm_config": _language_model(ids, tiny),
        "vision_config": _radio(vision),
    }
    if quantization is not None:
        config["quantization_config"] = _modelopt(quantization)
    write_json(folder / "config.json", config)


def _radio(vision: Json) -> Json:
    return {
        "model_type": "radio",
        "dtype": "bfloat16",
        "patch_size": 16,
        "max_resolution": 2048,
        "preferred_resolution": [vision["tile"], vision["tile"]],
        "version": "radio_v2.5-h",
        # Four teachers' summary tokens, filled up to 16 with registers.
        "args": {
            "model": vision["vit"],
            "cpe_max_size": 2048,
            "register_multiple": 16,
            "cls_token_per_teacher": True,
            "teachers": [
                {"name": "clip", "use_summary": True},
                {"name": "siglip", "use_summary": True},
                {"name": "dino_v2", "use_summary": True},
                {"name": "sam", "use_summary": False},
            ],
        },
    }


def _language_model(ids: dict[str, int], tiny: bool) -> Json:
    return {
        "architectures": ["NemotronHForCausalLM"],
        "model_type": "nemotron_h",
        "dtype": "bfloat16",
        "vocab_size": 132_096,
        "max_position_embeddings": CONTEXT,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "chunk_size": 128,
        "conv_kernel": 4,
        "expand": 2,
        "hidden_dropout": 0.0,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "mamba_hidden_act": "silu",
        "mamba_proj_bias": False,
        "mamba_ssm_cache_dtype": "float32",
        "mlp_bias": False,
        "mlp_hidden_act": "relu2",
        "num_logits_to_keep": 1,
        "residual_in_fp32": False,
        "sliding_window": None,
        "tie_word_embeddings": False,
        "use_bias": False,
        "use_cache": True,
        "use_conv_bias": True,
        "bos_token_id": ids["<s>"],
        "eos_token_id": ids["<SPECIAL_12>"],
        "pad_token_id": ids["<unk>"],
        **(_TINY_LANGUAGE if tiny else _LANGUAGE),
    }


def _modelopt(algorithm: str) -> Json:
    """How ModelOpt declares its work in config.json: all of the language model but its head."""
    declared: Json = {
        "quant_method": "modelopt",
        "quant_algo": algorithm,
        "producer": {"name": "modelopt"},
        "ignore": ["language_model.lm_head", "vision_model*", "mlp1*"],
    }
    group: dict[str, Any] = {"group_size": 16} if algorithm == "NVFP4" else {}
    return {**declared, **group}
