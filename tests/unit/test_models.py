"""The registry of models, and what names there are beyond it."""

import dataclasses
import re
from pathlib import Path

import pytest

from clipfleet import models
from clipfleet.models import NEMOTRON_VL_FAMILY, QWEN2_5_VL_FAMILY, QWEN3_VL_FAMILY
from clipfleet.options import CaptionOptions, EnhanceOptions, Options
from clipfleet_workers.inference.vllm_engine import plugin


@pytest.mark.parametrize("model", models.MODELS.values(), ids=lambda model: model.name)
def test_every_model_is_pinned_to_a_commit(model: models.Model) -> None:
    assert re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{12}", model.revision)


@pytest.mark.parametrize("model", models.MODELS.values(), ids=lambda model: model.name)
def test_a_model_that_needs_a_newer_gpu_names_one_that_does_not(model: models.Model) -> None:
    if model.needs_capability is None:
        assert model.instead is None
        return
    assert model.instead is not None
    instead = models.find(model.instead)
    assert (instead.needs_capability or (0, 0)) < model.needs_capability


def test_other_weights_of_a_known_kind_have_that_kinds_settings() -> None:
    ours = models.find("qwen3:Qwen/Qwen3-VL-4B-Instruct@a1b2")

    assert (ours.repository, ours.revision) == ("Qwen/Qwen3-VL-4B-Instruct", "a1b2")
    assert (ours.family, ours.grid) == (QWEN3_VL_FAMILY, models.find("qwen3").grid)
    assert models.find("qwen:/models/ours").repository == "/models/ours"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gpt", "there is no model gpt; there are qwen, qwen3, nemotron"),
        ("gpt:a/b", "there is no model gpt:a/b"),
        ("qwen:", "neither a folder by its absolute path nor OWNER/NAME"),
        ("qwen:models/../../etc", "neither a folder"),
        ("qwen:ours", "neither a folder"),
        ("qwen_lm", "qwen_lm sees no frames and cannot caption; these can: qwen, qwen3"),
    ],
)
def test_a_caption_model_that_there_is_not_is_refused_with_those_there_are(
    name: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        CaptionOptions(model_variant=name)


def test_the_model_that_captions_may_enhance_on_the_same_engine() -> None:
    options = Options(
        caption=CaptionOptions(model_variant="qwen3", fp8=True, model_dir="/w"),
        enhance=EnhanceOptions(enabled=True, model_variant="same"),
    )
    assert options.enhancer == ("qwen3", True, "/w")
    assert options.one_engine


def test_same_with_mini_has_its_caveat_once() -> None:
    options = Options(
        caption=CaptionOptions(model_variant="mini"),
        enhance=EnhanceOptions(enabled=True, model_variant="same"),
    )
    assert options.caveats == [models.find("mini").caveat]


def test_other_weights_under_the_same_name_give_another_hash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = Options().hash
    newer = dataclasses.replace(models.find("qwen"), revision="f" * 40)
    monkeypatch.setitem(models.MODELS, "qwen", newer)

    assert Options().hash != before


def test_a_class_of_ours_replaces_one_architecture_of_vllms() -> None:
    ours = [model.family.vllm_classes for model in models.MODELS.values()]
    folder = Path(plugin.__file__).parent

    for architecture, where in {pair for classes in ours for pair in classes.items()}:
        module, _, name = where.partition(":")
        assert f"class {name}(" in (folder / f"{module}.py").read_text(), architecture


@pytest.mark.parametrize(
    ("family", "size", "tokens"),
    [
        (QWEN2_5_VL_FAMILY, (16, 560, 1008), 5760),  # as DESIGN measured it
        (QWEN2_5_VL_FAMILY, (7, 56, 56), 16),
        (QWEN3_VL_FAMILY, (16, 576, 1024), 8 * (18 * 32 + 16)),
        (NEMOTRON_VL_FAMILY, (16, 512, 512), 16 * (256 + 32)),
    ],
)
def test_a_windows_tokens_are_counted_by_its_family(
    family: models.Family, size: tuple[int, int, int], tokens: int
) -> None:
    frames, height, width = size

    assert family.count_tokens(num_frames=frames, height_px=height, width_px=width) == tokens
