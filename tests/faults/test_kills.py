"""Workers are killed in the middle of a run, and nothing is lost."""

import shutil
from pathlib import Path

import psutil
import pytest

from clipfleet.records import ClipRecord
from tests.support.cli import Cli, command_line
from tests.support.waiting import wait_for

CLIPS = 20


@pytest.fixture
def twenty_clips(sample_clips: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for i in range(CLIPS):
        shutil.copy(sample_clips / f"sample-00{i % 2}.mp4", folder / f"clip-{i:02d}.mp4")
    return folder


def main_process(cli: Cli, queue: str) -> psutil.Process | None:
    """The main process of the run's worker for `queue`; Celery may have given it a title."""
    for process in cli.processes():
        line = command_line(process)
        if f"-m clipfleet_workers {queue} " in line or (
            f"celeryd: {queue}-" in line and "Main" in line
        ):
            return process
    return None


def test_every_clip_is_done_once_though_each_kind_of_worker_is_killed(
    cli: Cli, twenty_clips: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run = cli.start("run", twenty_clips, "--out", out, "--captioning-max-output-tokens", "200")

    def kill(queue: str) -> None:
        process = main_process(cli, queue)
        assert process is not None, f"no {queue} worker to kill"
        process.kill()

    wait_for("plan", lambda: any(out.glob("scratch/*/*/plan.json")), 60)
    kill("prepare")
    wait_for("preview", lambda: any(out.glob("previews/*/*.webp")), 60)
    kill("preview")
    wait_for("caption", lambda: any(out.glob("scratch/*/*/*.caption.json")), 120)
    kill("caption")
    wait_for("record", lambda: any(out.glob("metas/v0/*.json")), 120)
    kill("assemble")
    said, _ = run.communicate(timeout=240)

    assert run.returncode == 0, said
    for queue in ("prepare", "preview", "caption", "assemble"):
        assert f"the {queue} process died (ended by SIGKILL)" in said
    records = [
        ClipRecord.model_validate_json(path.read_bytes()) for path in out.glob("metas/v0/*.json")
    ]
    assert sorted(Path(r.source_video).name for r in records) == sorted(
        path.name for path in twenty_clips.iterdir()
    )
    assert all(record.valid for record in records)
    windows = {
        (record.span_uuid, f"{w.start_frame}_{w.end_frame}")
        for record in records
        for w in record.windows
    }
    previews = {str(p.relative_to(out)) for p in out.glob("previews/*/*")}
    assert len(windows) == CLIPS + CLIPS // 2
    assert previews == {
        f"previews/{clip}/{window}.{kind}" for clip, window in windows for kind in ("webp", "jpg")
    }
    assert not list((out / "scratch").rglob("*"))
