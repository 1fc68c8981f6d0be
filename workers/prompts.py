"""The prompts that models are given."""

import hashlib

from clipfleet.options import CaptionOptions, EnhanceOptions

CAPTION = {
    "default": (
        "Describe this video clip in detail. Say what is there, what it looks like, where it is, "
        "what happens and in which order, and how the camera moves. State only what can be seen."
    ),
    "av": (
        "This clip was filmed from a vehicle. Describe the road, its lanes, signs and signals, "
        "the weather and the light, every vehicle, cyclist and pedestrian with its position and "
        "movement, and what the filming vehicle itself does, in the order in which it happens."
    ),
    "av-surveillance": (
        "This clip was filmed by a fixed camera that watches traffic. Describe the place, the "
        "road users, where each comes from and goes to, and anything unusual or dangerous, in "
        "the order in which it happens."
    ),
}

STAGE2 = (
    "Here is a first description of the clip:\n\n{caption}\n\nLook at the clip again. Correct what "
    "is wrong, add what is missing, and write the whole description anew."
)

ENHANCE = {
    "default": (
        "You rewrite descriptions of video clips. Make them longer, livelier and well ordered. "
        "Keep every fact and add none. Answer with the rewritten description alone."
    ),
    "av-surveillance": (
        "You rewrite descriptions of traffic filmed by a fixed camera. Make them precise and well "
        "ordered: place, road users, movements, incidents. Keep every fact and add none. Answer "
        "with the rewritten description alone."
    ),
}


def caption_prompt(options: CaptionOptions) -> str:
    """What the caption model is asked."""
    return options.prompt_text or CAPTION[options.prompt_variant]


def stage2_text(options: CaptionOptions) -> str:
    """The prompt of the second pass, before the first caption is put in."""
    return options.stage2_prompt_text or STAGE2


def stage2_prompt(options: CaptionOptions, caption: str) -> str:
    """What it is asked the second time, with the first caption as it is, never as a pattern."""
    text = stage2_text(options)
    return text.replace("{caption}", caption) if "{caption}" in text else f"{text}\n\n{caption}"


def enhance_prompt(options: EnhanceOptions) -> str:
    """The system prompt of the model that rewrites; the caption is the user's turn."""
    return options.prompt_text or ENHANCE[options.prompt_variant]


def sha256(prompt: str) -> str:
    """The prompt's hash, as records carry it."""
    return hashlib.sha256(prompt.encode()).hexdigest()
