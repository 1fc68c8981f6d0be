"""`run --json` and `export --json`: one object on standard output, and people's words beside it."""

import json
from pathlib import Path

from click.testing import CliRunner

from clipfleet import keys
from clipfleet.errors import ExitCode
from clipfleet.options import CaptionOptions, Options
from clipfleet.store import open_store
from clipfleet_producer.cli.clip_names import clip_uuids
from clipfleet_producer.cli.main import cli
from tests.support.exported_run import RUN, StoredRun, done_record
from tests.support.found_clips import write
from tests.support.records import clip_record


def test_a_run_ends_with_one_object(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4")
    clip = str(tmp_path / "a.mp4")
    store = open_store(str(tmp_path / "out"))
    store.prepare()
    options = Options(caption=CaptionOptions(model_variant="mini"))
    record = clip_record(options).model_copy(
        update={
            "span_uuid": clip_uuids(clip)[0],
            "num_bytes": Path(clip).stat().st_size,
            "valid": True,
        }
    )
    store.put(keys.record(clip_uuids(clip)[0]), record.to_bytes())
    flags = ["--captioning-algorithm", "mini", "--run", "night", "--json"]

    ran = CliRunner().invoke(cli, ["run", clip, "gone.mp4", "--out", str(tmp_path / "out"), *flags])

    found = json.loads(ran.stdout)
    assert (found["run"], found["set"], found["store"]) == ("night", "", str(tmp_path / "out"))
    assert (found["clips"], found["done"], found["failed"]) == (1, 1, 0)
    assert found["problems"] == ["gone.mp4: there is no such file or folder"]
    assert found["exit_code"] == ran.exit_code == ExitCode.FAILED_CLIPS
    assert "1 of 1 clips done" in ran.stderr


def test_an_export_ends_with_one_object(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "out"))
    store.prepare()
    run = StoredRun(store, tmp_path / "out")
    run.begin(3)
    run.put(done_record(0, ["first", "second"]))

    ran = run.export(tmp_path / "taken", "--json")

    found = json.loads(ran.stdout)
    assert (found["run"], found["format"], found["per"]) == (RUN, "jsonl", "window")
    assert (found["clips"], found["rows"], found["missing"]) == (3, 2, 2)
    assert found["folder"] == str(tmp_path / "taken")
    assert found["exit_code"] == ran.exit_code == ExitCode.FAILED_CLIPS
    assert "2 rows, one a window" in ran.stderr
