"""The parts of `mini`: its tokenizer, chat template, processor and shape."""

import json
from pathlib import Path
from random import Random
from typing import Any

from clipfleet import prompts
from clipfleet.models import MINI_GRID
from clipfleet_producer.samples.scene import LONGEST_S, SHORTEST_S, draw_scene
from clipfleet_producer.samples.words import caption, enhanced_caption

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
# Qwen's form: roles between marks, a video as one pad token that the processor multiplies.
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for c in m['content'] %}"
    "{% if c['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
VOCABULARY = 1024
# Positions a second: an event is placed to a quarter of one.
TOKENS_PER_SECOND = 4
_CONTEXT = 32_768


def build_tokenizer() -> Any:
    """A byte-level BPE tokenizer whose words are those of captions and of the built-in prompts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    random = Random("tokenizer")
    scenes = [
        draw_scene(random, seconds=random.uniform(SHORTEST_S, LONGEST_S)) for _ in range(4000)
    ]
    corpus = [text for scene in scenes for text in (caption(scene), enhanced_caption(scene))]
    corpus += [prompts.STAGE2, *prompts.CAPTION.values(), *prompts.ENHANCE.values()] * 200
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL),
        chat_template=CHAT_TEMPLATE,
    )


def build_config(tokenizer: Any) -> Any:
    """The shape: Qwen2.5-VL's architecture, at 7 million parameters.

    All vision layers see a whole pair of frames: they are small. Heads have 32 numbers, the fewest
    that vLLM runs on a CPU. `rope_theta` is low, for positions that differ by ones must differ.
    """
    from transformers import Qwen2_5_VLConfig

    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}
    return Qwen2_5_VLConfig(
        architectures=["Qwen2_5_VLForConditionalGeneration"],
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 256,
            "intermediate_size": 704,
            "num_hidden_layers": 6,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "max_position_embeddings": _CONTEXT,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 100.0,
                "mrope_section": [4, 6, 6],
            },
            "bos_token_id": None,
            "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
            "tie_word_embeddings": False,
        },
        vision_config={
            "depth": 4,
            "hidden_size": 192,
            "num_heads": 6,
            "intermediate_size": 448,
            "out_hidden_size": 256,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "tokens_per_second": TOKENS_PER_SECOND,
            "window_size": 112,
            "fullatt_block_indexes": [0, 1, 2, 3],
            "in_channels": 3,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
    )


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write the model as float16 safetensors, with all that loading it takes."""
    import torch
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    folder.mkdir(parents=True, exist_ok=True)
    model.generation_config.eos_token_id = model.config.text_config.eos_token_id
    model.generation_config.pad_token_id = model.config.text_config.pad_token_id
    model.to(torch.float16).save_pretrained(folder)
    Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(
            size={"shortest_edge": MINI_GRID.min_pixels, "longest_edge": MINI_GRID.max_pixels}
        ),
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(folder)
    for path in folder.glob("*.json"):  # whatever the libraries' habits: one line ending, sorted
        path.write_text(json.dumps(json.loads(path.read_text()), indent=1, ensure_ascii=False))
