"""Sets: which options a run into one has, what is refused, and what the set is afterwards."""

import json

import pytest

from clipfleet import keys
from clipfleet.errors import NewerVersion, SetConflict, UsageError
from clipfleet.options import Options
from clipfleet.sets import (
    SetFile,
    added,
    begin,
    changed,
    check,
    differences,
    label,
    read_set_name,
    resolve,
)

WHEN = "2026-11-29T08:00:00+00:00"


def options(**groups: dict[str, object]) -> Options:
    return Options.model_validate(groups)


def made(**groups: dict[str, object]) -> SetFile:
    return begin("", resolve(options(**groups), None), run_id="r1", created_at=WHEN)


def into(found: SetFile, **groups: dict[str, object]) -> Options:
    return resolve(options(**groups), found)


def test_an_option_that_a_run_does_not_give_takes_the_value_of_its_set() -> None:
    found = made(caption={"prompt_text": "What moves?"}, prepare={"generate_previews": False})
    wanted = into(found)
    assert wanted.caption.prompt_text == "What moves?"
    assert not wanted.prepare.generate_previews
    assert wanted.recipes == found.products
    check(found, wanted)
    assert changed(found, wanted) is found


def test_an_option_that_shapes_nothing_is_the_runs_own() -> None:
    found = made(caption={"caption_batch_size": 64})
    assert into(found).caption.caption_batch_size == 16


def test_an_option_given_at_its_default_counts_as_given() -> None:
    found = made(prepare={"sampling_fps": 1.0})
    with pytest.raises(SetConflict, match=r"fps is 1\.0 there, 2\.0 here"):
        check(found, into(found, prepare={"sampling_fps": 2.0}))


def test_the_model_that_a_set_is_made_with_goes_before_the_machines_own() -> None:
    def here(captioner: str | None) -> Options:
        return options(
            caption={"model_variant": captioner or "mini"},
            enhance={"model_variant": "mini" if captioner in (None, "mini") else "qwen_lm"},
        )

    first = resolve(options(), None, here)
    assert (first.caption.model_variant, first.enhance.model_variant) == ("mini", "mini")
    found = made(caption={"model_variant": "qwen3"})
    later = resolve(options(enhance={"enabled": True}), found, here)
    assert (later.caption.model_variant, later.enhance.model_variant) == ("qwen3", "qwen_lm")


def test_every_option_that_differs_is_named_with_both_values_and_the_two_ways_on() -> None:
    found = made(caption={"prompt_text": "What moves?"})
    with pytest.raises(SetConflict) as refused:
        check(found, into(found, caption={"prompt_text": "Who is there?", "fp8": True}))
    said = str(refused.value)
    assert "set (default)" in said
    assert "--captioning-prompt-text is 'What moves?' there, 'Who is there?' here" in said
    assert "--captioning-fp8 is off there, on here" in said
    assert "--set NAME" in said
    assert "--overwrite" in said
    assert "\n" not in said


def test_of_long_prompts_the_place_where_they_differ_is_shown() -> None:
    same = "describe the scene in plain words " * 20
    found = made(caption={"prompt_text": same + "briefly"})
    (each,) = differences(found, into(found, caption={"prompt_text": same + "at length"}))
    assert "briefly" in each.of_set
    assert "at length" in each.asked
    assert len(str(each)) < 250


def test_a_built_in_prompt_that_is_named_goes_before_the_sets_own_text() -> None:
    found = made(caption={"prompt_text": "What moves?"})
    wanted = into(found, caption={"prompt_variant": "av"})
    assert wanted.caption.prompt_text is None
    assert differences(found, wanted)


def test_what_only_adds_is_no_change_and_asking_for_less_is_none_either() -> None:
    found = made()
    more = into(found, enhance={"enabled": True})
    assert added(found, more) == ["enhanced:default"]
    check(found, more)
    grown = changed(found, more)
    assert grown.products == more.recipes
    assert into(grown).enhance.enabled
    less = into(grown, enhance={"enabled": False}, prepare={"generate_previews": False})
    check(grown, less)
    assert changed(grown, less) is grown


def test_options_of_a_product_that_the_set_has_none_of_yet_are_free() -> None:
    found = made(prepare={"generate_previews": False})
    wanted = into(found, prepare={"generate_previews": True}, preview={"quality": 90})
    check(found, wanted)
    grown = changed(found, wanted)
    assert into(grown).preview.quality == 90
    with pytest.raises(SetConflict, match="--preview-quality is 90 there, 50 here"):
        check(grown, into(grown, preview={"quality": 50}))


def test_a_set_of_previews_alone_gets_captions_once_they_are_asked_for() -> None:
    found = made(prepare={"generate_captions": False})
    assert found.models == {}
    assert into(found).recipes == found.products
    wanted = into(found, prepare={"generate_captions": True}, caption={"prompt_text": "Ours."})
    assert added(found, wanted) == ["caption:default"]
    grown = changed(found, wanted)
    assert into(grown) == wanted


def test_captions_of_a_set_without_any_are_not_enhanced() -> None:
    found = made(prepare={"generate_captions": False})
    with pytest.raises(UsageError, match="--enhance-captions goes with --generate-captions"):
        into(found, enhance={"enabled": True})


def test_a_run_without_captions_into_a_set_that_enhances_them_asks_for_less() -> None:
    found = made(enhance={"enabled": True})
    less = into(found, prepare={"generate_captions": False})
    assert less.recipes.keys() == {"windows", "preview"}
    check(found, less)
    assert changed(found, less) is found


def test_options_of_a_product_that_the_run_does_not_ask_for_are_no_change() -> None:
    found = made()
    less = into(found, prepare={"generate_previews": False}, preview={"quality": 90})
    check(found, less)
    assert changed(found, less) is found


def test_an_overwritten_set_has_the_new_options_and_loses_what_was_made_from_the_old() -> None:
    found = made(enhance={"enabled": True})
    wanted = into(found, caption={"prompt_text": "Who?"}, enhance={"enabled": False})
    after = changed(found, wanted)
    assert after.options.caption.prompt_text == "Who?"
    assert "enhanced:default" not in after.products
    assert after.products["caption:default"] == wanted.recipes["caption:default"]
    assert after.products["preview"] == found.products["preview"]
    assert (after.created_at, after.run_id) == (found.created_at, found.run_id)


def test_other_windows_are_other_captions_and_previews_of_them() -> None:
    found = made(enhance={"enabled": True})
    wanted = into(found, prepare={"window_size": 64})
    with pytest.raises(SetConflict, match="--captioning-window-size is 256 there, 64 here"):
        check(found, wanted)
    assert changed(found, wanted).products == wanted.recipes


def test_weights_of_another_revision_are_named() -> None:
    found = made()
    old = found.models["qwen"].model_copy(update={"revision": "older"})
    products = found.products | {"caption:default": "0" * 16}
    found = found.model_copy(update={"models": {"qwen": old}, "products": products})
    (each,) = differences(found, into(found))
    assert each.what == "model qwen"
    assert each.of_set.endswith("@older")


def test_a_set_is_read_as_it_was_written_with_what_is_not_known_of_it() -> None:
    found = made(caption={"prompt_text": "Was bewegt sich?"})
    data = json.loads(found.to_bytes()) | {"note": "ours"}
    read = SetFile.read(json.dumps(data).encode())
    assert read.options == found.options
    assert json.loads(read.to_bytes()) == data
    assert changed(read, into(read, enhance={"enabled": True})).model_extra == {"note": "ours"}
    data["options"]["version"] = 99
    with pytest.raises(NewerVersion):
        SetFile.read(json.dumps(data).encode())


def test_the_first_set_lies_at_the_root_and_others_in_a_folder() -> None:
    assert keys.set_file() == "set.json"
    assert keys.set_file("terse") == "sets/terse/set.json"
    assert [label(name) for name in ("", "terse")] == ["(default)", "terse"]
    assert [read_set_name(name) for name in ("", "(default)", "terse")] == ["", "", "terse"]


@pytest.mark.parametrize("name", ["a/b", "..", "-a", ".a", "é", "runs", "probe", "s" * 65, "a b"])
def test_a_name_that_no_set_can_have_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="a set's name has 1 to 64"):
        read_set_name(name)
