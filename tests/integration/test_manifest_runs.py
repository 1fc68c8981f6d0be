"""What a manifest says of single clips ends in their records, whatever becomes of scratch."""

import json
from pathlib import Path

import jsonschema
import pytest

from clipfleet import keys
from clipfleet.records.schema import record_schema
from tests.support import clips as made
from tests.support.small_fleet import SmallFleet
from tests.support.waiting import wait_for


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A manifest of files that no worker can cut, and of one that is too short in its span."""
    for name in "abc":
        (tmp_path / f"{name}.mp4").write_text(f"not a video {name}")
    (tmp_path / "short.mp4").write_bytes(made.encode(60, options={"preset": "ultrafast"}))
    rows = [
        {"clip": "a.mp4", "label": "crossing", "scores": [0.5, {"of": None}]},
        {"clip": "b.mp4", "span": [1, 2.5], "options": {"captioning-sampling-fps": 1}},
        {"clip": "c.mp4"},
        {"clip": "short.mp4", "span": [1.0, 1.05], "label": "too short"},
        {"clip": "d.mp4"},
        {"clip": "c.mp4", "span": [5, 4]},
    ]
    manifest = tmp_path / "list.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return manifest


def test_metadata_spans_and_options_of_single_clips_end_in_their_records(
    small_fleet: SmallFleet, listed: Path
) -> None:
    small_fleet.start()
    done = small_fleet.submit(listed, "--run", "r", "--wait")
    assert done.returncode == 3
    assert "list.jsonl, line 5: " in done.stdout, "there is no d.mp4"
    assert "list.jsonl, line 6: " in done.stdout, "it ends before it begins"
    records = small_fleet.records()
    assert sorted(records) == ["a.mp4", "b.mp4", "c.mp4", "short.mp4"]
    assert records["a.mp4"].metadata == {"label": "crossing", "scores": [0.5, {"of": None}]}
    assert records["b.mp4"].duration_span == (1.0, 2.5)
    assert records["b.mp4"].recipes != records["c.mp4"].recipes
    assert records["c.mp4"].metadata == {}
    (failure,) = records["short.mp4"].failures()
    assert failure.message.startswith("it has 2 frames in its span (the file has 2 s)")
    assert records["short.mp4"].num_frames == 2
    assert list(small_fleet.out.glob("scratch/*")) == []
    for path in small_fleet.out.glob("metas/v0/*.json"):
        jsonschema.validate(json.loads(path.read_bytes()), record_schema())

    again = small_fleet.submit(listed, "--run", "again", "--wait")
    assert "4 done already" in again.stdout


def test_metadata_that_goes_missing_from_scratch_is_brought_again(
    small_fleet: SmallFleet, listed: Path
) -> None:
    small_fleet.start()
    small_fleet.pause_prepare()
    follower = small_fleet.submit_in_background(listed, "--run", "r", "--wait")
    wait_for(
        "metadata in scratch",
        lambda: len(list(small_fleet.out.glob("scratch/*/*/metadata.json"))) == 2,
        60,
    )
    for path in small_fleet.out.glob("scratch/*/*/metadata.json"):
        path.unlink()
    small_fleet.continue_prepare()
    said, _ = follower.communicate(timeout=60)
    assert follower.returncode == 3, said
    records = small_fleet.records()
    assert len(records) == 4
    assert records["a.mp4"].metadata["label"] == "crossing"
    assert records["a.mp4"].source_video.endswith("a.mp4")
    assert keys.clip_uuid(records["a.mp4"].source_video) == records["a.mp4"].span_uuid
