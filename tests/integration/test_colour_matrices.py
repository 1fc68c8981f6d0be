"""Planes become RGB by the matrix that a clip states, or the clip is refused by that name."""

import functools
from typing import Any

import numpy as np
import pytest

from clipfleet.errors import ClipUnreadable
from clipfleet.options import PrepareOptions
from tests.integration.test_media import cut
from tests.support import clips
from tests.support.corpus.planes import Planes

AS_STORED = PrepareOptions(model_does_preprocess=True)
SIZE = (192, 128)
FFV1: dict[str, Any] = {"codec": "ffv1", "container": "matroska"}


def ycgco(image: clips.Image, *, full_range: bool, bits: int = 8, halved: bool = False) -> Planes:
    """ITU-T H.273, equations 56 to 58, at the levels of luma and chroma."""
    red, green, blue = (image[..., i] / 255 for i in range(3))
    top, scale, middle = (1 << bits) - 1, 1 << bits - 8, 1 << bits - 1
    y = green / 2 + (red + blue) / 4
    planes = [y * top if full_range else (219 * y + 16) * scale]
    for chroma in (green / 2 - (red + blue) / 4, (red - blue) / 2):
        if halved:
            chroma = chroma.reshape(64, 2, 96, 2).mean(axis=(1, 3))
        planes.append(chroma * (top if full_range else 224 * scale) + middle)
    kind: Any = np.uint8 if bits == 8 else "<u2"
    return [np.clip(np.rint(plane), 0, top).astype(kind) for plane in planes]


def encode(
    monkeypatch: pytest.MonkeyPatch, pixel_format: str, *, full_range: bool = False, **tags: int
) -> bytes:
    """A lossless clip of planes that are YCgCo."""
    bits = 10 if "10" in pixel_format else 8
    code = functools.partial(ycgco, full_range=full_range, bits=bits, halved="420" in pixel_format)
    monkeypatch.setattr(clips, "to_planes", lambda image, **_: code(image))
    clips._planes.cache_clear()
    try:
        return clips.encode(
            12,
            size=SIZE,
            pixel_format=pixel_format,
            full_range=full_range,
            tags={"colorspace": 8, "color_range": 2 if full_range else 1} | tags,
            **FFV1,
        )
    finally:
        clips._planes.cache_clear()


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv420p", "yuv444p10le", "yuv420p10le"])
def test_ycgco_is_shown_right(
    monkeypatch: pytest.MonkeyPatch, pixel_format: str, full_range: bool
) -> None:
    clip, (window,) = cut(
        encode(monkeypatch, pixel_format, full_range=full_range), prepare=AS_STORED
    )

    assert (clip.source.color_matrix, clip.source.color_matrix_guessed) == ("ycgco", False)
    assert clip.warnings == []
    assert clips.numbers_in(window.frames.frames) == window.plan.frame_indices
    for image in window.frames.frames:
        assert np.abs(np.array(clips.colours_in(image)) - clips.COLOURS).max() < 3


def test_ycgco_is_shown_right_at_the_models_size(monkeypatch: pytest.MonkeyPatch) -> None:
    _, (window,) = cut(encode(monkeypatch, "yuv420p"))

    for image in window.frames.frames:
        assert np.abs(np.array(clips.colours_in(image)) - clips.COLOURS).max() < 3
    assert window.preview is not None
    assert np.abs(np.array(clips.colours_in(window.preview.frames[0])) - clips.COLOURS).max() < 3


def tagged(number: int, *, coded_as: str = "bt709", **tags: int) -> bytes:
    return clips.encode(
        12, size=SIZE, coded_as=coded_as, tags={"colorspace": number, **tags}, **FFV1
    )


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (10, "BT.2020 of constant luminance"),
        (11, r"Y'D'zD'x \(SMPTE ST 2085\)"),
        (12, "derived from primaries that are not named"),
        (13, "of constant luminance, derived from their primaries"),
        (14, "ICtCp"),
        (15, r"IPT-C2 \(SMPTE ST 2128\)"),
        (16, "YCgCo-Re"),
        (17, "YCgCo-Ro"),
    ],
)
def test_what_no_matrix_makes_rgb_of_is_refused_by_name(number: int, name: str) -> None:
    with pytest.raises(
        ClipUnreadable, match=rf"^its colours are {name}, which cannot be converted to RGB here$"
    ):
        cut(tagged(number))


@pytest.mark.parametrize(
    ("primaries", "matrix"), [(1, "bt709"), (9, "bt2020"), (6, "smpte240m"), (7, "smpte240m")]
)
def test_a_matrix_that_follows_from_named_primaries_is_that_matrix(
    primaries: int, matrix: str
) -> None:
    clip, (window,) = cut(tagged(12, coded_as=matrix, color_primaries=primaries), prepare=AS_STORED)

    assert (clip.source.color_matrix, clip.source.color_matrix_guessed) == (matrix, False)
    for image in window.frames.frames:
        assert np.abs(np.array(clips.colours_in(image)) - clips.COLOURS).max() < 3


@pytest.mark.parametrize("number", [0, 2, 3])
def test_a_matrix_that_says_nothing_of_such_planes_is_guessed(number: int) -> None:
    clip, (window,) = cut(tagged(number, coded_as="bt601"), prepare=AS_STORED)

    assert (clip.source.color_matrix, clip.source.color_matrix_guessed) == ("bt601", True)
    for image in window.frames.frames:
        assert np.abs(np.array(clips.colours_in(image)) - clips.COLOURS).max() < 3


@pytest.mark.parametrize("number", [8, 10, 14])
def test_grey_has_no_matrix_to_fail_at(number: int) -> None:
    clip, _ = cut(clips.encode(8, pixel_format="gray", tags={"colorspace": number}, **FFV1))

    assert clip.source.pixel_format == "gray"
