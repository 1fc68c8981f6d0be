"""Sample clips as files: really encoded, in several forms, with the truth beside them."""

import json
from pathlib import Path

import av
import pytest

from clipfleet_producer.samples import write_samples
from clipfleet_producer.samples.files import ENCODERS, draw_clips
from tests.support.meaning.reading import judge
from tests.support.samples import SEED, copy_samples

COUNT = len(ENCODERS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("samples")
    copy_samples(found, count=COUNT)
    return found


def test_clips_hold_the_frames_that_were_drawn_in_three_codecs(folder: Path) -> None:
    codecs = set()
    for clip in draw_clips(count=COUNT, seed=SEED):
        with av.open(str(folder / clip.name)) as container:
            (stream,) = container.streams.video
            assert (stream.width, stream.height) == clip.size
            assert stream.average_rate == clip.fps
            assert sum(1 for _ in container.decode(stream)) == sum(clip.frames)
            codecs.add(stream.codec_context.name)
    assert codecs == {"h264", "hevc", "vp9"}


def test_the_truth_beside_a_clip_is_what_its_captions_say(folder: Path) -> None:
    for clip in draw_clips(count=COUNT, seed=SEED):
        truth = json.loads((folder / clip.name).with_suffix(".json").read_text())
        assert truth == clip.truth()
        assert truth["clip"] == clip.name
        for scene in truth["scenes"]:
            assert judge(scene["caption"], scene["facts"]).wholly_right


def test_the_same_seed_writes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    (path,) = write_samples(tmp_path, count=1, seed=SEED)
    assert path.read_bytes() == (folder / path.name).read_bytes()
