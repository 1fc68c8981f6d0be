"""The command line of sets: what is refused and said beforehand, and which commands know sets."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.cli_here import run_here
from tests.support.small_fleet import SmallFleet, write_texts

PROMPT = "--captioning-prompt-text"


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "clips", 2)


def said(done: "subprocess.CompletedProcess[str]", code: int = 0) -> str:
    assert done.returncode == code, done.stdout
    return " ".join(done.stdout.split())


def test_other_options_are_refused_by_the_run_and_by_its_dry_run_alike(
    small_fleet: SmallFleet, clips: Path
) -> None:
    said(small_fleet.submit(clips, PROMPT, "What moves?"))
    for flags in (["--dry-run"], ["--dry-run", "--json"], []):
        refused = said(small_fleet.submit(clips, PROMPT, "Who is there?", *flags), 2)
        assert f"{PROMPT} is 'What moves?' there, 'Who is there?' here" in refused
        assert "--set NAME" in refused
        assert "--overwrite" in refused
    assert len([*(small_fleet.out / "runs").iterdir()]) == 1


def test_a_dry_run_says_what_would_be_replaced_and_added(
    small_fleet: SmallFleet, clips: Path
) -> None:
    said(small_fleet.submit(clips, PROMPT, "What moves?"))
    asked = [str(clips), "--overwrite", PROMPT, "Who?", "--enhance-captions", "--dry-run"]
    shown = said(small_fleet.submit(*asked))
    assert "Set (default) would get what it had none of: enhanced captions." in shown
    assert "Options of set (default) would be replaced" in shown
    assert f"{PROMPT} from 'What moves?' to Who?" in shown
    found = json.loads(small_fleet.submit(*asked, "--json").stdout)
    assert found["added"] == ["enhanced:default"]
    assert found["replaced"] == [{"option": PROMPT, "of_set": "'What moves?'", "asked": "Who?"}]
    assert (found["set"], found["set_begins"]) == ("", False)
    beside = json.loads(
        small_fleet.submit(clips, "--set", "b", PROMPT, "Who?", "--dry-run", "--json").stdout
    )
    assert (beside["set"], beside["set_begins"], beside["replaced"]) == ("b", True, [])
    assert not (small_fleet.out / "sets").exists()


def test_an_option_from_a_variable_or_the_settings_file_is_one_that_the_run_gives(
    small_fleet: SmallFleet, clips: Path, tmp_path: Path
) -> None:
    said(small_fleet.submit(clips, PROMPT, "What moves?"))
    config = tmp_path / "clipfleet.toml"
    config.write_text('[options]\ncaptioning-prompt-text = "Who is there?"\n')
    for more in (
        {"CLIPFLEET_CAPTIONING_PROMPT_TEXT": "Who is there?"},
        {"CLIPFLEET_CONFIG": str(config)},
    ):
        env = {**small_fleet.env, **small_fleet.settings, **more}
        done = run_here(["submit", clips, "--dry-run"], env=env, cwd=small_fleet.work)
        assert "'Who is there?' here" in said(done, 2)


def test_commands_on_a_run_know_its_set(
    small_fleet: SmallFleet, clips: Path, tmp_path: Path
) -> None:
    small_fleet.start()
    shown = said(small_fleet.submit(clips, "--set", "terse", "--run", "r", "--wait"), 3)
    assert f"{small_fleet.out}, set terse, run r" in shown
    assert f"Records: {small_fleet.out}/sets/terse/metas/v0/" in shown
    records = [*(small_fleet.out / "sets" / "terse" / "metas" / "v0").iterdir()]
    assert len(records) == 2
    assert not (small_fleet.out / "metas").exists()
    assert not [*(small_fleet.out / "scratch").rglob("*.json")]

    for command, code in (
        (["status", "r"], 3),
        (["failures", "r"], 3),
        (["summary", "r"], 0),
        (["export", "r", str(tmp_path / "dataset")], 0),
        (["reconcile", "r"], 0),
        (["retry", "r", "--run", "again"], 0),
    ):
        said(small_fleet.run(*command, "--set", "terse"), code)
        wrong = said(small_fleet.run(*command, "--set", "other"), 2)
        assert "run r is of set terse, not of other" in wrong
        assert "not of (default)" in said(small_fleet.run(*command, "--set", "(default)"), 2)
    assert "--set goes with RUN" in said(small_fleet.run("failures", "--set", "terse"), 2)


def test_the_service_feeds_the_runs_of_all_sets_but_those_that_were_overwritten(
    small_fleet: SmallFleet, clips: Path
) -> None:
    said(small_fleet.submit(clips, "--run", "first", PROMPT, "What moves?"))
    said(small_fleet.submit(clips, "--run", "beside", "--set", "b", PROMPT, "Where is it?"))
    said(small_fleet.submit(clips, "--run", "over", "--overwrite", PROMPT, "Who is there?"))
    assert "run first is cancelled" in said(small_fleet.run("pause", "first"), 2)
    refused = said(small_fleet.run("resume", "first"), 2)
    assert "set (default) was given other options since run first" in refused
    small_fleet.start()
    said(small_fleet.run("feed"))
    assert {record.run_id for record in small_fleet.records().values()} == {"over"}
    beside = [*(small_fleet.out / "sets" / "b" / "metas" / "v0").iterdir()]
    assert [json.loads(path.read_bytes())["run_id"] for path in beside] == ["beside"] * 2


def test_a_clip_is_shown_from_the_set_that_is_named(small_fleet: SmallFleet, clips: Path) -> None:
    small_fleet.start()
    said(small_fleet.submit(clips, "--set", "terse", "--wait"), 3)
    clip = clips / "clips-000.mp4"
    assert "set terse" in said(small_fleet.run("show", clip, "--set", "terse"))
    hint = said(small_fleet.run("show", clip), 2)
    assert "there is one in set terse: --set NAME shows it" in hint


def test_the_status_of_all_runs_can_be_that_of_one_set(
    small_fleet: SmallFleet, clips: Path
) -> None:
    for name in ("a", "b"):
        said(small_fleet.submit(clips, "--set", name, "--run", f"run-{name}"))
    shown = json.loads(small_fleet.run("status", "--set", "a", "--json").stdout)
    assert [(run["run"], run["set"]) for run in shown["runs"]] == [("run-a", "a")]


@pytest.mark.parametrize("name", ["a/b", "runs", "-"])
def test_a_name_that_no_set_can_have_is_said_in_one_line(
    small_fleet: SmallFleet, clips: Path, name: str
) -> None:
    assert "a set's name has 1 to 64" in said(small_fleet.submit(clips, "--set", name), 2)


def test_a_set_whose_name_some_disks_take_for_another_is_refused(
    small_fleet: SmallFleet, clips: Path
) -> None:
    said(small_fleet.submit(clips, "--set", "terse"))
    refused = said(small_fleet.submit(clips, "--set", "Terse"), 2)
    assert "set Terse: there is a set terse" in refused
    assert "no folder has such a name" in said(small_fleet.submit(clips, "--set", "con"), 2)
