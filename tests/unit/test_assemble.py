"""A clip's plan and parts become its record."""

import json

import pytest

from clipfleet.models import MODELS
from clipfleet.options import EnhanceOptions, Options
from clipfleet.records import ClipRecord, Failure, Part, Plan, Status
from clipfleet_workers.steps.assemble import build_record
from tests.support.records import (
    CLIP,
    JOB,
    MODEL,
    PLAN,
    SAMPLING,
    SOURCE,
    completed,
    failed,
    previewed,
    skipped,
    words,
)

Parts = dict[str, Part]
OPTIONS = Options(enhance=EnhanceOptions(enabled=True))


def done(start: int, end: int, *, caption: str = "A car.") -> Parts:
    """The parts of a window on which all went well."""
    return {
        "caption": completed(caption),
        "enhance": completed(f"Lo! {caption}", variant="qwen_lm"),
        "preview": previewed(start, end),
    }


def record(*parts: Parts, plan: Plan = PLAN) -> ClipRecord:
    """The record of the clip with these parts of its windows."""
    return build_record(plan, list(parts), options=OPTIONS)


BOTH = (done(0, 255), done(256, 399, caption="A bus."))


def test_a_clip_on_which_all_went_well_is_valid_and_without_errors() -> None:
    built = record(*BOTH)

    assert (built.valid, built.errors) == (True, [])
    assert [(w.status, w.errors) for w in built.windows] == [(Status.OK, []), (Status.OK, [])]


def test_a_record_carries_its_ids() -> None:
    built = record(*BOTH)

    assert (built.span_uuid, built.run_id, built.set) == (CLIP, "r1", "")
    assert built.recipes == OPTIONS.recipes


def test_a_record_describes_its_source_under_the_reference_systems_names() -> None:
    built = record(*BOTH)

    assert built.source_video == "file:///clips/a.mp4"
    assert built.duration_span == (0.0, SOURCE.duration_s)
    assert (built.width_source, built.height_source, built.framerate_source) == (1280, 720, 30.0)
    assert (built.width, built.height, built.framerate) == (1280, 720, 30.0)
    assert (built.num_frames, built.video_codec, built.num_bytes) == (400, "h264", 123_456)


@pytest.mark.parametrize(
    ("caption", "enhance", "enabled", "caveats"),
    [
        ("mini", "mini", True, [MODELS["mini"].caveat]),
        ("mini", "qwen_lm", False, [MODELS["mini"].caveat]),
        ("qwen", "mini", True, [MODELS["mini"].caveat]),
        ("qwen", "mini", False, []),
        ("qwen", "qwen_lm", True, []),
    ],
)
def test_a_record_says_first_what_must_be_known_of_its_models(
    caption: str, enhance: str, enabled: bool, caveats: list[str]
) -> None:
    options = Options.model_validate(
        {
            "caption": {"model_variant": caption},
            "enhance": {"model_variant": enhance, "enabled": enabled},
        }
    )
    plan = PLAN.model_copy(update={"warnings": ["the clip is dark"]})
    assert build_record(plan, list(BOTH), options=options).warnings == [
        *caveats,
        "the clip is dark",
    ]


def test_a_clip_that_was_not_uploaded_is_located_at_its_source() -> None:
    assert record(*BOTH).clip_location == "file:///clips/a.mp4"


def test_a_record_of_an_old_list_has_no_signature_that_stands_there() -> None:
    source = "https://host/a.mp4?v=1&X-Amz-Credential=b&X-Amz-Signature=5ec"
    plan = PLAN.model_copy(update={"job": JOB.model_copy(update={"source": source})})

    built = record(*BOTH, plan=plan)

    assert built.source_video == built.clip_location == "https://host/a.mp4?v=1"


def test_a_clip_that_was_uploaded_is_located_in_the_output() -> None:
    uploaded = PLAN.model_copy(update={"uploaded": True})

    assert record(*BOTH, plan=uploaded).clip_location == f"clips/{CLIP}.mp4"


def test_a_window_carries_its_texts_and_how_they_came_about() -> None:
    window = record(*BOTH).windows[1]

    assert (window.start_frame, window.end_frame) == (256, 399)
    for text, wanted in ((window.caption, "A bus."), (window.enhanced, "Lo! A bus.")):
        assert text
        assert (text.status, text.text, text.finish_reason) == (Status.OK, wanted, "stop")
        assert (text.prompt_tokens, text.output_tokens, text.flags) == (5840, 190, [])
        assert text.sampling == SAMPLING


def test_a_window_says_again_what_it_says_under_the_reference_systems_names() -> None:
    window = json.loads(record(*BOTH).to_bytes())["windows"][1]

    assert window["qwen_caption"] == "A bus."
    assert window["qwen_lm_enhanced_caption"] == "Lo! A bus."


@pytest.mark.parametrize(
    ("variant", "field"),
    [
        ("qwen", "qwen_caption"),
        ("qwen:/models/ours", "qwen_caption"),
        ("qwen3", "qwen3_caption"),
        ("nemotron-fp8", "nemotron_caption"),
        ("nemotron-nvfp4:/models/ours", "nemotron_caption"),
        ("mini", "mini_caption"),
    ],
)
def test_the_reference_systems_field_has_its_name_of_the_model(variant: str, field: str) -> None:
    parts = [{"caption": completed("A car.", variant=variant)}] * 2

    window = json.loads(record(*parts).to_bytes())["windows"][0]

    assert [name for name in window if name.endswith("_caption")] == [field]


def test_a_caption_that_failed_has_no_field_of_the_reference_system() -> None:
    failing = {"caption": failed("caption", "broken")}

    window = json.loads(record(failing, BOTH[1]).to_bytes())["windows"][0]

    assert [name for name in window if name.endswith("_caption")] == []


def test_a_product_has_the_recipe_of_its_run() -> None:
    window = record(*BOTH).windows[0]

    assert window.caption
    assert window.enhanced
    assert window.preview
    assert window.caption.recipe == OPTIONS.recipes["caption:default"]
    assert window.enhanced.recipe == OPTIONS.recipes["enhanced:default"]
    assert window.preview.recipe == OPTIONS.recipes["preview"]


def test_a_window_carries_its_sampled_frames_with_their_times() -> None:
    window = record(*BOTH).windows[1]

    frames = window.frames
    assert frames.indices == [256, 257, 398, 399]
    assert frames.times_s == [256 / 30, 257 / 30, 398 / 30, 399 / 30]
    assert (frames.sampling, frames.width, frames.height) == ("index", 1008, 560)
    assert (frames.encoding, frames.strip_key) == ("raw", None)
    assert (window.start_s, window.end_s) == (256 / 30, 400 / 30)


def test_a_window_carries_its_preview() -> None:
    preview = record(*BOTH).windows[0].preview

    assert preview
    assert preview.key == f"previews/{CLIP}/0_255.webp"
    assert (preview.num_bytes, preview.width, preview.height) == (4321, 426, 240)


def test_a_window_captioned_twice_carries_both_captions() -> None:
    twice = {**done(0, 255), "caption": completed("Better.", first="Good.")}

    built = record(twice, BOTH[1])

    caption = built.windows[0].caption
    assert caption
    assert caption.first_pass
    assert (caption.first_pass.text, caption.text) == ("Good.", "Better.")
    assert built.prompts[caption.first_pass.prompt_sha256] == "First, describe this."
    assert built.prompts[caption.prompt_sha256 or ""] == "Describe this."


def test_a_record_names_its_models_and_what_they_were_told() -> None:
    built = record(*BOTH)

    caption = built.windows[0].caption
    assert caption
    assert built.models == {"qwen": MODEL, "qwen_lm": MODEL}
    assert (caption.model, built.prompts) == ("qwen", {caption.prompt_sha256: "Describe this."})


def test_two_models_of_one_name_are_told_apart() -> None:
    other = MODEL.model_copy(update={"engine": "transformers 5.0"})
    parts = [{"caption": completed("A car.")}, {"caption": completed("A bus.", model=other)}]

    built = record(*parts)

    assert built.models == {"qwen": MODEL, "qwen#2": other}
    assert [w.caption.model for w in built.windows if w.caption] == ["qwen", "qwen#2"]
    assert json.loads(built.to_bytes())["windows"][1]["qwen_caption"] == "A bus."


def test_a_model_that_wrote_nothing_is_not_named() -> None:
    only_captions = [{"caption": completed("A car.")}] * 2

    assert record(*only_captions).models == {"qwen": MODEL}


@pytest.mark.parametrize("step", ["caption", "enhance", "preview"])
def test_an_error_in_one_window_makes_the_clip_invalid_and_stands_on_that_window(step: str) -> None:
    built = record({**BOTH[0], step: failed(step, "broken")}, BOTH[1])

    assert not built.valid
    assert built.windows[0].status is Status.ERROR
    assert [error.message for error in built.windows[0].errors] == ["broken"]


def test_an_error_in_one_window_leaves_the_others_whole() -> None:
    built = record({**BOTH[0], "caption": failed("caption", "broken")}, BOTH[1])

    assert built.windows[1] == record(*BOTH).windows[1]


def test_a_preview_that_failed_leaves_the_windows_caption() -> None:
    window = record({**BOTH[0], "preview": failed("preview", "broken")}, BOTH[1]).windows[0]

    assert (words(window.caption), window.preview_status) == ("A car.", Status.ERROR)
    assert window.preview is None


def test_steps_that_were_not_asked_for_are_skipped_and_the_clip_is_valid() -> None:
    built = record({"caption": completed("A car.")}, {"caption": completed("A bus.")})

    assert built.valid
    assert built.windows[0].enhance_status is Status.SKIPPED
    assert built.windows[0].preview_status is Status.SKIPPED


def test_an_empty_caption_that_was_not_enhanced_leaves_the_clip_valid() -> None:
    window = {**BOTH[0], "enhance": skipped("enhance", "the caption is empty")}

    built = record(window, BOTH[1])

    assert built.valid
    assert built.windows[0].enhance_status is Status.SKIPPED


def test_a_window_that_was_cancelled_is_cancelled_and_its_clip_invalid() -> None:
    built = record({**BOTH[0], "caption": Part(status=Status.CANCELLED)}, BOTH[1])

    assert built.windows[0].status is Status.CANCELLED
    assert not built.valid


def test_a_clip_that_could_not_be_cut_is_invalid_with_the_reason() -> None:
    failure = Failure(step="prepare", error="ClipUnreadable", message="it is no video")

    built = record(plan=Plan(job=JOB, source=None, windows=[], errors=[failure]))

    assert not built.valid
    assert built.errors == [failure]
    assert (built.windows, built.num_frames, built.duration_span) == ([], None, (0.0, 0.0))


def test_a_clip_too_short_is_invalid_and_still_described() -> None:
    failure = Failure(step="prepare", error="ClipTooShort", message="it has 3 frames")

    built = record(plan=Plan(job=JOB, source=SOURCE, windows=[], errors=[failure]))

    assert not built.valid
    assert built.source == SOURCE


def test_warnings_of_the_plan_stand_in_the_record_and_leave_it_valid() -> None:
    built = record(*BOTH, plan=PLAN.model_copy(update={"warnings": ["not scaled up"]}))

    assert (built.valid, built.warnings) == (True, ["not scaled up"])


def test_the_first_error_is_the_clips_before_any_windows() -> None:
    failure = Failure(step="prepare", error="ClipUnreadable", message="it is no video")
    plan = PLAN.model_copy(update={"errors": [failure]})

    built = record({**BOTH[0], "caption": failed("caption", "broken")}, BOTH[1], plan=plan)

    assert built.first_error() == "it is no video"


def test_a_record_without_errors_has_no_first_error() -> None:
    assert record(*BOTH).first_error() == ""
