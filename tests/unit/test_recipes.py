"""The recipe of each product: what it is made from, and nothing else."""

import dataclasses
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, create_model

from clipfleet import models
from clipfleet.options import (
    CaptionOptions,
    EnhanceOptions,
    Options,
    PrepareOptions,
    PreviewOptions,
    Shapes,
    option,
)
from tests.support.option_table import OPTIONS

CAPTION, ENHANCED = "caption:default", "enhanced:default"
ALL = {"windows", "preview", CAPTION, ENHANCED}
BASE = Options(enhance=EnhanceOptions(enabled=True))
# Where the base is another: there is nothing to enhance without captions.
BASES = {("prepare", "generate_captions"): Options()}
# What another value of each option changes; of all others, everything that its group makes.
CHANGED = {
    ("prepare", "window_size"): ALL,
    ("prepare", "remainder_threshold"): ALL,
    ("prepare", "generate_previews"): {"preview"},
    ("prepare", "generate_captions"): {CAPTION},
    ("prepare", "upload_clips"): {"clip"},
    ("enhance", "enabled"): {ENHANCED},
}
MADE = {
    "prepare": {CAPTION, ENHANCED},
    "preview": {"preview"},
    "caption": {CAPTION, ENHANCED},
    "enhance": {ENHANCED},
}


def with_option(options: Options, group: str, name: str, value: object) -> Options:
    """The options with another one."""
    changed = {**getattr(options, group).model_dump(), name: value}
    return Options.model_validate({**options.model_dump(), group: changed})


@pytest.mark.parametrize("changed", OPTIONS, ids=".".join)
def test_an_option_changes_what_it_shapes_and_what_is_made_from_that(
    changed: tuple[str, str],
) -> None:
    row, (group, name), base = OPTIONS[changed], changed, BASES.get(changed, BASE)
    value = not getattr(BASE.enhance, name) if name == "enabled" else row.other
    before, after = base.recipes, with_option(base, group, name, value).recipes

    differing = {p for p in before.keys() | after.keys() if before.get(p) != after.get(p)}

    assert differing == (CHANGED.get(changed, MADE[group]) if row.shapes else set())


def test_other_weights_are_another_recipe_of_what_they_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = BASE.recipes
    newer = dataclasses.replace(models.MODELS["qwen_lm"], revision="newer")
    monkeypatch.setitem(models.MODELS, "qwen_lm", newer)

    assert {p for p, recipe in BASE.recipes.items() if recipe != before[p]} == {ENHANCED}


def added(group: type[BaseModel], **field: object) -> Any:
    """The group as a later version might have it."""
    return create_model(group.__name__, __base__=group, **field)  # type: ignore[call-overload]


@pytest.mark.parametrize("group", [PrepareOptions, PreviewOptions, CaptionOptions, EnhanceOptions])
@pytest.mark.parametrize("shapes", [None, *Shapes])
def test_a_new_option_at_its_default_changes_no_hash(
    group: type[BaseModel], shapes: Shapes | None
) -> None:
    name = group.__name__.removesuffix("Options").lower()
    later_group = added(group, later=(int, option(3, "Later.", flag="--later", shapes=shapes)))
    later = added(Options, **{name: (later_group, later_group())})

    known = later.model_validate({**BASE.model_dump()})
    other = later.model_validate(
        {**BASE.model_dump(), name: {**getattr(BASE, name).model_dump(), "later": 4}}
    )

    assert (known.hash, known.recipes) == (BASE.hash, BASE.recipes)
    assert (other.hash == BASE.hash) is (shapes is Shapes.NOTHING)
    assert (other.recipes == BASE.recipes) is (shapes in (Shapes.NOTHING, Shapes.CHOICE))


def test_a_new_group_of_options_at_its_default_changes_no_hash() -> None:
    class Judge(CaptionOptions):
        about: ClassVar[Shapes] = Shapes.CAPTION

    later = added(Options, judge=(Judge, Judge()))()

    assert (later.hash, later.recipes) == (Options().hash, Options().recipes)
