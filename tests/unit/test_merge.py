"""What several runs make of one clip stands in one record."""

import json
from typing import Any

import pytest

from clipfleet.options import (
    CaptionOptions,
    EnhanceOptions,
    Options,
    PrepareOptions,
    PreviewOptions,
)
from clipfleet.records import Caption, ClipRecord, Failure, Part, Plan, Status, merge
from clipfleet_workers.steps.assemble import build_record
from tests.support.records import (
    MODEL,
    PLAN,
    SOURCE,
    completed,
    failed,
    previewed,
    window_plan,
    words,
)

PLAIN = PrepareOptions(generate_previews=False)
# Runs that ask for one product more than captions.
ENHANCED = Options(prepare=PLAIN, enhance=EnhanceOptions(enabled=True))
PREVIEWED = Options()
OTHER_PROMPT = Options(prepare=PLAIN, caption=CaptionOptions(prompt_text="Ours."))


def made(
    options: Options,
    text: str = "A car.",
    *,
    plan: Plan = PLAN,
    run_id: str = "r1",
    enhanced: Part | None = None,
    **changed: Part,
) -> ClipRecord:
    """What a run with these options makes of the clip."""
    job = plan.job.model_copy(update={"run_id": run_id, "options_hash": options.hash})
    parts = []
    for window in plan.windows:
        found = {"caption": completed(text)}
        if options.enhance.enabled:
            found["enhance"] = enhanced or completed(f"Lo! {text}", variant="qwen_lm")
        if options.prepare.generate_previews:
            found["preview"] = previewed(window.start_frame, window.end_frame)
        parts.append({**found, **changed})
    return build_record(plan.model_copy(update={"job": job}), parts, options=options)


def broken(plan: Plan = PLAN) -> Plan:
    """The clip's plan where it could not be fetched."""
    failure = Failure(step="prepare", error="ClipMissing", message="it is gone")
    return plan.model_copy(update={"source": None, "windows": [], "errors": [failure]})


def without_times(record: ClipRecord) -> dict[str, Any]:
    """The record but for what says who wrote it last."""
    return record.model_dump(exclude={"run_id", "finished_at"})


def texts(record: ClipRecord) -> set[tuple[str, str]]:
    """Each window's caption and enhanced caption."""
    return {(words(window.caption), words(window.enhanced)) for window in record.windows}


@pytest.mark.parametrize("order", [(ENHANCED, PREVIEWED), (PREVIEWED, ENHANCED)])
def test_what_two_runs_add_to_one_caption_is_there_in_any_order(
    order: tuple[Options, Options],
) -> None:
    one, other = order

    merged = merge(made(one), made(other, run_id="r2"))

    assert merged.recipes == one.recipes | other.recipes
    assert texts(merged) == {("A car.", "Lo! A car.")}
    assert all(window.preview for window in merged.windows)
    assert (merged.valid, merged.run_id) == (True, "r2")
    assert without_times(merged) == without_times(merge(made(other), made(one)))


def test_a_product_that_is_there_stays() -> None:
    merged = merge(made(PREVIEWED, "A car."), made(PREVIEWED, "A bus."))

    assert texts(merged) == {("A car.", "")}


def test_a_product_that_failed_is_replaced_with_its_error() -> None:
    bad = made(PREVIEWED, caption=failed("caption", "broken"), preview=failed("preview", "torn"))
    assert not bad.valid

    merged = merge(bad, made(PREVIEWED))

    assert (texts(merged), merged.valid, merged.failures()) == ({("A car.", "")}, True, [])


def test_what_is_done_again_is_replaced() -> None:
    merged = merge(made(ENHANCED, "A car."), made(ENHANCED, "A bus."), again=True)

    assert texts(merged) == {("A bus.", "Lo! A bus.")}


def test_what_is_done_again_and_fails_leaves_what_was_there() -> None:
    old = made(ENHANCED)
    bad = made(
        ENHANCED,
        caption=failed("caption", "broken"),
        enhanced=Part(status=Status.SKIPPED),
    )

    assert merge(old, bad, again=True).windows == old.windows


def test_an_enhanced_caption_comes_with_the_very_text_that_it_was_made_from() -> None:
    merged = merge(made(PREVIEWED, "A car."), made(ENHANCED, "A bus."))

    assert texts(merged) == {("A bus.", "Lo! A bus.")}
    assert all(window.preview for window in merged.windows)


def test_an_enhancement_for_want_of_a_caption_is_an_error_though_there_is_an_earlier_one() -> None:
    nothing = Part(status=Status.SKIPPED)
    bad = made(ENHANCED, caption=failed("caption", "broken"), enhanced=nothing)

    merged = merge(made(PREVIEWED), bad)

    assert texts(merged) == {("A car.", "")}
    assert not merged.valid
    assert {error.message for error in merged.failures()} == {"broken"}


def test_another_caption_takes_the_place_of_one_and_of_what_was_made_from_it() -> None:
    both = merge(made(PREVIEWED), made(ENHANCED))

    merged = merge(both, made(OTHER_PROMPT, "A bus."))

    assert texts(merged) == {("A bus.", "")}
    assert merged.recipes == {**PREVIEWED.recipes, **OTHER_PROMPT.recipes}
    assert all(window.preview for window in merged.windows), "it is not of the caption"


def test_a_preview_of_another_recipe_replaces_one() -> None:
    small = Options(preview=PreviewOptions(target_height=120))

    merged = merge(made(PREVIEWED), made(small))

    assert merged.recipes == small.recipes
    assert {w.preview.recipe for w in merged.windows if w.preview} == {small.recipes["preview"]}


def test_windows_that_are_cut_otherwise_replace_all() -> None:
    wide = Options(prepare=PrepareOptions(window_size=512))
    plan = PLAN.model_copy(update={"windows": [window_plan(0, 399)]})
    new = made(wide, "A bus.", plan=plan)

    assert without_times(merge(made(PREVIEWED), new)) == without_times(new)


@pytest.mark.parametrize(
    "change",
    [
        {"num_bytes": 7},
        {"source": SOURCE.model_copy(update={"etag": "b"})},
        {"source": SOURCE.model_copy(update={"mtime": "2026-01-02T00:00:00+00:00"})},
    ],
)
def test_what_was_made_of_another_file_is_replaced(change: dict[str, Any]) -> None:
    before = SOURCE.model_copy(update={"etag": "a", "mtime": "2026-01-01T00:00:00+00:00"})
    old = made(ENHANCED, plan=PLAN.model_copy(update={"source": before}))
    new = made(PREVIEWED, "A bus.", plan=PLAN.model_copy(update={"source": before, **change}))

    assert without_times(merge(old, new)) == without_times(new)


def test_a_clip_that_cannot_be_read_any_more_keeps_its_captions() -> None:
    merged = merge(made(PREVIEWED), made(ENHANCED, plan=broken()))

    assert texts(merged) == {("A car.", "")}
    assert merged.recipes == PREVIEWED.recipes | ENHANCED.recipes
    assert (merged.valid, merged.first_error()) == (False, "it is gone")
    assert merged.source == SOURCE


def test_a_clip_that_can_be_read_at_last_is_whole() -> None:
    merged = merge(made(PREVIEWED, plan=broken()), made(PREVIEWED))

    assert (texts(merged), merged.valid, merged.errors) == ({("A car.", "")}, True, [])


def with_unknown_fields(record: ClipRecord) -> ClipRecord:
    """The record as a later version of this schema might have it."""
    data = json.loads(record.to_bytes())
    data["reviewed"] = {"by": "someone"}
    for window in data["windows"]:
        window["lead_caption"] = "of another's"
        window["captions"]["default"]["embedding"] = [1]
        window["frames"]["hash"] = "00"
    return ClipRecord.model_validate_json(json.dumps(data))


def test_fields_that_nobody_knows_are_kept() -> None:
    merged = merge(with_unknown_fields(made(PREVIEWED)), made(ENHANCED))

    data = json.loads(merged.to_bytes())
    assert data["reviewed"] == {"by": "someone"}
    assert data["windows"][0]["lead_caption"] == "of another's"
    assert data["windows"][0]["captions"]["default"]["embedding"] == [1]
    assert data["windows"][0]["frames"]["hash"] == "00"
    assert texts(merged) == {("A car.", "Lo! A car.")}


def test_captions_of_other_names_are_kept() -> None:
    old = made(PREVIEWED)
    tags = Caption(status=Status.OK, text="car", recipe="0" * 16)
    windows = [
        window.model_copy(update={"captions": {**window.captions, "tags": tags}})
        for window in old.windows
    ]
    old = old.model_copy(
        update={"windows": windows, "recipes": {**old.recipes, "caption:tags": "0" * 16}}
    )

    merged = merge(old, made(OTHER_PROMPT))

    assert [window.captions["tags"] for window in merged.windows] == [tags, tags]
    assert merged.recipes["caption:tags"] == "0" * 16


def test_the_reference_systems_fields_follow_the_caption() -> None:
    mini = Options(caption=CaptionOptions(model_variant="mini"), prepare=PLAIN)

    merged = merge(made(ENHANCED), made(mini, caption=completed("A bus.", variant="mini")))

    for window in json.loads(merged.to_bytes())["windows"]:
        assert window["mini_caption"] == "A bus."
        assert not {"qwen_caption", "qwen_lm_enhanced_caption"} & window.keys()


def test_a_model_of_a_name_that_another_has_gets_its_own_key() -> None:
    newer = MODEL.model_copy(update={"revision": "newer"})
    both = merge(made(ENHANCED), made(OTHER_PROMPT, caption=completed("A bus.", model=newer)))

    keys = {window.caption.model for window in both.windows if window.caption}
    assert [both.models[key or ""] for key in keys] == [newer]


def test_models_and_prompts_that_nothing_refers_to_any_more_go() -> None:
    other = completed("A bus.", variant="mini")
    assert other.completion
    asked = other.model_copy(
        update={"completion": other.completion.model_copy(update={"prompt": "Ours."})}
    )

    merged = merge(made(ENHANCED), made(OTHER_PROMPT, caption=asked))

    assert ([*merged.models], [*merged.prompts.values()]) == (["mini"], ["Ours."])


def test_a_clip_that_was_uploaded_stays_so() -> None:
    uploaded = Options(prepare=PrepareOptions(upload_clips=True))
    plan = PLAN.model_copy(update={"uploaded": True})

    merged = merge(made(uploaded, plan=plan), made(ENHANCED))

    assert merged.clip_location.startswith("clips/")
    assert "clip" in merged.recipes


def test_warnings_of_what_is_left_stay() -> None:
    warned = PLAN.model_copy(update={"warnings": ["it is low"]})
    old, new = made(PREVIEWED, plan=warned), made(ENHANCED)

    assert merge(old, new).warnings == ["it is low"]
    assert merge(old, made(PREVIEWED), again=True).warnings == []
