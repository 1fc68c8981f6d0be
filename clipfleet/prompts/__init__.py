"""The built-in prompts: files beside this one, by step and variant.

`clipfleet prompts` lists and prints them; the options `…-prompt-text` replace them.
"""

import hashlib
from pathlib import Path

from clipfleet.options import CaptionOptions, EnhanceOptions

_FOLDER = Path(__file__).parent


def _read(step: str) -> dict[str, str]:
    files = sorted((_FOLDER / step).glob("*.txt"), key=lambda path: (path.stem != "default", path))
    return {path.stem: path.read_text(encoding="utf-8").removesuffix("\n") for path in files}


CAPTION = _read("caption")
STAGE2 = _read("stage2")["default"]
ENHANCE = _read("enhance")


def built_in() -> dict[str, str]:
    """Every prompt by its name, such as "caption/av"."""
    steps = {"caption": CAPTION, "stage2": {"default": STAGE2}, "enhance": ENHANCE}
    return {f"{step}/{name}": text for step, texts in steps.items() for name, text in texts.items()}


def caption_prompt(options: CaptionOptions) -> str:
    """The user prompt of the caption model."""
    return options.prompt_text or CAPTION[options.prompt_variant]


def stage2_text(options: CaptionOptions) -> str:
    """The prompt of the second pass, before the first caption is inserted."""
    return options.stage2_prompt_text or STAGE2


def stage2_prompt(options: CaptionOptions, caption: str) -> str:
    """The prompt of the second pass, with the first caption inserted literally."""
    text = stage2_text(options)
    return text.replace("{caption}", caption) if "{caption}" in text else f"{text}\n\n{caption}"


def enhance_prompt(options: EnhanceOptions) -> str:
    """The system prompt of the enhancer; the caption is the user's turn."""
    return options.prompt_text or ENHANCE[options.prompt_variant]


def sha256(prompt: str) -> str:
    """The prompt's hash, as records carry it."""
    return hashlib.sha256(prompt.encode()).hexdigest()
