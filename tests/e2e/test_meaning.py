"""The whole path judged by what the captions say, fact by fact, against what was drawn.

Encoding, decoding, windows, sampling, pixel sizes, colours, times, chat form, engine, chord and
record: a fault in any of them makes captions untrue, and each planted one is seen.
"""

import json
import os
from pathlib import Path

import pytest

from clipfleet import keys
from clipfleet.records import ClipRecord
from tests.e2e.faults_of_meaning import FAULTS
from tests.support.cli import Cli
from tests.support.meaning.reading import judge
from tests.support.meaning.score import score
from tests.support.meaning.tally import Score
from tests.support.records import words
from tests.support.samples import copy_samples
from tests.support.tree import python_path

NONE = "none"
CLIPS = 12


@pytest.fixture(scope="module")
def judged(cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same clips once as they are and once for each fault, all in one run: its records.

    The folder of each kind holds its clips; the records of all lie in `out` beside them.
    """
    folder = tmp_path_factory.mktemp("meaning")
    truth = folder / NONE
    assert len(copy_samples(truth, count=CLIPS)) == CLIPS
    faults = {}
    for fault in FAULTS:
        planted = folder / fault.replace(" ", "-")
        planted.mkdir()
        for clip in truth.glob("*.mp4"):
            os.link(clip, planted / clip.name)
            faults[keys.clip_uuid((planted / clip.name).resolve().as_uri())] = fault
    (folder / "faults.json").write_text(json.dumps(faults))
    with Cli.alone(cache_dir) as commands:
        done = commands.run(
            *("run", folder, "--out", folder / "out", "--no-generate-previews"),
            *("--captioning-algorithm", "mini"),
            timeout_s=400,
            PLANTED_FAULTS=str(folder / "faults.json"),
            PYTHONPATH=os.pathsep.join([str(Path(__file__).parent / "planted"), python_path()]),
        )
        assert done.returncode == 0, done.stdout
    return {name: folder / name.replace(" ", "-") for name in (NONE, *FAULTS)}


def scored(judged: dict[str, Path], fault: str) -> Score:
    """The score of the captions of the clips with this fault."""
    clips = judged[fault]
    records = [
        record
        for path in (clips.parent / "out").glob("metas/v0/*.json")
        if (record := ClipRecord.model_validate_json(path.read_bytes())).source_video.startswith(
            clips.as_uri() + "/"
        )
    ]
    assert len(records) == CLIPS
    return score(records, truth=judged[NONE])


def test_captions_of_unseen_clips_are_true(judged: dict[str, Path]) -> None:
    found = scored(judged, NONE)

    assert found.facts_right >= 0.97, found.mistakes
    assert found.wholly_right >= 0.90, found.mistakes


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_makes_the_score_fall(judged: dict[str, Path], fault: str) -> None:
    whole, faulty = scored(judged, NONE), scored(judged, fault)

    kinds, margin = FAULTS[fault]
    kinds = kinds or tuple(whole.seen)
    assert faulty.captions == whole.captions
    assert faulty.share(*kinds) <= whole.share(*kinds) - margin


def test_each_window_of_a_clip_tells_its_own_story(judged: dict[str, Path]) -> None:
    """The picture changes at frame 256, where the second window begins."""
    truth = json.loads((judged[NONE] / "sample-001.json").read_text())["scenes"]
    assert [scene["start_frame"] for scene in truth] == [0, 256]
    uuid = keys.clip_uuid((judged[NONE] / "sample-001.mp4").as_uri())
    path = judged[NONE].parent / "out" / keys.record(uuid)
    first, second = ClipRecord.model_validate_json(path.read_bytes()).windows

    for window, own, other in ((first, 0, 1), (second, 1, 0)):
        assert judge(words(window.caption), truth[own]["facts"]).wholly_right
        assert not judge(words(window.caption), truth[other]["facts"]).wholly_right
