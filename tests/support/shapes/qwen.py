"""Model folders of the Qwen family: two that see, two that only read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.shapes.files import (
    CLIP_MEAN,
    CLIP_STD,
    THINK,
    Json,
    write_json,
    write_tokenizer,
)

QWEN_SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

_CONTENT = (
    "{% if m.content is string %}{{ m.content }}{% else %}{% for part in m.content %}"
    "{% if part.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}"
)
_TURNS = "{% for m in messages %}<|im_start|>{{ m.role }}\n" + _CONTENT + "<|im_end|>\n{% endfor %}"
_DEFAULT_SYSTEM = (
    "{% if messages[0].role != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
)
_ANSWER = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
_ANSWER_WITHOUT_THOUGHT = (
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}"
    "<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
QWEN2_TEMPLATE = _DEFAULT_SYSTEM + _TURNS + _ANSWER
QWEN3_VL_TEMPLATE = _TURNS + _ANSWER
QWEN3_TEMPLATE = _TURNS + _ANSWER_WITHOUT_THOUGHT

HALF = [0.5, 0.5, 0.5]


def _write_qwen_tokenizer(
    folder: Path, template: str, longest: int, plain: Sequence[str] = ()
) -> dict[str, int]:
    return write_tokenizer(
        folder,
        special=QWEN_SPECIAL,
        plain=plain,
        end="<|im_end|>",
        padding="<|endoftext|>",
        template=template,
        longest=longest,
    )


def _vision_ids(ids: dict[str, int]) -> Json:
    return {
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
    }


def _decoder(ids: dict[str, int], **shape: Any) -> Json:
    """What the language models of all four have in common, and `shape`."""
    return {
        "attention_dropout": 0.0,
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "tie_word_embeddings": False,
        "dtype": "bfloat16",
        "use_cache": True,
        **shape,
    }


# Heads stay as wide as in the full models: rotary sections and kernels depend on the width.
_TINY_DECODER = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}


_TEXT_2_5_7B = {
    "hidden_size": 3584,
    "intermediate_size": 18_944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
}
_VISION_2_5_7B = {
    "depth": 32,
    "hidden_size": 1280,
    "num_heads": 16,
    "intermediate_size": 3420,
    "out_hidden_size": 3584,
    "fullatt_block_indexes": [7, 15, 23, 31],
}
_TINY_VISION_2_5 = {
    "depth": 2,
    "hidden_size": 160,
    "num_heads": 2,
    "intermediate_size": 320,
    "out_hidden_size": 256,
    "fullatt_block_indexes": [1],
}


def write_qwen2_5_vl_7b(folder: Path, tiny: bool) -> None:
    ids = _write_qwen_tokenizer(folder, QWEN2_TEMPLATE, 131_072)
    text = _TINY_DECODER if tiny else _TEXT_2_5_7B
    vision = _TINY_VISION_2_5 if tiny else _VISION_2_5_7B
    write_json(
        folder / "config.json",
        {
            "architectures": ["Qwen2_5_VLForConditionalGeneration"],
            "model_type": "qwen2_5_vl",
            **_vision_ids(ids),
            **_decoder(
                ids,
                vocab_size=152_064,
                max_position_embeddings=128_000,
                rope_scaling={"type": "mrope", "mrope_section": [16, 24, 24]},
                **text,
            ),
            "vision_config": {
                "model_type": "qwen2_5_vl",
                "hidden_act": "silu",
                "in_chans": 3,
                "patch_size": 14,
                "spatial_patch_size": 14,
                "spatial_merge_size": 2,
                "temporal_patch_size": 2,
                "tokens_per_second": 2,
                "window_size": 112,
                **vision,
            },
        },
    )
    _write_qwen_processors(
        folder,
        processor="Qwen2_5_VLProcessor",
        video="Qwen2VLVideoProcessor",
        patch=14,
        mean=CLIP_MEAN,
        std=CLIP_STD,
        image_pixels=(3136, 12_845_056),
        video_pixels=(3136, 12_845_056),
    )


_TEXT_3_8B = {
    "hidden_size": 4096,
    "intermediate_size": 12_288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}
_TINY_TEXT_3 = {**_TINY_DECODER, "num_hidden_layers": 4}  # deepstack feeds the first three
_VISION_3_8B = {
    "depth": 27,
    "hidden_size": 1152,
    "num_heads": 16,
    "intermediate_size": 4304,
    "out_hidden_size": 4096,
    "deepstack_visual_indexes": [8, 16, 24],
}
_TINY_VISION_3 = {
    "depth": 4,
    "hidden_size": 144,
    "num_heads": 2,
    "intermediate_size": 288,
    "out_hidden_size": 256,
    "deepstack_visual_indexes": [1, 2, 3],
}


def write_qwen3_vl_8b(folder: Path, tiny: bool) -> None:
    ids = _write_qwen_tokenizer(folder, QWEN3_VL_TEMPLATE, 262_144)
    text = _decoder(
        ids,
        attention_bias=False,
        head_dim=128,
        vocab_size=151_936,
        max_position_embeddings=262_144,
        **(_TINY_TEXT_3 if tiny else _TEXT_3_8B),
    )
    write_json(
        folder / "config.json",
        {
            "architectures": ["Qwen3VLForConditionalGeneration"],
            "model_type": "qwen3_vl",
            **_vision_ids(ids),
            "tie_word_embeddings": False,
            "text_config": {
                "model_type": "qwen3_vl_text",
                **text,
                "rope_theta": 5_000_000,
                "rope_scaling": {
                    "rope_type": "default",
                    "mrope_interleaved": True,
                    "mrope_section": [24, 20, 20],
                },
            },
            "vision_config": {
                "model_type": "qwen3_vl",
                "hidden_act": "gelu_pytorch_tanh",
                "in_channels": 3,
                "initializer_range": 0.02,
                "num_position_embeddings": 2304,
                "patch_size": 16,
                "spatial_merge_size": 2,
                "temporal_patch_size": 2,
                **(_TINY_VISION_3 if tiny else _VISION_3_8B),
            },
        },
    )
    _write_qwen_processors(
        folder,
        processor="Qwen3VLProcessor",
        video="Qwen3VLVideoProcessor",
        patch=16,
        mean=HALF,
        std=HALF,
        image_pixels=(65_536, 16_777_216),
        video_pixels=(4096, 25_165_824),
    )


def _write_qwen_processors(
    folder: Path,
    *,
    processor: str,
    video: str,
    patch: int,
    mean: list[float],
    std: list[float],
    image_pixels: tuple[int, int],
    video_pixels: tuple[int, int],
) -> None:
    common: Json = {
        "processor_class": processor,
        "image_mean": mean,
        "image_std": std,
        "merge_size": 2,
        "patch_size": patch,
        "temporal_patch_size": 2,
    }
    for file, kind, pixels in (
        (
            "preprocessor_config.json",
            {"image_processor_type": "Qwen2VLImageProcessor"},
            image_pixels,
        ),
        ("video_preprocessor_config.json", {"video_processor_type": video}, video_pixels),
    ):
        size = {"shortest_edge": pixels[0], "longest_edge": pixels[1]}
        write_json(folder / file, {**common, **kind, "size": size})


def _write_language_model(
    folder: Path,
    tiny: bool,
    *,
    family: str,
    template: str,
    plain: Sequence[str],
    longest: int,
    **shape: Any,
) -> None:
    ids = _write_qwen_tokenizer(folder, template, longest, plain)
    if tiny:
        shape.update(_TINY_DECODER)
    write_json(
        folder / "config.json",
        {
            "architectures": [f"{family.capitalize()}ForCausalLM"],
            "model_type": family,
            **_decoder(ids, max_position_embeddings=longest, **shape),
        },
    )


def write_qwen2_5_14b(folder: Path, tiny: bool) -> None:
    _write_language_model(
        folder,
        tiny,
        family="qwen2",
        template=QWEN2_TEMPLATE,
        plain=(),
        longest=32_768,
        vocab_size=152_064,
        hidden_size=5120,
        intermediate_size=13_824,
        num_hidden_layers=48,
        num_attention_heads=40,
        num_key_value_heads=8,
    )


def write_qwen3_14b(folder: Path, tiny: bool) -> None:
    _write_language_model(
        folder,
        tiny,
        family="qwen3",
        template=QWEN3_TEMPLATE,
        plain=THINK,
        longest=40_960,
        attention_bias=False,
        head_dim=128,
        vocab_size=151_936,
        hidden_size=5120,
        intermediate_size=17_408,
        num_hidden_layers=40,
        num_attention_heads=40,
        num_key_value_heads=8,
    )
