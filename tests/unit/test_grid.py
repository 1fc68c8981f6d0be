"""The sizes in pixels of a model's frames and of previews."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from clipfleet.grid import QWEN2_5_VL, Grid, preview_size

PATCH = 28 * 28
SIDE = st.integers(1, 8192)
COUNT = st.integers(4, 768)
FACTOR_32 = Grid(  # Qwen3-VL's
    factor=32,
    min_pixels=128 * 32 * 32,
    max_pixels=768 * 32 * 32,
    max_total_pixels=24576 * 32 * 32,
)
GRID = st.sampled_from([QWEN2_5_VL, FACTOR_32])


@pytest.mark.parametrize(
    ("width", "height", "num_frames", "expected"),
    [
        (1280, 720, 16, (1008, 560)),
        (1920, 1080, 16, (1008, 560)),
        (720, 1280, 16, (560, 1008)),
        (640, 360, 16, (644, 364)),
        (160, 90, 16, (448, 252)),
        (1280, 720, 64, (728, 392)),
    ],
)
def test_a_frame_has_the_size_that_qwens_processor_gives_it(
    width: int, height: int, num_frames: int, expected: tuple[int, int]
) -> None:
    assert QWEN2_5_VL.fit(width=width, height=height, num_frames=num_frames) == expected


def test_16_frames_of_720p_make_5760_visual_tokens() -> None:
    wide, high = QWEN2_5_VL.fit(width=1280, height=720, num_frames=16)

    assert wide * high // PATCH * 16 // 2 == 5760  # two frames are one patch in time


@given(grid=GRID, width=SIDE, height=SIDE, num_frames=COUNT)
def test_sides_are_whole_patches(grid: Grid, width: int, height: int, num_frames: int) -> None:
    wide, high = grid.fit(width=width, height=height, num_frames=num_frames)

    assert wide > 0
    assert high > 0
    assert (wide % grid.factor, high % grid.factor) == (0, 0)


@given(grid=GRID, width=SIDE, height=SIDE, num_frames=COUNT)
def test_no_frame_is_over_its_budget(grid: Grid, width: int, height: int, num_frames: int) -> None:
    wide, high = grid.fit(width=width, height=height, num_frames=num_frames)

    assert wide * high <= grid.max_pixels


@given(grid=GRID, width=SIDE, height=SIDE, num_frames=COUNT)
def test_a_windows_frames_are_within_their_budget_or_hardly_over_the_least_size(
    grid: Grid, width: int, height: int, num_frames: int
) -> None:
    wide, high = grid.fit(width=width, height=height, num_frames=num_frames)

    together = wide * high * num_frames
    assert together <= max(grid.max_total_pixels, int(grid.min_pixels * 1.05) * num_frames)


@given(grid=GRID, width=SIDE, height=SIDE, num_frames=COUNT)
def test_no_frame_falls_short_of_the_least_size_by_more_than_a_row_and_a_column(
    grid: Grid, width: int, height: int, num_frames: int
) -> None:
    wide, high = grid.fit(width=width, height=height, num_frames=num_frames)

    assert (wide + grid.factor) * (high + grid.factor) >= grid.min_pixels


# With more frames than this, a frame's least and largest size are so near to each other that whole
# patches cannot keep the shape.
@given(grid=GRID, width=SIDE, height=SIDE, num_frames=st.integers(4, 128))
def test_the_shape_is_kept_to_within_a_patch_a_side(
    grid: Grid, width: int, height: int, num_frames: int
) -> None:
    assume(max(width, height) <= 16 * min(width, height))

    wide, high = grid.fit(width=width, height=height, num_frames=num_frames)

    slack = 1 + 2 * grid.factor * (1 / wide + 1 / high)
    assert 1 / slack <= (wide / high) / (width / height) <= slack


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (1280, 720, (426, 240)),
        (1920, 1080, (426, 240)),
        (720, 1280, (136, 240)),
        (320, 180, (320, 180)),
        (321, 181, (320, 180)),
        (1, 1, (1, 1)),
    ],
)
def test_a_preview_is_240_pixels_high_with_the_clips_shape(
    width: int, height: int, expected: tuple[int, int]
) -> None:
    assert preview_size(width=width, height=height, target_height=240) == expected


@given(width=st.integers(2, 8192), height=st.integers(2, 8192), target=st.integers(16, 2160))
def test_a_previews_sides_are_even(width: int, height: int, target: int) -> None:
    wide, high = preview_size(width=width, height=height, target_height=target)

    assert (wide % 2, high % 2) == (0, 0)
    assert wide > 0
    assert high > 0


@given(width=SIDE, height=SIDE, target=st.integers(16, 2160))
def test_a_preview_is_never_larger_than_its_clip(width: int, height: int, target: int) -> None:
    wide, high = preview_size(width=width, height=height, target_height=target)

    assert wide <= width
    assert high <= min(height, target)
