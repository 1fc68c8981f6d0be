"""What a shell completes, and what that costs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clipfleet.models import CAPTIONERS
from tests.support.tree import python_path

# Half a second of its time went into these, before they were left out.
SLOW = ("torch", "av", "numpy", "pydantic_settings", "rich", "celery", "redis", "minio")
SCRIPT = f"""
import sys
from clipfleet_producer.__main__ import main
sys.argv = ["clipfleet"]
try:
    main()
finally:
    print(*[name for name in {SLOW!r} if name in sys.modules], file=sys.stderr)
"""


def completed(folder: Path, line: str, **env: str) -> tuple[list[str], str]:
    """(what is offered for the line's last word, what was imported that is slow)."""
    words = line.split(" ")
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": python_path(),
            "_CLIPFLEET_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
            **env,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    offered = [each.partition(",")[2] for each in ran.stdout.split()]
    return offered, ran.stderr.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A home, and in it a store with two runs."""
    for name in ("20260101-1", "20260102-1", "other"):
        (tmp_path / "out/runs" / name).mkdir(parents=True)
    return tmp_path


def test_runs_of_the_flags_store_are_completed_newest_first(folder: Path) -> None:
    line = f"clipfleet summary --store {folder}/out 2026"

    assert completed(folder, line) == (["20260102-1", "20260101-1"], "")


def test_runs_of_the_variables_and_the_files_store_are_completed(folder: Path) -> None:
    by_variable = completed(folder, "clipfleet status o", CLIPFLEET_STORE=f"{folder}/out")
    file = folder / ".config/clipfleet/clipfleet.toml"
    file.parent.mkdir(parents=True)
    file.write_text(f'store = "{folder}/out"')

    assert by_variable == completed(folder, "clipfleet status o") == (["other"], "")


def test_without_a_store_that_answers_nothing_is_offered_or_said(folder: Path) -> None:
    assert completed(folder, "clipfleet status ") == ([], "")
    assert completed(folder, "clipfleet status ", CLIPFLEET_STORE=f"{folder}/none") == ([], "")


def test_models_prompts_and_formats_are_completed(folder: Path) -> None:
    models = completed(folder, "clipfleet run --captioning-algorithm ")
    assert models == ([*CAPTIONERS], "")
    prompts = completed(folder, "clipfleet run --captioning-prompt-variant a")
    assert prompts == (["av", "av-surveillance"], "")
    assert completed(folder, "clipfleet prompts caption/av-") == (["caption/av-surveillance"], "")
    assert completed(folder, "clipfleet export r d --format p") == (["parquet"], "")
