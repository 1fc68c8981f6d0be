"""Where everything in a scene is at each moment, in numbers. No pixels.

Lengths are in pixels of the source, times in seconds from the scene's start. `unit` is the shorter
side of the frame: sizes and speeds are fractions of it, so a scene looks alike in every format.
"""

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from clipfleet_producer.samples.scene import (
    SHAPES,
    SIZE_CHANGES,
    TEXTURES,
    Happening,
    Motion,
    Movement,
    Place,
    Scene,
    Thing,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RGB = {
    "red": (220, 40, 40),
    "orange": (245, 140, 30),
    "yellow": (245, 228, 60),
    "green": (50, 180, 70),
    "blue": (45, 90, 235),
    "purple": (150, 60, 195),
    "pink": (250, 150, 195),
    "white": (245, 245, 245),
}
GROUND_RGB = {
    "black": (14, 14, 14),
    "gray": (112, 112, 112),
    "dark blue": (18, 28, 95),
    "dark green": (12, 66, 30),
    "brown": (98, 60, 32),
    "teal": (8, 98, 104),
}
# How much brighter the light parts of a texture are than the dark, of 255.
_CONTRAST = (30, 42)

_RADIUS = {"small": (0.075, 0.095), "large": (0.16, 0.20)}  # units
_SMALLEST, _OCTAVES = 0.08, 1.58  # of what grows or shrinks: 0.08 to 0.24 units
_SPEED = {"slow": (0.05, 0.075), "fast": (0.16, 0.24)}  # units a second
_SPIN = {"slow": (12.0, 18.0), "fast": (36.0, 50.0)}  # degrees a second
_GROWTH = {"slow": (0.12, 0.18), "fast": (0.40, 0.60)}  # doublings a second
_BLINK = {"slow": (3.0, 3.6), "fast": (1.3, 1.6)}  # seconds from on to on
_SLIDE_S = 0.6  # how long coming in or going out takes
_EVENT_JITTER_S = 0.12

DIRECTION = {
    Motion.LEFT: (-1, 0),
    Motion.RIGHT: (1, 0),
    Motion.UP: (0, -1),
    Motion.DOWN: (0, 1),
}

# The columns of `Staged.tracks`.
X, Y, RADIUS, ANGLE, VISIBLE, WRAPS, RED, GREEN, BLUE, SHAPE = range(10)


@dataclass(frozen=True)
class Staged:
    """A scene in numbers.

    `tracks`: float32, things × times × 10: centre x, y and radius in pixels; angle in radians;
    whether it is visible, and whether it comes in again where it goes out (0 or 1); red, green,
    blue of 255; the shape's place in `SHAPES`.
    `ground`: float32, 9 numbers: red, green, blue; what the light parts add; the texture's place
    in `TEXTURES`; its period in pixels; its angle; its two phases, in radians.
    """

    tracks: "NDArray[np.float32]"
    ground: "NDArray[np.float32]"


def stage(
    scene: Scene, random: Random, *, times_s: "NDArray[np.float64]", width: int, height: int
) -> Staged:
    """The scene at the given times, in a frame of that size."""
    import numpy as np

    unit = min(width, height)
    at_s = float("inf")
    if scene.event is not None:
        at_s = scene.event.at_s + random.uniform(-_EVENT_JITTER_S, _EVENT_JITTER_S)
    tracks = [
        _track(scene, number, random, times_s, at_s, width, height)
        for number in range(len(scene.things))
    ]
    red, green, blue = (c + random.uniform(-5, 5) for c in GROUND_RGB[scene.ground])
    ground = (
        *(max(0.0, red), max(0.0, green), max(0.0, blue)),
        random.uniform(*_CONTRAST),
        TEXTURES.index(scene.texture),
        random.uniform(0.17, 0.30) * unit,
        random.uniform(0, np.pi),
        random.uniform(0, 2 * np.pi),
        random.uniform(0, 2 * np.pi),
    )
    return Staged(np.stack(tracks).astype(np.float32), np.asarray(ground, np.float32))


def _track(
    scene: Scene,
    number: int,
    random: Random,
    times: "NDArray[np.float64]",
    at_s: float,
    width: int,
    height: int,
) -> "NDArray[np.float64]":
    import numpy as np

    thing, unit = scene.things[number], min(width, height)
    event = scene.event if number == 0 else None
    if event is None:
        at_s = float("inf")
    then = event.movement if event is not None else None
    before = np.minimum(times, at_s) if then else times
    after = np.maximum(times - at_s, 0.0) if then else np.zeros_like(times)
    first, second = _Rates(thing.movement, random), _Rates(then, random)

    track = np.zeros((len(times), 10))
    x, y = _first_place(random, scene.place, number, width, height)
    track[:, X] = x + unit * (first.velocity[0] * before + second.velocity[0] * after)
    track[:, Y] = y + unit * (first.velocity[1] * before + second.velocity[1] * after)
    octave = random.uniform(0, _OCTAVES) + first.growth * before + second.growth * after
    changes = {thing.movement.motion, then.motion if then else None} & SIZE_CHANGES
    if changes:
        track[:, RADIUS] = unit * _SMALLEST * 2 ** (octave % _OCTAVES)
    else:
        track[:, RADIUS] = unit * random.uniform(*_RADIUS[thing.size or "small"])
    turned = first.spin * before + second.spin * after
    track[:, ANGLE] = np.radians(random.uniform(0, 360) + turned)
    on = np.where(times < at_s, first.is_on(times), second.is_on(times - at_s))
    track[:, VISIBLE] = on if then else first.is_on(times)
    track[:, WRAPS] = 1
    track[:, RED : BLUE + 1] = _rgb(thing.colour, random)
    if event is not None and event.colour is not None:
        track[times >= at_s, RED : BLUE + 1] = _rgb(event.colour, random)
    if event is not None and event.kind in (Happening.ENTERS, Happening.LEAVES):
        coming = event.kind is Happening.ENTERS
        _slide(track, times, at_s, random, thing, scene.place, width, height, coming=coming)
    for column, side in ((X, width), (Y, height)):
        wrapped = track[:, column] % side
        track[:, column] = np.where(track[:, WRAPS] > 0, wrapped, track[:, column])
    track[:, SHAPE] = SHAPES.index(thing.shape)
    return track


class _Rates:
    """How fast a movement changes what; all still for None."""

    def __init__(self, movement: Movement | None, random: Random) -> None:
        self.velocity, self.growth, self.spin, self._period = (0.0, 0.0), 0.0, 0.0, 0.0
        self._phase = random.random()
        if movement is None or movement.speed is None:
            return
        motion, speed = movement.motion, movement.speed
        if motion in DIRECTION:
            rate = random.uniform(*_SPEED[speed])
            self.velocity = (DIRECTION[motion][0] * rate, DIRECTION[motion][1] * rate)
        elif motion in SIZE_CHANGES:
            rate = random.uniform(*_GROWTH[speed])
            self.growth = rate if motion is Motion.GROWS else -rate
        elif motion is Motion.SPINS:
            self.spin = random.uniform(*_SPIN[speed]) * random.choice((-1, 1))
        elif motion is Motion.BLINKS:
            self._period = random.uniform(*_BLINK[speed])

    def is_on(self, times: "NDArray[np.float64]") -> "NDArray[np.bool_]":
        import numpy as np

        if not self._period:
            return np.ones(len(times), bool)
        return np.asarray((times / self._period + self._phase) % 1 < 0.5)


def _first_place(
    random: Random, place: Place | None, number: int, width: int, height: int
) -> tuple[float, float]:
    """Where a thing begins, whole within the frame, or within its half."""
    x, y = random.uniform(0.3, 0.7), random.uniform(0.3, 0.7)
    if place is Place.BESIDE:
        x = (0.25, 0.75)[number] + random.uniform(-0.02, 0.02)
    elif place is Place.STACKED:
        y = (0.25, 0.75)[number] + random.uniform(-0.02, 0.02)
    return x * width, y * height


def _slide(
    track: "NDArray[np.float64]",
    times: "NDArray[np.float64]",
    at_s: float,
    random: Random,
    thing: Thing,
    place: Place | None,
    width: int,
    height: int,
    *,
    coming: bool,
) -> None:
    """Let the thing come in at `at_s`, or go out: along its way, else over a side of its part."""
    import numpy as np

    x_way, y_way = DIRECTION.get(thing.movement.motion, (0, 0))
    if not (x_way or y_way):
        sign = random.choice((-1, 1))
        x_way, y_way = (0, sign) if place is Place.BESIDE else (sign, 0)
    part = np.clip((times - at_s) / _SLIDE_S, 0, 1)  # of the slide, done
    if coming:
        part = 1 - part
        x_way, y_way = -x_way, -y_way
    beyond = 1.35 * track[:, RADIUS]
    inside_s = at_s + _SLIDE_S if coming else at_s  # when the slide has an end within the frame
    for column, way, side in ((X, x_way, width), (Y, y_way, height)):
        if way:
            at = track[:, column]
            at = at - np.interp(inside_s, times, at) // side * side
            outside = side + beyond if way > 0 else -beyond
            track[:, column] = at + (outside - at) * part
    track[(part > 0) & (part < 1), WRAPS] = 0
    track[times < at_s if coming else part >= 1, VISIBLE] = 0


def _rgb(colour: str, random: Random) -> list[float]:
    return [min(255.0, max(0.0, c + random.uniform(-9, 9))) for c in RGB[colour]]
