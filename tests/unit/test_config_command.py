"""`clipfleet config`: each value in force, and where it comes from."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_here import run_here


def said(tmp_path: Path, *arguments: str, **env: str) -> str:
    ran = run_here(("config", *arguments), env={"HOME": str(tmp_path), **env}, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


def entries(tmp_path: Path, *arguments: str, **env: str) -> dict[str, Any]:
    found = json.loads(said(tmp_path, "show", "--json", *arguments, **env))
    return {each.pop("name"): each for each in found}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The user's own settings file."""
    own = tmp_path / ".config/clipfleet/clipfleet.toml"
    own.parent.mkdir(parents=True)
    return own


def test_each_value_is_said_to_come_from_flag_variable_file_or_default(
    tmp_path: Path, file: Path
) -> None:
    file.write_text(
        "lease_s = 3\ndrain_s = 9\n[clip_limits]\nmax_bytes = 7\n"
        "[options]\npreview-quality = 40\ncaptioning-fp8 = true\n"
    )
    found = entries(
        tmp_path,
        *("--store", "s3://b", "--captioning-algorithm", "qwen3"),
        CLIPFLEET_STORE="s3://other",
        CLIPFLEET_DRAIN_S="5",
        CLIPFLEET_PREVIEW_QUALITY="30",
        CLIPFLEET_CLIP_LIMITS__MAX_FRAMES="8",
    )

    def entry(value: Any, origin: str, source: str = "") -> dict[str, Any]:
        return {"value": value, "origin": origin, "source": source}

    assert found["store"] == entry("s3://b", "flag", "--store")
    assert found["drain_s"] == entry(5.0, "variable", "CLIPFLEET_DRAIN_S")
    assert found["lease_s"] == entry(3.0, "file", str(file))
    assert found["max_retries"] == entry(100, "default")
    assert found["clip_limits.max_bytes"] == entry(7, "file", str(file))
    limit = entry(8, "variable", "CLIPFLEET_CLIP_LIMITS__MAX_FRAMES")
    assert found["clip_limits.max_frames"] == limit
    assert found["captioning-algorithm"] == entry("qwen3", "flag", "--captioning-algorithm")
    assert found["preview-quality"] == entry(30, "variable", "CLIPFLEET_PREVIEW_QUALITY")
    assert found["captioning-fp8"] == entry(True, "file", str(file))
    assert found["captioning-window-size"] == entry(256, "default")


def test_no_secret_is_shown(tmp_path: Path) -> None:
    secrets = {
        "CLIPFLEET_BROKER": "redis://fleet:hunter2@host:6379/0",
        "CLIPFLEET_S3_SECRET_KEY": "hunter2",
        "CLIPFLEET_ENGINE_API_KEY": "hunter2",
    }
    for arguments in (["show"], ["show", "--json"]):
        shown = said(tmp_path, *arguments, **secrets)
        assert "hunter2" not in shown
        assert "redis://host:6379/0" in shown


def test_people_read_a_line_for_each(tmp_path: Path, file: Path) -> None:
    file.write_text("lease_s = 3\n")

    lines = said(tmp_path, "show").splitlines()

    assert f"lease_s = 3.0   [file {file}]" in lines
    assert "preview-quality = 50   [default]" in lines
    assert "store = (none)   [default]" in lines


def test_the_path_is_that_of_the_file_in_use_or_to_be(tmp_path: Path, file: Path) -> None:
    assert said(tmp_path, "path").splitlines() == [
        "clipfleet: there is no such file yet",
        str(file),
    ]
    file.write_text("")
    assert said(tmp_path, "path") == f"{file}\n"


def test_an_option_that_there_is_not_is_named_with_the_one_meant(
    tmp_path: Path, file: Path
) -> None:
    file.write_text("[options]\npreview-qualty = 40\n")

    ran = run_here(("config", "show"), env={"HOME": str(tmp_path)}, cwd=tmp_path)

    assert (ran.returncode, ran.stdout) == (
        2,
        f"clipfleet: [options] in {file}: there is no option preview-qualty; did you mean "
        "preview-quality?\n",
    )
