"""`clipfleet run`: the whole job on one machine, with nothing set up beforehand."""

import io
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import psutil
import pytest
from PIL import Image

from clipfleet import models
from clipfleet.models import MODELS
from clipfleet.records import ClipRecord
from clipfleet.records.schema import record_schema
from tests.support.cli import Cli
from tests.support.meaning.score import kept, score
from tests.support.records import words
from tests.support.waiting import wait_for

SHORT = ("--captioning-max-output-tokens", "16", "--enhance-captions-max-output-tokens", "16")
QUICK = "transformers"  # starts in 5 s where vLLM takes 15


def records_in(out: Path) -> dict[str, ClipRecord]:
    """Each record by its clip's file name."""
    found = {}
    for path in sorted((out / "metas" / "v0").glob("*.json")):
        record = ClipRecord.model_validate_json(path.read_bytes())
        assert path.stem == record.span_uuid
        jsonschema.validate(json.loads(path.read_bytes()), record_schema())
        found[Path(record.source_video).name] = record
    return found


def check_whole(record: ClipRecord, out: Path, said: str) -> None:
    """A good clip's record, with all its products, each of them shown in what the command said."""
    assert record.valid
    assert record.errors == []
    assert record.models["mini"].engine.startswith("vllm ")
    assert record.models["mini"].revision == models.find("mini").revision
    assert record.warnings[0] == MODELS["mini"].caveat
    for window in record.windows:
        assert window.caption
        assert window.enhanced
        assert words(window.enhanced)
        assert window.caption.finish_reason == window.enhanced.finish_reason == "stop"
        assert window.preview is not None
        for shown in (words(window.caption), window.preview.key):
            assert shown in said, "side by side, for a person to compare"
        image = Image.open(io.BytesIO((out / window.preview.key).read_bytes()))
        assert getattr(image, "n_frames", 1) >= 3
        assert image.size == (window.preview.width, window.preview.height)


def test_clips_become_captions_enhanced_captions_previews_and_records(
    cli: Cli, sample_clips: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = cli.run("run", sample_clips, "--out", out, "--enhance-captions")

    assert done.returncode == 0, done.stdout
    first_words, _, _ = done.stdout.partition("waiting for")
    assert MODELS["mini"].caveat in first_words, "said before anything is done"
    assert "3 of 3 clips done, 0 with errors: 4 windows, 4 captions, 4 enhanced, 4 previews" in (
        done.stdout
    )
    records = records_in(out)
    windows = {
        name: [(w.start_frame, w.end_frame) for w in record.windows]
        for name, record in records.items()
    }
    assert windows == {
        "sample-000.mp4": [(0, 149)],
        "sample-001.mp4": [(0, 255), (256, 399)],
        "sample-002.mp4": [(0, 299)],
    }
    for record in records.values():
        check_whole(record, out, done.stdout)
    captions, enhanced = score(records.values(), truth=sample_clips), kept(records.values())
    assert captions.facts_right >= 0.97, captions.mistakes
    assert enhanced.facts_right >= 0.97, enhanced.mistakes
    assert enhanced.longer == enhanced.captions == 4
    assert not list((out / "scratch").rglob("*")), "scratch is cleared"

    before = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    started = time.monotonic()
    again = cli.run("run", sample_clips, "--out", out, "--enhance-captions")
    assert again.returncode == 0
    assert "3 done already" in again.stdout
    assert time.monotonic() - started < 10, "nothing is started when nothing is to do"
    after = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    assert {p: t for p, t in after.items() if p in before} == before
    assert all(p.is_relative_to(out / "runs") for p in after.keys() - before.keys())


@dataclass(frozen=True)
class Interrupted:
    """A run of good and bad clips, and one that is not there, that Ctrl-C ended; and the rest."""

    out: Path
    missing: Path
    first: "subprocess.CompletedProcess[str]"
    left: list[psutil.Process]
    second: "subprocess.CompletedProcess[str]"


@pytest.fixture(scope="module")
def interrupted(
    sample_clips: Path,
    bad_folder: Path,
    cache_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Interrupted]:
    folder = tmp_path_factory.mktemp("interrupted")
    out, missing = folder / "out", folder / "missing.mp4"
    with Cli.alone(cache_dir) as cli:
        command = ("run", bad_folder, sample_clips, missing, "--out", out, *SHORT)
        process = cli.start(*command, CLIPFLEET_ENGINE=QUICK)
        wait_for("preview", lambda: list(out.glob("previews/*/*.webp")), 60)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
        first = subprocess.CompletedProcess(command, process.returncode, said)
        left = cli.processes()
        second = cli.run(*command, CLIPFLEET_ENGINE=QUICK)
        yield Interrupted(out, missing, first, left, second)


def test_ctrl_c_ends_a_run_and_says_how_to_go_on(interrupted: Interrupted) -> None:
    assert interrupted.first.returncode == 130, interrupted.first.stdout
    assert "The same command again does the rest" in interrupted.first.stdout
    assert interrupted.left == []


def test_after_ctrl_c_the_same_command_does_the_rest(interrupted: Interrupted) -> None:
    assert interrupted.second.returncode == 3, interrupted.second.stdout
    good = {n: r for n, r in records_in(interrupted.out).items() if n.startswith("sample-")}
    assert len(good) == 3
    assert all(record.valid for record in good.values())
    assert not list((interrupted.out / "scratch").rglob("*"))


def test_bad_clips_each_get_one_line_and_a_record_and_the_rest_goes_on(
    interrupted: Interrupted, bad_clips: dict[str, str]
) -> None:
    said = interrupted.first.stdout + interrupted.second.stdout
    assert "Traceback" not in said
    gone = f"clipfleet: {interrupted.missing}: there is no such file or folder"
    assert gone in interrupted.second.stdout
    records = {n: r for n, r in records_in(interrupted.out).items() if not r.valid}
    assert set(records) == set(bad_clips)
    for name, reason in bad_clips.items():
        record = records[name]
        assert record.windows == []
        assert [e.message for e in record.errors] == [record.errors[0].message]
        assert reason in record.errors[0].message
        lines = [line for line in said.splitlines() if line.startswith(f"{name}: ")]
        assert len(lines) == 1
        assert reason in lines[0]


def test_a_killed_run_leaves_no_process_behind(
    cli: Cli, sample_clips: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run = cli.start("run", sample_clips, "--out", out, *SHORT)
    wait_for("preview", lambda: list(out.glob("previews/*/*.webp")), 60)
    assert len(cli.processes()) > 5
    run.kill()
    run.communicate(timeout=30)
    assert cli.left_behind() == []


def test_a_full_disk_ends_the_run_with_one_line(
    cli: Cli, sample_clips: Path, small_disk: Path
) -> None:
    out = small_disk / "out"
    done = cli.run("run", sample_clips, "--out", out, timeout_s=90, CLIPFLEET_ENGINE=QUICK)
    assert done.returncode == 5, done.stdout
    assert "Traceback" not in done.stdout
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("clipfleet: ")
    assert "no space left" in last.lower()
