"""The files of a model folder that every family has: JSON, and a tokenizer trained on the spot."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

Json = dict[str, Any]

CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]

THINK = ("<think>", "</think>")  # tokens of their own, yet not special

SENTENCES = (
    "the camera follows a car driving down the road at night",
    "Frame 1 sampled at 0.50 seconds: a woman opens a door and walks into the room",
    "Describe the video in detail. You are a helpful assistant.",
)
VOCABULARY = 1024


def write_json(path: Path, content: Json) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_tokenizer(
    folder: Path,
    *,
    special: Sequence[str],
    plain: Sequence[str] = (),
    end: str,
    padding: str,
    template: str,
    longest: int,
) -> dict[str, int]:
    """Train a byte-level BPE tokenizer and write it with the chat template; the tokens' ids.

    `special` tokens are skipped when decoding, `plain` ones are whole tokens that are not.
    `end` ends an answer; `longest` is the context in tokens.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES * 20, trainer)
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in plain])
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": end,
            "pad_token": padding,
            "additional_special_tokens": list(special),
            "clean_up_tokenization_spaces": False,
            "model_max_length": longest,
        },
    )
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    known = tokenizer.get_vocab()
    ids = {token: known[token] for token in (*special, *plain)}
    write_json(
        folder / "generation_config.json", {"eos_token_id": ids[end], "pad_token_id": ids[padding]}
    )
    return ids
