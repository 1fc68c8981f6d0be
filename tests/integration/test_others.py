"""The comparison with a full decode (`benchmarks.others`) speaks up where a frame is not the one.

The full decode is by PyAV here, which needs no ffmpeg command, spoiled on purpose.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Interpolation

from benchmarks.others.compare import Comparison, Ffmpeg, Truth, compare
from clipfleet.records import SourceInfo
from clipfleet_workers.media.packs import Frames as Image
from tests.support import clips

FRAMES, RATE = 60, 30
EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND
WHOLE = Truth(
    codec="h264",
    container="mp4",
    num_frames=FRAMES,
    times_s=[n / RATE for n in range(FRAMES)],
    length_s=FRAMES / RATE,
    said="",
)


@dataclass(frozen=True)
class Spoiled(Ffmpeg):
    """A full decode that claims `truth`, its pictures changed by `spoil`."""

    spoil: Callable[[list[Image]], Sequence[Image]] = list
    claims: Truth = WHOLE

    def truth(self, path: Path) -> Truth:
        return self.claims

    def pictures(
        self, path: Path, truth: Truth, source: SourceInfo, size: tuple[int, int]
    ) -> Iterator[Image]:
        assert size == (source.width, source.height)
        with av.open(path) as container:
            planar = [
                frame.reformat(format="gbrp", dst_color_range=ColorRange.JPEG, interpolation=EXACT)
                for frame in container.decode(video=0)
            ]
        frames = [frame.to_ndarray().astype(np.uint8, copy=False) for frame in planar]
        return iter(self.spoil(frames))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("others") / "clip.mp4"
    path.write_bytes(clips.encode(FRAMES, rate=RATE))
    return path


def compared(path: Path, by: Spoiled) -> Comparison:
    found = compare(path, by)
    assert found is not None
    return found


def test_a_clip_that_comes_out_right_agrees(clip: Path) -> None:
    found = compared(clip, Spoiled())

    assert (found.verdict, found.differs, found.false_warnings) == ("agrees", [], [])
    assert found.compared == 4 + 4  # of the clip, and of the span in its middle


def with_frame(number: int, image_of: Callable[[list[Image]], Image]) -> Spoiled:
    return Spoiled(lambda f: [*f[:number], image_of(f), *f[number + 1 :]])


def one_block_off(frames: list[Image]) -> Image:
    image = frames[20].copy()
    image[64:80, 96:112] = np.where(image[64:80, 96:112] < 128, 255, 0)
    return image


@pytest.mark.parametrize(
    ("by", "said"),
    [
        (with_frame(20, lambda frames: frames[21]), "frame 20 is"),
        (with_frame(20, one_block_off), "frame 20 is"),
        (with_frame(32, lambda frames: frames[31]), "span's 32 is"),
        (Spoiled(lambda frames: frames[1:]), "from the one before"),
        (Spoiled(lambda frames: frames[:1] + frames), "from the one after"),
        (Spoiled(lambda frames: frames[:-1]), "frame 59 is none of FFmpeg's frames"),
    ],
    ids=["a neighbour", "a block", "in the span alone", "one early", "one late", "one fewer"],
)
def test_a_frame_that_is_not_the_one_differs(clip: Path, by: Spoiled, said: str) -> None:
    found = compared(clip, by)

    assert found.verdict == "differs"
    assert any(said in each for each in found.differs), found.differs
    assert found.apart > 10


TIMES = WHOLE.times_s or []


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        (replace(WHOLE, num_frames=61), "60 frames, not 61"),
        (replace(WHOLE, times_s=[each * 1.01 for each in TIMES]), "frame 20 is at 0.667 s, not"),
        (replace(WHOLE, length_s=2.5), "it lasts 2.000 s, not 2.500"),
        (
            replace(WHOLE, times_s=[*TIMES[:24], *(each + 0.2 for each in TIMES[24:])]),
            "the span holds 27 frames, not 24",
        ),
    ],
    ids=["number", "times", "length", "span"],
)
def test_a_count_or_a_time_that_is_wrong_differs(clip: Path, claims: Truth, said: str) -> None:
    found = compared(clip, Spoiled(claims=claims))

    assert found.verdict == "differs"
    assert any(said in each for each in found.differs), found.differs


def test_a_file_of_no_video_that_has_no_frame_for_either_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("no video")

    assert compare(path, Spoiled(claims=replace(WHOLE, num_frames=0, times_s=None))) is None
    refused = compared(path, Spoiled())
    assert refused.verdict == "refused"
    assert "it is not a video file" in refused.refused


def test_damage_that_is_named_is_warned_and_damage_of_a_whole_file_a_false_warning(
    tmp_path: Path,
) -> None:
    whole = clips.encode(FRAMES, container="mpegts", rate=RATE)
    path = tmp_path / "torn.ts"
    path.write_bytes(whole[: len(whole) * 3 // 4] + whole[len(whole) * 4 // 5 :])

    damaged = compared(path, Spoiled(claims=replace(WHOLE, said="corrupt decoded frame")))
    said_to_be_whole = compared(path, Spoiled())

    assert damaged.verdict == "warned"
    assert not damaged.false_warnings
    assert said_to_be_whole.verdict == "differs"
    assert said_to_be_whole.false_warnings
