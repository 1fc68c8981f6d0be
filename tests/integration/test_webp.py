"""Animated previews and their stills, read back by another decoder (Pillow's)."""

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from clipfleet_workers.media import poster, webp
from tests.support import clips


def animation(num_frames: int = 5, *, width: int = 96, height: int = 64) -> NDArray[np.uint8]:
    """Frames with edges, slopes and noise."""
    frames = np.stack([clips.picture(n * 7, width=width, height=height) for n in range(num_frames)])
    noise = np.random.default_rng(7).integers(-20, 20, frames.shape)
    return np.clip(frames + noise, 0, 255).astype(np.uint8)


def webp_of(
    frames: NDArray[np.uint8], durations_ms: list[int], *, level: int = 6, quality: int = 50
) -> Image.Image:
    """The animation as Pillow opens it."""
    data = webp.encode(frames, durations_ms, compression_level=level, quality=quality, threads=1)
    return Image.open(io.BytesIO(data))


DURATIONS_MS = [1000, 1, 333, 16_000, 40]


@pytest.mark.parametrize("level", range(7))
def test_a_preview_shows_each_frame_for_its_duration_at_every_level(level: int) -> None:
    opened = webp_of(animation(), DURATIONS_MS, level=level)

    found = []
    for i in range(5):
        opened.seek(i)
        opened.load()
        found.append(opened.info["duration"])

    assert found == DURATIONS_MS


@pytest.mark.parametrize("level", [0, 6])
def test_a_preview_is_a_webp_of_all_frames_that_loops_forever(level: int) -> None:
    opened: Any = webp_of(animation(), DURATIONS_MS, level=level)

    assert (opened.format, opened.n_frames, opened.info["loop"]) == ("WEBP", 5, 0)


@pytest.mark.parametrize("size", [(96, 64), (95, 63), (2, 2), (1, 1)])
@pytest.mark.parametrize("level", [0, 6])
def test_a_preview_has_its_frames_size(size: tuple[int, int], level: int) -> None:
    width, height = size

    assert webp_of(animation(width=width, height=height), DURATIONS_MS, level=level).size == size


@pytest.mark.parametrize("size", [(96, 64), (95, 63)])
def test_a_preview_at_level_0_is_bit_exact(size: tuple[int, int]) -> None:
    frames = animation(width=size[0], height=size[1])

    opened = webp_of(frames, DURATIONS_MS, level=0)

    found = [np.asarray(image.convert("RGB")) for image in ImageSequence.Iterator(opened)]
    assert np.array_equal(np.stack(found), frames)


def test_a_preview_at_level_6_is_near_to_its_frames() -> None:
    frames = animation()

    opened = webp_of(frames, DURATIONS_MS, level=6, quality=90)

    found = np.stack([np.asarray(im.convert("RGB")) for im in ImageSequence.Iterator(opened)])
    assert clips.numbers_in(found) == [0, 7, 14, 21, 28]
    for image in found:
        assert np.abs(np.array(clips.colours_in(image)) - np.array(clips.COLOURS)).max() <= 6


def test_a_preview_of_higher_quality_is_larger() -> None:
    sizes = [
        len(webp.encode(animation(), DURATIONS_MS, compression_level=4, quality=q, threads=1))
        for q in (0, 50, 100)
    ]

    assert sizes == sorted(set(sizes))


def test_frames_that_are_alike_are_all_kept() -> None:
    opened: Any = webp_of(np.repeat(animation(1), 4, axis=0), [100, 200, 300, 400])

    assert opened.n_frames == 4


def test_a_preview_of_one_frame_is_a_webp_of_one_frame() -> None:
    opened: Any = webp_of(animation(1), [2000])

    assert (opened.format, opened.n_frames) == ("WEBP", 1)


def test_a_preview_is_the_same_bytes_each_time() -> None:
    one, other = (
        webp.encode(animation(), DURATIONS_MS, compression_level=6, quality=50, threads=threads)
        for threads in (1, 4)
    )

    assert one == other


def test_a_frame_shown_longer_than_the_container_can_say_comes_again() -> None:
    opened: Any = webp_of(animation(2), [2**24 - 1 + 500, 40])

    durations = []
    for i in range(opened.n_frames):
        opened.seek(i)
        opened.load()
        durations.append(opened.info["duration"])
    assert durations == [2**24 - 1, 500, 40]


def test_a_still_is_a_jpeg_near_to_its_frame() -> None:
    frame = animation(1)[0]

    opened = Image.open(io.BytesIO(poster.encode(frame)))

    assert (opened.format, opened.size) == ("JPEG", (96, 64))
    found = np.array(clips.colours_in(np.asarray(opened)))
    assert np.abs(found - np.array(clips.COLOURS)).max() <= 8


@pytest.mark.parametrize("size", [(1, 1), (2, 400)])
def test_a_still_may_be_tiny(size: tuple[int, int]) -> None:
    frame = animation(1, width=size[0], height=size[1])[0]

    assert Image.open(io.BytesIO(poster.encode(frame))).size == size
