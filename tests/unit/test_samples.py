"""The small world: what is drawn, what is said of it, and how the two are held together."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipfleet.options import PrepareOptions
from clipfleet_producer.samples.files import LENGTHS, draw_clips, draw_frames
from clipfleet_producer.samples.scene import (
    LONGEST_S,
    SHORTEST_S,
    Happening,
    Motion,
    Movement,
    Place,
    Scene,
    Thing,
    draw_scene,
    facts,
)
from clipfleet_producer.samples.stage import ANGLE, RADIUS, RGB, VISIBLE, WRAPS, Staged, X, Y, stage
from clipfleet_producer.samples.words import caption, enhanced_caption
from clipfleet_workers.media.windows import split
from tests.support.meaning.reading import judge, read_facts

WIDTH, HEIGHT = 640, 360
SECONDS = st.floats(SHORTEST_S, LONGEST_S)


def scene_of(seed: int, seconds: float) -> Scene:
    return draw_scene(Random(seed), seconds=seconds)


def staged(scene: Scene, seed: int, seconds: float = 10.0) -> Staged:
    times = np.arange(0, seconds, 0.1, dtype=np.float64)
    return stage(scene, Random(seed), times_s=times, width=WIDTH, height=HEIGHT)


def scene_with(motion: Motion, speed: str | None = "slow", **thing: str) -> Scene:
    values = {"colour": "red", "shape": "square", "size": "small", **thing}
    moving = Thing(movement=Movement(motion, speed), **values)
    return Scene("black", "plain", (moving,))


@given(st.integers(0, 2**32), SECONDS)
def test_a_caption_says_the_scenes_facts_and_no_more(seed: int, seconds: float) -> None:
    scene = scene_of(seed, seconds)
    assert read_facts(caption(scene)) == facts(scene)


@given(st.integers(0, 2**32), SECONDS)
def test_an_enhanced_caption_says_the_same_facts_at_greater_length(
    seed: int, seconds: float
) -> None:
    scene = scene_of(seed, seconds)
    assert read_facts(enhanced_caption(scene)) == facts(scene)
    assert len(enhanced_caption(scene).split()) > len(caption(scene).split())


@given(st.integers(0, 2**32), st.integers(0, 2**32), SECONDS)
def test_a_caption_of_another_scene_is_wrong_in_just_the_facts_that_differ(
    one: int, other: int, seconds: float
) -> None:
    truth, said = facts(scene_of(one, seconds)), facts(scene_of(other, seconds))
    wrong = {name for name in truth.keys() | said.keys() if truth.get(name) != said.get(name)}

    assert set(judge(caption(scene_of(other, seconds)), truth).wrong) == wrong


@pytest.mark.parametrize("said", ["", "A video of something.", "brown background.", "red red red"])
def test_what_says_nothing_is_not_right(said: str) -> None:
    verdict = judge(said, facts(scene_with(Motion.LEFT)))
    assert not verdict.wholly_right
    assert verdict.right == ()


def test_a_fact_left_out_is_wrong() -> None:
    truth = facts(scene_with(Motion.LEFT))
    told = "A small red square moves to the left. The background is plain black."
    assert judge(told, truth).wrong == ("speed/1",)


def test_a_fact_too_many_is_wrong() -> None:
    truth = facts(scene_with(Motion.LEFT))
    told = caption(scene_with(Motion.LEFT)).replace(".", ", then turns blue after 2 seconds.", 1)
    assert judge(told, truth).wrong == ("event", "event colour", "event time")


@given(st.integers(0, 2**32), SECONDS)
def test_every_number_of_a_staged_scene_is_finite(seed: int, seconds: float) -> None:
    found = staged(scene_of(seed, seconds), seed, seconds)
    assert np.isfinite(found.tracks).all()
    assert np.isfinite(found.ground).all()


@given(st.integers(0, 2**32), SECONDS)
def test_two_things_keep_to_their_own_halves(seed: int, seconds: float) -> None:
    scene = scene_of(seed, seconds)
    if scene.place is None:
        return
    tracks = staged(scene, seed, seconds).tracks
    axis, side = (X, WIDTH) if scene.place is Place.BESIDE else (Y, HEIGHT)
    sliding = tracks[:, :, WRAPS] == 0
    assert (tracks[0, :, axis] < side / 2)[~sliding[0]].all()
    assert (tracks[1, :, axis] > side / 2).all()


@pytest.mark.parametrize(
    ("motion", "column", "sign"),
    [
        (Motion.LEFT, X, -1),
        (Motion.RIGHT, X, 1),
        (Motion.UP, Y, -1),
        (Motion.DOWN, Y, 1),
        (Motion.GROWS, RADIUS, 1),
        (Motion.SHRINKS, RADIUS, -1),
    ],
)
@pytest.mark.parametrize("speed", ["slow", "fast"])
@pytest.mark.parametrize("seed", range(5))
def test_a_movement_goes_its_way(
    motion: Motion, column: int, sign: int, speed: str, seed: int
) -> None:
    steps = np.diff(staged(scene_with(motion, speed), seed).tracks[0, :, column])
    assert np.mean(np.sign(steps) == sign) > 0.9, "but for coming in again on the other side"


@pytest.mark.parametrize("motion", [m for m in Motion if m not in (Motion.STILL, Motion.BLINKS)])
def test_fast_is_more_than_twice_as_fast_as_slow_on_average(motion: Motion) -> None:
    def change(speed: str, seed: int) -> float:
        tracks = staged(scene_with(motion, speed), seed).tracks[0]
        return float(np.median(np.abs(np.diff(tracks[:, [X, Y, RADIUS, ANGLE]], axis=0)).sum(1)))

    slow, fast = ([change(speed, seed) for seed in range(8)] for speed in ("slow", "fast"))
    assert np.mean(fast) > 2 * np.mean(slow)


def test_the_slowest_fast_blink_is_clearly_faster_than_the_fastest_slow_one() -> None:
    def changes(speed: str, seed: int) -> int:
        visible = staged(scene_with(Motion.BLINKS, speed), seed).tracks[0, :, VISIBLE]
        return int(np.abs(np.diff(visible)).sum())

    assert min(changes("fast", s) for s in range(8)) > 1.5 * max(
        changes("slow", s) for s in range(8)
    )


@given(st.integers(0, 2**32))
def test_what_enters_is_not_seen_before_and_what_leaves_not_after(seed: int) -> None:
    scene = scene_of(seed, 12.0)
    event = scene.event
    if event is None or event.kind not in (Happening.ENTERS, Happening.LEAVES):
        return
    seen = staged(scene, seed, 12.0).tracks[0, :, VISIBLE] > 0
    times = np.arange(0, 12.0, 0.1)
    before, after = seen[times < event.at_s - 0.2], seen[times > event.at_s + 0.9]
    entering = event.kind is Happening.ENTERS
    assert {bool(seen) for seen in before} == {not entering}
    assert {bool(seen) for seen in after} == {entering}


@given(st.integers(0, 2**32))
def test_what_comes_in_or_goes_out_slides_one_way(seed: int) -> None:
    scene = scene_of(seed, 12.0)
    if scene.event is None or scene.event.kind not in (Happening.ENTERS, Happening.LEAVES):
        return
    times = np.arange(0, 12.0, 0.02, dtype=np.float64)
    found = stage(scene, Random(seed), times_s=times, width=WIDTH, height=HEIGHT)
    track = found.tracks[0]
    sliding = track[track[:, WRAPS] == 0]
    across, down = np.diff(sliding[:, X]), np.diff(sliding[:, Y])
    for steps in (across, down):
        assert (steps >= -1e-3).all() or (steps <= 1e-3).all()


def test_every_scene_of_a_clip_is_a_window_at_the_default_options() -> None:
    options = PrepareOptions()
    for frames, _ in LENGTHS:
        ends = np.cumsum(frames)
        scenes = [(int(end - n), int(end - 1)) for n, end in zip(frames, ends, strict=True)]
        assert scenes == split(
            sum(frames), size=options.window_size, threshold=options.remainder_threshold
        )


def test_the_same_seed_gives_the_same_clips_however_many() -> None:
    few, many = list(draw_clips(count=3, seed=5)), list(draw_clips(count=9, seed=5))
    assert many[:3] == few
    assert list(draw_clips(count=3, seed=6)) != few
    first = next(draw_frames(few[0]))
    assert (first == next(draw_frames(many[0]))).all()


def test_a_thing_is_drawn_in_its_colour_where_it_is() -> None:
    for clip in draw_clips(count=12, seed=8):
        scene, frame = clip.scenes[0], next(draw_frames(clip))
        width, height = clip.size
        at = stage(
            scene,
            Random(f"{clip.seed}/stage"),
            times_s=np.arange(clip.frames[0]) / clip.fps,
            width=width,
            height=height,
        ).tracks[:, 0]
        for thing, track in zip(scene.things, at, strict=True):
            if track[VISIBLE]:
                pixel = frame[int(track[Y]) % height, int(track[X]) % width].astype(int)
                assert np.abs(pixel - RGB[thing.colour]).max() <= 10
