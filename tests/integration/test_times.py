"""When frames are shown, where files say it in odd ways, in part, or wrongly."""

import io
import itertools
import re

import pytest

from clipfleet.grid import QWEN2_5_VL
from clipfleet.options import PrepareOptions, PreviewOptions
from clipfleet_workers.media import decode, onepass
from clipfleet_workers.media.timeline import Timeline
from tests.support import clips
from tests.support.corpus.remux import remux
from tests.support.corpus.stamps import (
    FIRST_FRAMES,
    GAPPED,
    NO_B,
    OPTIONS,
    RATE,
    SLOTS,
    all_since_1970,
    encoded,
    from_mid_gop,
    joined,
    one_ahead,
    since_1970,
    sparse,
    stated,
    with_gaps,
    without_times,
)


def timeline(data: bytes) -> Timeline:
    return decode.index(io.BytesIO(data)).timeline


def numbers_within(data: bytes, span_s: tuple[float, float]) -> tuple[onepass.CutClip, list[int]]:
    """The numbers of all frames of a span."""
    made: list[onepass.Window] = []
    clip = onepass.cut(
        io.BytesIO(data),
        prepare=PrepareOptions(sampling_fps=30, model_does_preprocess=True),
        preview=PreviewOptions(),
        grid=QWEN2_5_VL,
        write=made.append,
        span_s=span_s,
    )
    return clip, [number for window in made for number in clips.numbers_in(window.frames.frames)]


def is_whole(data: bytes) -> None:
    """60 frames at 30 a second, each in its place, and nothing to warn of."""
    found = decode.index(io.BytesIO(data))

    assert (found.num_frames, found.warnings) == (60, [])
    assert found.timeline.end_time_s == pytest.approx(2.0, abs=0.002)
    assert numbers_within(data, (0.0, 2.0))[1] == list(range(60))


JOINED = [("libx264", "mpegts"), ("libx265", "mpegts"), ("mpeg2video", "mpegts")]
JOINED += [("mpeg2video", "mpeg")]
CLIPS = list(itertools.product(["libx264", "mpeg4"], ["avi", "asf"], [True, False]))


@pytest.mark.parametrize(("codec", "container", "b_frames"), CLIPS)
def test_gaps_are_kept(codec: str, container: str, b_frames: bool) -> None:
    found = timeline(with_gaps(codec, container, b_frames=b_frames))

    assert (len(found.times_s), found.uneven) == (GAPPED, True)
    # How late B-frames make the first frame is how near a gap may be.
    assert found.times_s == pytest.approx([slot / RATE for slot in SLOTS], abs=1.2)
    assert found.end_time_s == pytest.approx((SLOTS[-1] + 1) / RATE, abs=0.05)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("container", ["avi", "asf"])
def test_without_b_frames_times_with_gaps_are_exact(codec: str, container: str) -> None:
    found = timeline(with_gaps(codec, container, b_frames=False))

    assert found.times_s == pytest.approx([slot / RATE for slot in SLOTS], abs=0.002)


@pytest.mark.parametrize(("codec", "container", "b_frames"), CLIPS)
def test_a_span_between_gaps_holds_its_frames(codec: str, container: str, b_frames: bool) -> None:
    clip, numbers = numbers_within(with_gaps(codec, container, b_frames=b_frames), (4.0, 6.0))

    assert clip.warnings == []
    assert set(numbers) >= set(range(27, 33))
    assert set(numbers) <= set(range(21, 41))


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("container", ["avi", "asf"])
def test_without_gaps_the_rate_is_constant(codec: str, container: str) -> None:
    found = timeline(remux(encoded(codec, "avi" if container == "avi" else "mp4"), container))

    assert not found.uneven
    assert found.rate == pytest.approx(RATE, rel=1e-3)
    assert found.end_time_s == pytest.approx(2.0, abs=0.002)


@pytest.mark.parametrize("kept", [2, 5, 24])
@pytest.mark.parametrize("codec", OPTIONS)
def test_pictures_without_times_lie_between_those_with(codec: str, kept: int) -> None:
    found = decode.index(io.BytesIO(sparse(codec, kept)))

    assert (found.num_frames, found.warnings) == (60, [])
    assert found.timeline.times_s == pytest.approx([n / RATE for n in range(60)], abs=0.001)


@pytest.mark.parametrize("kept", [2, 5])
def test_pictures_without_times_keep_a_pause(kept: int) -> None:
    times_ms = [n * 40 + 3000 * (n >= 30) for n in range(60)]
    data = clips.encode(60, container="mpegts", times_ms=times_ms, options=NO_B)

    found = timeline(without_times(data, kept))

    assert found.end_time_s == pytest.approx(times_ms[-1] / 1000 + 0.04, abs=0.005)
    assert found.uneven


# How long each frame is shown, ms, and how long the clip is, s.
LASTING: dict[str, tuple[list[int], float]] = {
    "even, then 20 s": ([40] * 59 + [20_000], 22.36),
    "uneven, then 5 s": ([40, 80] * 29 + [40, 5000], 8.52),
    "slides": ([1000] * 7 + [20_000], 27.0),
    "all the same": ([40] * 60, 2.4),
    "one": ([4000], 4.0),
}


@pytest.mark.parametrize("container", ["mp4", "mov", "matroska", "gif"])
@pytest.mark.parametrize("name", LASTING)
def test_the_last_frame_lasts_as_long_as_its_file_says(name: str, container: str) -> None:
    steps_ms, length_s = LASTING[name]

    assert timeline(stated(steps_ms, container)).end_time_s == pytest.approx(length_s, abs=0.002)


@pytest.mark.parametrize(("delay", "shown_ms"), [(0, 100), (1, 100), (2, 20), (7, 70)])
def test_a_gif_shows_its_frames_for_as_long_as_browsers_do(delay: int, shown_ms: int) -> None:
    """Delays are hundredths of a second, in the graphic control extension of GIF89a, 23."""
    data = stated([40] * 12, "gif")
    extension = b"\x21\xf9\x04"
    assert data.count(extension) == 12
    parts = data.split(extension)
    changed = [part[:1] + delay.to_bytes(2, "little") + part[3:] for part in parts[1:]]

    found = timeline(extension.join([parts[0], *changed]))

    assert found.end_time_s == pytest.approx(12 * shown_ms / 1000)
    assert found.times_s[1] == pytest.approx(shown_ms / 1000)


def test_fragments_that_are_stamped_since_1970_follow_those_before() -> None:
    found = decode.index(io.BytesIO(since_1970(first=1)))

    assert found.num_frames == 100
    assert found.timeline.end_time_s == pytest.approx(4.0)
    assert len(found.warnings) == 1
    assert "leap by a day or more before frame 25" in found.warnings[0]


def test_fragments_that_are_all_stamped_since_1970_begin_at_zero() -> None:
    found = decode.index(io.BytesIO(since_1970(first=0)))

    assert (found.num_frames, found.warnings) == (100, [])
    assert found.timeline.end_time_s == pytest.approx(4.0, abs=0.002)


@pytest.mark.parametrize("container", ["mp4", "matroska", "nut", "flv"])
def test_a_file_all_stamped_since_1970_begins_at_zero(container: str) -> None:
    is_whole(all_since_1970(container))


@pytest.mark.parametrize("b_frames", [True, False])
@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts", "flv"])
def test_one_frame_stamped_hours_ahead_stays_in_its_place(container: str, b_frames: bool) -> None:
    is_whole(one_ahead(container, b_frames=b_frames))


@pytest.mark.parametrize(("codec", "container"), JOINED)
def test_joined_streams_are_whole(codec: str, container: str) -> None:
    is_whole(joined(codec, container))


def test_streams_of_which_one_ends_with_a_key_frame_join_as_well() -> None:
    """The word that packets miss comes with one before that."""
    found = decode.index(io.BytesIO(3 * encoded("mpeg4", "mpegts", 47)))

    assert (found.num_frames, found.warnings) == (3 * 47, [])


@pytest.mark.parametrize("container", ["mpegts", "matroska"])
@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg2video"])
def test_a_stream_that_begins_in_mid_gop_says_what_it_lacks(codec: str, container: str) -> None:
    clip, numbers = numbers_within(from_mid_gop(codec, container), (0.0, 2.0))

    assert numbers == list(range(24, 60))
    assert len(clip.warnings) == 1
    assert re.match(FIRST_FRAMES, clip.warnings[0])


@pytest.mark.parametrize("span_s", [(0.3, 1.4), (9.0, 12.0)])
def test_a_span_without_a_frame_says_so(span_s: tuple[float, float]) -> None:
    clip, numbers = numbers_within(with_gaps("libx264", "asf", b_frames=False), span_s)

    assert (numbers, clip.windows) == ([], [])
    assert clip.warnings == ["no frame begins within its span"]
