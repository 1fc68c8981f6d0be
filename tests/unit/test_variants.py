"""Options that single clips are given."""

import pytest

from clipfleet import keys
from clipfleet.errors import UsageError
from clipfleet.options import CaptionOptions, EnhanceOptions, Options, PrepareOptions
from clipfleet.records import ManifestLine
from clipfleet_producer.sources.overrides import OptionOverrides

BASE = Options(
    prepare=PrepareOptions(window_size=100),
    caption=CaptionOptions(model_variant="mini", prompt_text="Ours."),
    enhance=EnhanceOptions(enabled=True),
)


def clip(options_hash: str | None, source: str = "s3://bucket/a.mp4") -> ManifestLine:
    return ManifestLine(clip_uuid=keys.clip_uuid(source), source=source, options_hash=options_hash)


def made(prompt: str | None, options: dict[str, object] | str | None) -> Options:
    """The options that come of a clip's own."""
    variants = OptionOverrides(BASE)
    name = variants.hash_for(prompt, options)  # type: ignore[arg-type]
    (found,) = variants.new([clip(name)]).values()
    assert found.hash == name
    return found


def test_a_clips_prompt_takes_the_place_of_the_runs_and_all_else_stays() -> None:
    wanted = BASE.model_copy(
        update={"caption": BASE.caption.model_copy(update={"prompt_text": "Mine."})}
    )

    assert made("Mine.", None) == wanted


def test_a_clips_options_take_the_place_of_the_runs_and_all_else_stays() -> None:
    found = made(None, {"captioning-sampling-fps": 1, "preview-quality": 9})

    assert found.prepare == BASE.prepare.model_copy(update={"sampling_fps": 1.0})
    assert found.preview.quality == 9
    assert (found.caption, found.enhance) == (BASE.caption, BASE.enhance)


def test_options_may_be_json_text() -> None:
    assert made(None, '{"preview-quality": 9}') == made(None, {"preview-quality": 9})


@pytest.mark.parametrize(
    ("prompt", "options"),
    [
        (None, None),
        (None, {}),
        (None, ""),
        ("Ours.", None),
        (None, {"captioning-window-size": 100}),
        (None, {"captioning-algorithm": "mini", "enhance-captions": True}),
        (None, {"captioning-prompt-text": None}),
    ],
)
def test_options_that_come_to_the_runs_have_no_hash(
    prompt: str | None, options: dict[str, object] | str | None
) -> None:
    assert OptionOverrides(BASE).hash_for(prompt, options) is None  # type: ignore[arg-type]


def test_the_same_options_have_the_same_hash_in_whatever_order_they_stand() -> None:
    variants = OptionOverrides(BASE)

    one = variants.hash_for(None, {"preview-quality": 9, "captioning-sampling-fps": 1})
    other = variants.hash_for(None, '{"captioning-sampling-fps": 1.0, "preview-quality": 9}')

    assert one == other is not None


REFUSED = {
    "captioning-algorithm": ("qwen", "one model"),
    "captioning-fp8": (True, "one model"),
    "captioning-model-dir": ("/weights", "one model"),
    "captioning-batch-size": (3, "one model"),
    "enhance-captions-algorithm": ("mini", "one model"),
    "enhance-captions-fp8": (True, "one model"),
    "enhance-captions": (False, "either all captions"),
    "generate-captions": (False, "either all clips of a run are captioned"),
    "preview-num-cpus-per-worker": (1, "shapes nothing"),
    "verbose": (True, "shapes nothing"),
}


@pytest.mark.parametrize("flag", REFUSED)
def test_what_clips_of_a_run_must_share_is_refused_with_the_reason(flag: str) -> None:
    value, reason = REFUSED[flag]

    with pytest.raises(UsageError, match=f"^{flag}: .*{reason}"):
        OptionOverrides(BASE).hash_for(None, {flag: value})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"captioning-sampling-fps": 1000}, "--captioning-sampling-fps 1000"),
        ({"captioning-sampling-fps": "many"}, "--captioning-sampling-fps many"),
        ({"captioning-prompt-text": "x" * 32_769}, "--captioning-prompt-text"),
        ({"sampling": 1}, "there is no option sampling"),
        ("{", "not JSON"),
        ("[1]", "no JSON object"),
        ('{"preview-quality": NaN}', "not JSON"),
        ({"captioning-stage2-prompt-text": "x" * 300_000}, "over the limit of 256 KiB"),
    ],
)
def test_options_that_are_none_are_refused_with_the_reason(
    options: dict[str, object] | str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        OptionOverrides(BASE).hash_for(None, options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("prompt", "options"),
    [
        ("@/etc/passwd", None),
        (None, {"captioning-prompt-text": "@/etc/passwd"}),
        (None, {"captioning-stage2-prompt-text": "@/etc/passwd"}),
        (None, {"enhance-captions-prompt-text": "@/etc/passwd"}),
    ],
)
def test_a_manifest_reads_no_file_of_this_machine(
    prompt: str | None, options: dict[str, object] | None
) -> None:
    with pytest.raises(UsageError, match="@FILE is for the command line alone"):
        OptionOverrides(BASE).hash_for(prompt, options)  # type: ignore[arg-type]


def test_a_runs_prompt_that_begins_with_an_at_sign_stays_as_it_is() -> None:
    base = Options(caption=CaptionOptions(prompt_text="@everyone: say."))
    variants = OptionOverrides(base)

    name = variants.hash_for(None, {"preview-quality": 9})

    assert variants.new([clip(name)])[name or ""].caption == base.caption


def test_options_are_made_once_however_often_they_come_up(monkeypatch: pytest.MonkeyPatch) -> None:
    variants = OptionOverrides(BASE)
    first = variants.hash_for(None, {"preview-quality": 9})
    with pytest.raises(UsageError) as refused:
        variants.hash_for(None, {"preview-quality": 900})
    monkeypatch.setattr(OptionOverrides, "_make", None)  # whoever called it now would fail

    assert variants.hash_for(None, {"preview-quality": 9}) == first
    with pytest.raises(UsageError) as again:
        variants.hash_for(None, {"preview-quality": 900})
    assert str(again.value) == str(refused.value)


def test_the_options_of_lines_are_given_once() -> None:
    variants = OptionOverrides(BASE)
    one, other = (variants.hash_for(text, None) for text in ("One.", "Other."))
    first = variants.new([clip(None), clip(one), clip(one)])

    assert set(first) == {one}
    assert set(variants.new([clip(one), clip(other)])) == {other}
    assert variants.new([clip(one), clip(other), clip(None)]) == {}


def test_every_one_of_very_many_options_is_given() -> None:
    variants = OptionOverrides(BASE)
    names = [variants.hash_for(f"Clip {number}.", None) for number in range(10_100)]

    found = variants.new(map(clip, names))

    assert len(found) == len(names)
    assert found[names[7] or ""].caption.prompt_text == "Clip 7."
