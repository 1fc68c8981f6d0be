"""Clips of any name come to their records, stay within the store, and are safe to print."""

import json
import os
import re
from pathlib import Path

import pytest

from clipfleet import keys
from clipfleet.errors import UsageError
from clipfleet.options import Options
from clipfleet.records import ManifestLine
from clipfleet.store import Store, open_store
from clipfleet_producer.runs.store import RunStore
from clipfleet_producer.runs.writing import write_run
from tests.support.cli import Cli
from tests.support.small_fleet import SmallFleet

NAMES = (
    b"new\nline.mp4",
    b"return\rhere.mp4",
    b"\x1b[31mred\x1b]0;title\x07.mp4",
    b"tab\there.mp4",
    "\N{CLAPPER BOARD} \N{RIGHT-TO-LEFT OVERRIDE}4pm.mp4".encode(),
    b'it\'s "quoted".mp4',
    b"%2e%2e%2f%2e%2e%2fescaped.mp4",
    b"-rf.mp4",
    b"  spaces  .mp4",
    b"[bold]markup[red].mp4",
    b"no utf-8 \xff\xfe.mp4",
    b"n" * 251 + b".mp4",
)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in NAMES:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text("not a video")
    outside = tmp_path / "outside.mp4"
    outside.write_text("not a video")
    (folder / "link.mp4").symlink_to(outside)
    return folder


def raw(said: str) -> list[str]:
    """What of a command's output a terminal would act on."""
    return re.findall(r"[^\n\x20-\x7e\xa0-\u200a\u2010-\u2027\u2030-\U0010ffff]", said)


def test_clips_of_any_name_come_to_their_records_and_print_on_a_line_each(
    small_fleet: SmallFleet, clips: Path, tmp_path: Path
) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    small_fleet.start()

    done = small_fleet.submit(clips, clips / ".." / "clips", "--run", "r", "--wait")
    status = small_fleet.run("status", "r")
    listed = small_fleet.run("failures", "r", "--json")
    again = small_fleet.run("retry", "r", "--only", "new\nline.mp4", "--run", "again", "--wait")

    assert (done.returncode, status.returncode, listed.returncode) == (3, 3, 3), done.stdout
    assert again.returncode == 3, again.stdout
    assert "1 of 1 clips done" in again.stdout
    errors = [json.loads(line) for line in listed.stdout.splitlines()]
    assert len(errors) == len(NAMES) + 1
    assert {e["error"] for each in errors for e in each["errors"]} == {"ClipUnreadable"}
    for said in (done.stdout, status.stdout, again.stdout):
        assert raw(said) == []
        assert "Traceback" not in said
    assert "new\\nline.mp4: it is not a video file" in done.stdout
    assert "[bold]markup[" in done.stdout
    after = {path.name for path in tmp_path.iterdir()}
    assert after - before <= {"out", "workers.log"}
    assert {path.name for path in small_fleet.out.iterdir()} <= {
        "metas",
        "runs",
        "scratch",
        "set.json",
        "active",
        ".tmp",
    }


def test_a_path_of_almost_4_kib_is_refused_on_one_line(
    small_fleet: SmallFleet, tmp_path: Path
) -> None:
    folder = tmp_path.joinpath("deep", *["d" * 250] * 14)
    folder.mkdir(parents=True)
    (folder / "clip.mp4").write_text("not a video")

    said = small_fleet.submit(tmp_path / "deep")

    assert said.returncode == 2
    assert re.fullmatch(r"clipfleet: clip.mp4: its URI takes 3,\d+ bytes, over .*\n", said.stdout)


CLIP = "00000000-0000-0000-0000-000000000000"
LINES = {
    "no JSON": b"garbage",
    "no object": b"[1, 2]",
    "JSON without end": b"[" * 100_000,
    "a number that is none": b'{"clip_uuid": NaN, "source": "file:///a.mp4"}',
    "a mark at its start": b"\xef\xbb\xbf{}",
    "no text": b"\xff\xfe",
    "a foreign id": b'{"clip_uuid": "../../etc/passwd", "source": "file:///a.mp4"}',
    "a source of another type": f'{{"clip_uuid": "{CLIP}", "source": 7}}'.encode(),
    "an endless source": f'{{"clip_uuid": "{CLIP}", "source": "s3://b/{"k" * 10**6}"}}'.encode(),
    "a field of no meaning": f'{{"clip_uuid": "{CLIP}", "source": "s3://b/k", "x": 1}}'.encode(),
}


@pytest.fixture
def run_in_store(tmp_path: Path) -> Store:
    """A run with one clip of ours, to put a line behind."""
    store = open_store(str(tmp_path / "out"))
    store.prepare()
    write_run(store, "r", Options(), [ManifestLine(clip_uuid=CLIP, source="s3://b/k")])
    return store


@pytest.mark.parametrize("line", LINES)
def test_a_line_that_is_none_of_ours_is_named_in_one_line(run_in_store: Store, line: str) -> None:
    key = keys.run_manifest("r", RunStore.open(run_in_store, "r").head.manifest_version, 0)
    run_in_store.put(key, run_in_store.get(key) + LINES[line] + b"\n")

    with pytest.raises(UsageError) as refused:
        list(RunStore.open(run_in_store, "r").manifest.lines())

    assert str(refused.value).startswith(f"{key}, line 2: ")
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("command", ["status", "failures"])
def test_commands_end_at_such_a_line_with_that(cli: Cli, run_in_store: Store, command: str) -> None:
    manifest_version = RunStore.open(run_in_store, "r").head.manifest_version
    run_in_store.put(keys.run_manifest("r", manifest_version, 0), LINES["a foreign id"])

    said = cli.run(command, "r", CLIPFLEET_STORE=run_in_store.uri)

    assert said.returncode == 2
    assert re.fullmatch(
        r"clipfleet: runs/r/manifest/[0-9a-f]+/000000.jsonl, line 1: clip_uuid: .*\n", said.stdout
    )
