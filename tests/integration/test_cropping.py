"""What a container says to cut off is cut off, exactly, and nothing else is."""

import struct
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from clipfleet.errors import ClipUnreadable
from clipfleet.options import PrepareOptions
from tests.integration.reference import block_difference, decode, stretched
from tests.integration.test_media import cut
from tests.support import clips, ebml, mp4_boxes
from tests.support.corpus.planes import to_rgb
from tests.support.mp4_boxes import box

WIDTH, HEIGHT = 192, 128
X264 = {"preset": "veryfast", "crf": "8", "bf": "0"}
VP9 = {"deadline": "realtime", "cpu-used": "8", "crf": "8", "b": "0"}
AS_STORED = PrepareOptions(model_does_preprocess=True)

Sides = tuple[int, int, int, int]  # left, top, right, bottom


def clap(sides: Sides, *, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """ISO/IEC 14496-12, 12.1.4: the size, and how far its middle lies from the frame's."""
    left, top, right, bottom = sides
    numbers = [width - left - right, 1, height - top - bottom, 1]
    numbers += [left - right, 2, top - bottom, 2]
    return box("clap", struct.pack(">8i", *numbers))


def in_mp4(sides: Sides, **how: Any) -> bytes:
    data = clips.encode(24, size=(WIDTH, HEIGHT), **{"options": X264, **how})
    return mp4_boxes.with_entry(data, added=clap(sides))


def in_matroska(sides: Sides, **how: Any) -> bytes:
    names = ("54cc", "54bb", "54dd", "54aa")
    data = clips.encode(
        24,
        size=(WIDTH, HEIGHT),
        **{"container": "matroska", "options": X264, "container_options": {"live": "1"}, **how},
    )
    added = b"".join(ebml.element(*each) for each in zip(names, sides, strict=True))
    return ebml.in_track(data, added, video=True)


def expected(data: bytes, sides: Sides, pixel_format: str = "yuv420p") -> list[clips.Image]:
    """Each frame, whole by its planes, then cut."""
    left, top, right, bottom = sides
    whole = [to_rgb(frame.planes, pixel_format) for frame in decode(data)]
    return [each[top : HEIGHT - bottom, left : WIDTH - right] for each in whole]


def assert_shows(data: bytes, sides: Sides, pixel_format: str = "yuv420p") -> None:
    clip, (window,) = cut(data, prepare=AS_STORED)

    whole = expected(data, sides, pixel_format)
    assert (clip.source.width, clip.source.height) == whole[0].shape[1::-1]
    assert clip.warnings == []
    for number, image in zip(window.plan.frame_indices, window.frames.frames, strict=True):
        green = [each[..., 1].astype(float) for each in (image, whole[number])]
        assert block_difference(green[0], green[1], block=8) < 12, number
        inside = np.abs(image.astype(int) - whole[number])
        assert inside.mean() < 2.5


@pytest.mark.parametrize(
    "sides",
    [
        (16, 8, 32, 24),
        (0, 0, 0, 2),
        (8, 0, 0, 0),
        (5, 0, 0, 0),  # through a chroma sample
        (0, 3, 0, 1),
        (7, 5, 3, 1),
        (1, 1, 2, 2),
    ],
    ids=str,
)
@pytest.mark.parametrize("make", [in_mp4, in_matroska])
def test_a_crop_is_cut_to_the_pixel(make: Any, sides: Sides) -> None:
    assert_shows(make(sides), sides)


@pytest.mark.parametrize("pixel_format", ["yuv422p", "yuv444p", "yuv420p10le"])
def test_a_crop_is_cut_whatever_the_planes(pixel_format: str) -> None:
    sides = (7, 5, 3, 1)
    assert_shows(in_mp4(sides, pixel_format=pixel_format), sides, pixel_format)


def test_a_crop_is_cut_in_webm() -> None:
    sides = (16, 8, 32, 24)
    data = in_matroska(sides, codec="libvpx-vp9", container="webm", options=VP9)
    assert_shows(data, sides)


def test_the_preview_is_cut_as_well() -> None:
    _, (window,) = cut(in_mp4((32, 0, 32, 0)))

    assert window.preview is not None
    assert window.preview.frames.shape[1:3] == (128, 128)


def test_what_is_cut_is_not_counted_in_the_models_grid() -> None:
    clip, (window,) = cut(in_mp4((32, 0, 32, 0)))

    assert window.plan.grid_width == window.plan.grid_height
    assert clip.source.pixel_aspect_ratio == 1


def test_a_crop_comes_before_a_turn() -> None:
    data = in_mp4((32, 16, 0, 0), display=(-90, False, False))
    clip, (window,) = cut(data, prepare=AS_STORED)

    whole = expected(data, (32, 16, 0, 0))
    assert (clip.source.width, clip.source.height) == (112, 160)
    assert clip.source.rotation_degrees == 90
    for number, image in zip(window.plan.frame_indices, window.frames.frames, strict=True):
        assert np.abs(image - np.rot90(whole[number], -1).astype(int)).mean() < 2.5


@pytest.mark.parametrize("sides", [(16, 8, 32, 24), (0, 2, 0, 2), (0, 5, 0, 3), (0, 1, 0, 0)])
def test_a_crop_of_fields_keeps_the_top_ones(sides: Sides) -> None:
    data = in_mp4(sides, interlaced=True, options=X264 | {"flags": "+ildct+ilme"})
    clip, (window,) = cut(data, prepare=AS_STORED)

    assert clip.source.interlaced
    left, top, right, bottom = sides
    for number, image in zip(window.plan.frame_indices, window.frames.frames, strict=True):
        field = clips.picture(2 * number, width=WIDTH, height=HEIGHT)[::2]
        rows = field[-(-top // 2) : -(-(HEIGHT - bottom) // 2), left : WIDTH - right]
        shown = stretched(rows, image.shape[1], image.shape[0])
        assert np.abs(image.astype(int) - shown).mean() < 8, number


def test_a_crop_and_a_pixels_shape_both_count() -> None:
    data = mp4_boxes.with_entry(
        mp4_boxes.with_pixel_aspect(clips.encode(24, options=X264), 2, 1),
        added=clap((32, 0, 32, 0)),
    )
    clip, (window,) = cut(data)

    assert (clip.source.width, clip.source.height) == (128, 128)
    assert clip.source.pixel_aspect_ratio == 2
    assert window.plan.grid_width == 2 * window.plan.grid_height


def test_a_matroska_crop_does_not_change_the_pixels_shape() -> None:
    clip, _ = cut(in_matroska((32, 0, 32, 0)))

    assert clip.source.pixel_aspect_ratio == 1


def test_a_clean_aperture_that_ends_within_a_pixel_keeps_it() -> None:
    half = box("clap", struct.pack(">8i", 2 * 160 + 1, 2, 128, 1, 0, 1, 0, 1))
    clip, _ = cut(mp4_boxes.with_entry(clips.encode(24, options=X264), added=half))

    assert clip.source.width == 192 - 15 - 15


NONSENSE = {
    "larger than the frame": clap((-8, 0, -8, 0)),
    "beside the frame": box("clap", struct.pack(">8i", 100, 1, 100, 1, 500, 1, 0, 1)),
}


@pytest.mark.parametrize("kind", NONSENSE)
def test_a_crop_that_cannot_be_is_left_out_with_a_warning(kind: str) -> None:
    clip, _ = cut(mp4_boxes.with_entry(clips.encode(24, options=X264), added=NONSENSE[kind]))

    assert (clip.source.width, clip.source.height) == (WIDTH, HEIGHT)
    (warning,) = clip.warnings
    assert warning.startswith("its container says to crop it")


@pytest.mark.parametrize(
    "record",
    [
        b"",
        bytes(32),
        struct.pack(">8i", 1, 0, 1, 0, 0, 0, 0, 0),
        struct.pack(">8i", -5, 1, 9, 1, 0, 1, 0, 1),
        struct.pack(">8i", WIDTH, 1, HEIGHT, 1, 0, 1, 0, 1),  # all of it
    ],
)
def test_a_crop_that_says_nothing_is_none(record: bytes) -> None:
    clip, _ = cut(mp4_boxes.with_entry(clips.encode(24, options=X264), added=box("clap", record)))

    assert (clip.source.width, clip.source.height, clip.warnings) == (WIDTH, HEIGHT, [])


def test_a_matroska_crop_of_everything_which_ffmpeg_does_not_open_is_refused_by_name() -> None:
    with pytest.raises(ClipUnreadable, match=r"crop it \(100 left, 0 top, 100 right, 0 bot"):
        cut(in_matroska((100, 0, 100, 0)))


def test_what_the_decoder_has_cut_is_not_cut_again() -> None:
    # 1088 lines are coded, the stream itself says that 1080 are shown, and so does the container.
    data = clips.encode(8, size=(96, 120), options=X264)
    crop = clap((0, 0, 0, 8), width=96, height=128)
    tall = mp4_boxes.with_entry(data, added=crop, size=(96, 128))
    clip, (window,) = cut(tall)

    assert (clip.source.width, clip.source.height, clip.warnings) == (96, 120, [])
    assert clips.numbers_in(window.frames.frames) == window.plan.frame_indices


def test_pixels_that_are_wide_are_wide_by_the_part_that_is_left() -> None:
    data = clips.encode(24, options=X264, pixel_aspect=Fraction(4, 3))
    clip, _ = cut(mp4_boxes.with_entry(data, added=clap((12, 0, 12, 0))))

    assert clip.source.width == 168
    assert clip.source.pixel_aspect_ratio == pytest.approx(4 / 3)
