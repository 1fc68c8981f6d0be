"""What can be asked of a run, and where it is read from: flags, environment, TOML."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from clipfleet.errors import UsageError
from clipfleet.flags import each_option, option_flags, read_options
from clipfleet.options import Options
from clipfleet.settings import read_settings
from tests.support.option_table import OPTIONS
from tests.unit.test_settings import alone, write_config

__all__ = ["alone"]

SHAPING = [option for option, row in OPTIONS.items() if row.shapes]


def options(**groups: dict[str, Any]) -> Options:
    return Options.model_validate(groups)


@pytest.mark.parametrize("option", SHAPING, ids=".".join)
def test_an_option_that_shapes_the_output_changes_the_hash(option: tuple[str, str]) -> None:
    group, name = option

    assert options(**{group: {name: OPTIONS[option].other}}).hash != Options().hash


@pytest.mark.parametrize("option", [o for o in OPTIONS if o not in SHAPING], ids=".".join)
def test_an_option_that_leaves_the_output_alone_leaves_the_hash(option: tuple[str, str]) -> None:
    group, name = option

    assert options(**{group: {name: OPTIONS[option].other}}).hash == Options().hash


def test_no_two_options_give_the_same_hash_when_changed() -> None:
    hashes = {options(**{g: {n: OPTIONS[g, n].other}}).hash for g, n in SHAPING}

    assert len(hashes) == len(SHAPING)


def test_the_hash_is_16_hex_digits() -> None:
    assert len(Options().hash) == 16
    assert set(Options().hash) <= set("0123456789abcdef")


@pytest.mark.parametrize("seed", ["0", "1"])
def test_the_hash_is_the_same_in_every_process(seed: str) -> None:
    code = "from clipfleet.options import Options; print(Options().hash)"
    env = {**os.environ, "PYTHONHASHSEED": seed}
    printed = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)

    assert printed.stdout.decode().strip() == Options().hash


def test_the_hash_is_the_same_in_whatever_order_options_are_given() -> None:
    one = options(caption={"fp8": True, "prompt_variant": "av"}, preview={"quality": 3})
    other = options(preview={"quality": 3}, caption={"prompt_variant": "av", "fp8": True})

    assert one.hash == other.hash


def test_the_hash_is_the_same_for_2_and_2_0() -> None:
    assert options(prepare={"sampling_fps": 2}).hash == Options().hash


def test_options_read_back_from_the_store_have_the_same_hash() -> None:
    given = options(
        enhance={"enabled": True, "prompt_text": "é \U0001f600 \\d"}, preview={"target_fps": 1 / 3}
    )

    assert Options.model_validate_json(given.model_dump_json()).hash == given.hash


OUT_OF_RANGE = [
    ("prepare", "sampling_fps", 0.0, "--captioning-sampling-fps"),
    ("prepare", "sampling_fps", float("nan"), "--captioning-sampling-fps"),
    ("prepare", "sampling_fps", float("inf"), "--captioning-sampling-fps"),
    ("prepare", "window_size", 3, "--captioning-window-size"),
    ("prepare", "remainder_threshold", 3, "--captioning-remainder-threshold"),
    ("prepare", "preprocess_dtype", "int4", "--captioning-preprocess-dtype"),
    ("prepare", "frame_encoding", "jpeg", "--captioning-frame-encoding"),
    ("preview", "target_fps", -1.0, "--preview-target-fps"),
    ("preview", "target_height", 0, "--preview-target-height"),
    ("preview", "compression_level", 7, "--preview-compression-level"),
    ("preview", "quality", 101, "--preview-quality"),
    ("preview", "num_cpus_per_worker", 0, "--preview-num-cpus-per-worker"),
    ("caption", "model_variant", "gpt", "--captioning-algorithm"),
    ("caption", "prompt_text", "x" * 32_769, "--captioning-prompt-text"),
    ("caption", "caption_batch_size", 0, "--captioning-batch-size"),
    ("caption", "max_output_tokens", 0, "--captioning-max-output-tokens"),
    ("enhance", "prompt_variant", "av", "--enhance-captions-prompt-variant"),
    ("enhance", "model_batch_size", 0, "--enhance-captions-batch-size"),
]


@pytest.mark.parametrize(
    ("group", "name", "value", "flag"),
    OUT_OF_RANGE,
    ids=[f"{flag} {value}"[:60] for _, _, value, flag in OUT_OF_RANGE],
)
def test_a_value_out_of_range_is_refused_with_its_flag_named(
    group: str, name: str, value: object, flag: str
) -> None:
    with pytest.raises(UsageError, match=f"^{flag} ") as refusal:
        read_options({f"{group}__{name}": value})

    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize(
    ("together", "flags"),
    [
        ({"enhance__enabled": True}, "--enhance-captions"),
        ({"prepare__generate_previews": False}, "--no-generate-previews"),
    ],
)
def test_options_that_leave_nothing_to_do_are_refused_with_both_flags_named(
    together: dict[str, Any], flags: str
) -> None:
    with pytest.raises(UsageError, match=f"^--no-generate-captions .*{flags}"):
        read_options({"prepare__generate_captions": False, **together})


def test_without_captions_and_previews_clips_may_still_be_copied() -> None:
    asked = {"prepare__generate_captions": False, "prepare__generate_previews": False}

    read = read_options({**asked, "prepare__upload_clips": True})

    assert read.recipes.keys() == {"windows", "clip"}


def test_what_must_be_known_of_a_model_is_not_said_where_it_does_not_caption() -> None:
    mini = {"model_variant": "mini"}

    assert options(caption=mini).caveats
    assert options(caption=mini, prepare={"generate_captions": False}).caveats == []


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ValueError, match="frames_per_window"):
        options(prepare={"frames_per_window": 4})


def test_an_option_that_no_flag_gives_has_its_default() -> None:
    assert read_options({"preview__quality": None}) == Options()


def test_a_flag_wins_over_the_default_that_a_command_sets() -> None:
    found = read_options({"caption__model_variant": "qwen"}, caption__model_variant="mini")

    assert found.caption.model_variant == "qwen"


def test_the_default_that_a_command_sets_applies_without_the_flag() -> None:
    found = read_options({"caption__model_variant": None}, caption__model_variant="mini")

    assert found.caption.model_variant == "mini"


Invoke = Callable[..., dict[str, Any]]


@pytest.fixture
def invoke() -> Invoke:
    """Runs a command that has all options' flags, and gives the options that it read."""

    @click.command()
    @option_flags()
    def command(**values: Any) -> None:
        click.echo(read_options(values).model_dump_json())

    def run(*arguments: str, **env: str) -> dict[str, Any]:
        result = CliRunner().invoke(command, list(arguments), env=env, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    return run


@pytest.mark.parametrize("option", OPTIONS, ids=".".join)
def test_every_option_can_be_set_by_its_flag(invoke: Invoke, option: tuple[str, str]) -> None:
    group, name = option
    flag = {(g, n): f for g, n, _, f in each_option()}[option]
    value = OPTIONS[option].other
    yes, _, no = flag.partition("/")
    arguments = [yes if value else no] if no else [flag, str(value)]

    assert invoke(*arguments)[group][name] == value


@pytest.mark.parametrize("option", OPTIONS, ids=".".join)
def test_every_option_can_be_set_by_the_variable_of_its_flag(
    invoke: Invoke, option: tuple[str, str]
) -> None:
    group, name = option
    flag = {(g, n): f for g, n, _, f in each_option()}[option].partition("/")[0]
    variable = "CLIPFLEET_" + flag[2:].upper().replace("-", "_")
    value = OPTIONS[option].other

    found = invoke(**{variable: str(value).lower() if isinstance(value, bool) else str(value)})

    assert found[group][name] == value


def test_an_options_flag_wins_over_its_variable(invoke: Invoke) -> None:
    found = invoke("--preview-quality", "70", CLIPFLEET_PREVIEW_QUALITY="20")

    assert found["preview"]["quality"] == 70


def test_an_option_comes_from_the_toml_file_by_its_flags_name(alone: Path) -> None:
    write_config(alone, "[options]\ncaptioning-sampling-fps = 4\ngenerate-previews = false")

    found = read_options({}, read_settings().options)

    assert (found.prepare.sampling_fps, found.prepare.generate_previews) == (4.0, False)


def test_an_options_flag_wins_over_the_toml_file() -> None:
    found = read_options({"preview__quality": 70}, {"preview-quality": 20})

    assert found.preview.quality == 70


def test_the_toml_file_wins_over_the_default_that_a_command_sets() -> None:
    found = read_options({}, {"captioning-algorithm": "qwen"}, caption__model_variant="mini")

    assert found.caption.model_variant == "qwen"


@pytest.mark.parametrize("option", OPTIONS, ids=".".join)
def test_every_option_can_be_set_in_the_toml_file(option: tuple[str, str]) -> None:
    group, name = option
    flag = {(g, n): f for g, n, _, f in each_option()}[option].partition("/")[0]

    found = read_options({}, {flag.removeprefix("--"): OPTIONS[option].other})

    assert getattr(getattr(found, group), name) == OPTIONS[option].other


def test_an_option_in_the_toml_file_that_is_no_flags_is_named() -> None:
    with pytest.raises(UsageError, match="there is no option sampling_fps"):
        read_options({}, {"sampling_fps": 4})


def test_an_option_out_of_range_in_the_toml_file_is_refused_with_its_flag_named() -> None:
    with pytest.raises(UsageError, match=r"^--preview-quality 101: "):
        read_options({}, {"preview-quality": 101})


def test_an_options_table_that_is_no_table_is_named(alone: Path) -> None:
    write_config(alone, "options = 3")

    with pytest.raises(UsageError, match=r"^setting options \("):
        read_settings()


def test_an_options_variable_that_is_no_json_is_named(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIPFLEET_OPTIONS", "{")

    with pytest.raises(UsageError, match="options"):
        read_settings()


def test_a_prompt_may_be_a_files(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("What is this?\n")
    found = read_options({"caption__prompt_text": f"@{mine}"})

    assert found.caption.prompt_text == "What is this?"


def test_a_prompts_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--captioning-prompt-text @.*nothing.txt: it cannot be"):
        read_options({"caption__prompt_text": f"@{tmp_path}/nothing.txt"})
