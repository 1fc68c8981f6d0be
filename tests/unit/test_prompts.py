"""The prompts that models are given."""

import hashlib

import pytest
from click.testing import CliRunner

from clipfleet import prompts
from clipfleet.errors import UsageError
from clipfleet.options import CaptionOptions, EnhanceOptions, EnhancePromptVariant, PromptVariant
from clipfleet_producer.cli.main import cli

TRICKY = [r"\d+", r"\1 \g<0>", "{caption}", "{0} {}", "<|im_end|>", "%s", "$1", "a\nb", ""]


@pytest.mark.parametrize("variant", ["default", "av", "av-surveillance"])
def test_each_caption_variant_has_a_prompt_of_its_own(variant: PromptVariant) -> None:
    prompt = prompts.caption_prompt(CaptionOptions(prompt_variant=variant))

    assert prompt == prompts.CAPTION[variant]
    assert list(prompts.CAPTION.values()).count(prompt) == 1


@pytest.mark.parametrize("variant", ["default", "av-surveillance"])
def test_each_enhance_variant_has_a_prompt_of_its_own(variant: EnhancePromptVariant) -> None:
    prompt = prompts.enhance_prompt(EnhanceOptions(prompt_variant=variant))

    assert prompt == prompts.ENHANCE[variant]
    assert list(prompts.ENHANCE.values()).count(prompt) == 1


def test_your_own_caption_prompt_wins_over_the_variant() -> None:
    options = CaptionOptions(prompt_variant="av", prompt_text="What is this?")

    assert prompts.caption_prompt(options) == "What is this?"


def test_your_own_enhance_prompt_wins_over_the_variant() -> None:
    options = EnhanceOptions(prompt_variant="av-surveillance", prompt_text="Be brief.")

    assert prompts.enhance_prompt(options) == "Be brief."


@pytest.mark.parametrize("caption", TRICKY)
def test_the_first_caption_stands_in_the_second_prompt_as_it_is(caption: str) -> None:
    options = CaptionOptions(stage2_prompt_text="First: {caption}. Again!")

    assert prompts.stage2_prompt(options, caption) == f"First: {caption}. Again!"


@pytest.mark.parametrize("caption", TRICKY)
def test_the_first_caption_stands_in_the_built_in_second_prompt_as_it_is(caption: str) -> None:
    before, _, after = prompts.STAGE2.partition("{caption}")

    assert prompts.stage2_prompt(CaptionOptions(), caption) == before + caption + after


def test_the_first_caption_follows_a_second_prompt_that_gives_it_no_place() -> None:
    options = CaptionOptions(stage2_prompt_text="Improve this:")

    assert prompts.stage2_prompt(options, "A car.") == "Improve this:\n\nA car."


def test_braces_in_a_second_prompt_are_left_alone() -> None:
    options = CaptionOptions(stage2_prompt_text='Answer as {"text": ""}: {caption}')

    assert prompts.stage2_prompt(options, "A car.") == 'Answer as {"text": ""}: A car.'


def test_a_prompts_hash_is_the_sha256_of_its_utf_8() -> None:
    assert prompts.sha256("é") == hashlib.sha256(b"\xc3\xa9").hexdigest()


def test_the_command_prints_each_prompt_as_it_is_given_to_models() -> None:
    listed = CliRunner().invoke(cli, ["prompts"]).output

    for name, text in prompts.built_in().items():
        assert name in listed
        assert CliRunner().invoke(cli, ["prompts", name]).output == text + "\n"


def test_the_command_names_the_prompts_there_are_for_one_there_is_not() -> None:
    with pytest.raises(UsageError, match="no prompt none; there are caption/default"):
        CliRunner().invoke(cli, ["prompts", "none"], catch_exceptions=False)
