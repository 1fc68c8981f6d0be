"""Pictures that look to an encoder like filmed ones, in motion as well; the same for the same seed.

No video can be shipped or downloaded, and plain shapes on plain ground are nothing like film: they
cost no bits and little time to decode. So: "dead leaves", overlapping shapes of all sizes, which
have the edges and the spectrum of photographs, with 1/f texture; a camera that pans, zooms and
trembles; things that pass nearer and faster; light that changes; sensor noise; cuts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_LEAVES, _OBJECT_LEAVES = 1400, 250
_MARGIN = 1.6  # how much larger than the picture the world is that the camera pans over
_ZOOM = (1.14, 1.42)
_OBJECTS = 10
_NOISE_PLANES = 5
_DARKEST, _BRIGHTEST = 36, 214  # leaves room for noise without clipping


def film(
    *, width: int, height: int, frames: int, fps: int, scenes: int, noise: float, seed: int
) -> Iterator[av.VideoFrame]:
    """Frames in yuv420p, 8 bits: `scenes` of equal length, with a cut between them.

    `noise` is the standard deviation of the sensor noise, in steps of luma.
    """
    length = -(-frames // scenes)
    for first in range(0, frames, length):
        scene = _Scene(width, height, noise, np.random.default_rng([seed, first]))
        for number in range(min(length, frames - first)):
            yield scene.frame(number / fps)


@dataclass
class _Planes:
    """A picture as 4:2:0 planes; `mask` is where it is opaque."""

    y: Plane
    u: Plane
    v: Plane
    mask: Mask | None = None


class _Scene:
    """One shot."""

    def __init__(self, width: int, height: int, noise: float, random: np.random.Generator) -> None:
        self._width, self._height = width, height
        self._random = random
        self._world = _leaves(random, _even(width * _MARGIN), _even(height * _MARGIN), _LEAVES)
        self._near = _foliage(random, _even(width * _MARGIN), _even(height * _MARGIN))
        self._objects = [_object(random, height) for _ in range(_OBJECTS)]
        self._paths = random.uniform(0.03, 0.15, (_OBJECTS, 2)) * (1, 0.5)
        self._phases = random.uniform(0, 2 * np.pi, (_OBJECTS + 4, 2))
        self._grain = [
            np.round(random.normal(0, noise, (height + 64, width + 64))).astype(np.int8)
            for _ in range(_NOISE_PLANES)
        ]

    def frame(self, time_s: float) -> av.VideoFrame:
        """What the camera sees at a time, in seconds from the scene's start."""
        width, height = self._width, self._height
        picture = self._background(time_s)
        y, u, v = planes = _planes(picture, height)
        for thing, path, phase in zip(self._objects, self._paths, self._phases, strict=False):
            at = 0.5 + 0.5 * np.sin(path * 2 * np.pi * time_s + phase)
            high, wide = thing.y.shape
            _paste(planes, thing, _even(at[0] * (width - wide)), _even(at[1] * (height - high)))
        self._pass_by((y, u, v), time_s)
        light = 1 + 0.1 * np.sin(0.9 * time_s + self._phases[-1, 0])
        np.take(_lit(light), y, out=y)
        grain = self._grain[self._random.integers(_NOISE_PLANES)]
        down, across = self._random.integers(0, 64, 2)
        y += grain[down : down + height, across : across + width].view(np.uint8)  # wraps: signed
        return av.VideoFrame.from_ndarray(picture, format="yuv420p")

    def _background(self, time_s: float) -> Plane:
        """The world through a camera that pans, zooms and trembles; three planes in one."""
        world, phases = self._world, self._phases
        zoomed = 0.5 + 0.5 * np.sin(0.25 * time_s + phases[-2, 0])
        zoom = _ZOOM[0] + (_ZOOM[1] - _ZOOM[0]) * zoomed
        wide, high = _even(self._width * zoom), _even(self._height * zoom)
        pan = 0.5 + 0.42 * np.sin(np.array((0.7, 0.5)) * time_s + phases[-3])
        shake = 0.004 * np.sin(np.array((7.1, 8.3)) * time_s + phases[-4])
        shake += self._random.normal(0, 0.002, 2)
        left, top = np.clip(pan + shake, 0, 1) * (
            world.y.shape[1] - wide,
            world.y.shape[0] - high,
        )
        x, y = int(left) // 2, int(top) // 2
        parts = (
            world.y[2 * y : 2 * y + high, 2 * x : 2 * x + wide],
            world.u[y : y + high // 2, x : x + wide // 2],
            world.v[y : y + high // 2, x : x + wide // 2],
        )
        packed = np.concatenate([part.ravel() for part in parts]).reshape(-1, wide)
        seen = av.VideoFrame.from_ndarray(packed, format="yuv420p")
        scaled = seen.reformat(self._width, self._height, interpolation="BICUBIC").to_ndarray()
        return np.asarray(scaled, np.uint8)

    def _pass_by(self, target: tuple[Plane, Plane, Plane], time_s: float) -> None:
        """Foliage between the camera and the world, moving faster than the world."""
        near = self._near
        assert near.mask is not None
        room_x, room_y = near.y.shape[1] - self._width, near.y.shape[0] - self._height
        at = 0.5 + 0.5 * np.sin(np.array((0.8, 0.5)) * time_s + self._phases[-1])
        x, y = _even(at[0] * room_x), _even(at[1] * room_y)
        rows, columns = slice(y, y + self._height), slice(x, x + self._width)
        half_rows = slice(y // 2, (y + self._height) // 2)
        half_columns = slice(x // 2, (x + self._width) // 2)
        np.copyto(target[0], near.y[rows, columns], where=near.mask[rows, columns])
        half = near.mask[::2, ::2][half_rows, half_columns]
        np.copyto(target[1], near.u[half_rows, half_columns], where=half)
        np.copyto(target[2], near.v[half_rows, half_columns], where=half)


def _leaves(random: np.random.Generator, width: int, height: int, count: int) -> _Planes:
    """Overlapping ellipses and rectangles, their sizes by a power law, with 1/f texture."""
    y = np.full((height, width), 110, np.float32)
    u, v = (np.full((height // 2, width // 2), 128, np.float32) for _ in range(2))
    largest = height / 3
    for _ in range(count):
        radius = max(4.0, largest * (1 - random.uniform() * 0.999) ** -0.5 / 12)
        radius = min(radius, largest)
        wide, high = _even(2 * radius * random.uniform(0.5, 1.5)), _even(2 * radius)
        left, top = _even(random.uniform(-wide, width)), _even(random.uniform(-high, height))
        tone, tint = random.uniform(45, 205), random.normal(128, 9, 2)
        mask = _ellipse(wide, high) if random.integers(2) else np.ones((high, wide), np.bool_)
        for plane, value, scale in ((y, tone, 1), (u, tint[0], 2), (v, tint[1], 2)):
            part = mask[::scale, ::scale]
            x0, y0 = left // scale, top // scale
            cut = part[max(0, -y0) : plane.shape[0] - y0, max(0, -x0) : plane.shape[1] - x0]
            plane[max(0, y0) :, max(0, x0) :][: cut.shape[0], : cut.shape[1]][cut] = value
    y += _pink(random, width, height) * 12
    u += _pink(random, width // 2, height // 2) * 3
    v += _pink(random, width // 2, height // 2) * 3
    return _Planes(_bytes(y), _bytes(u), _bytes(v))


def _foliage(random: np.random.Generator, width: int, height: int) -> _Planes:
    """Blobs of a darker, finer texture, over a tenth of the picture."""
    y = 70 + _pink(random, width, height) * 18
    u = 120 + _pink(random, width // 2, height // 2) * 4
    v = 118 + _pink(random, width // 2, height // 2) * 4
    where = _pink(random, width, height, steepness=1.9)
    return _Planes(_bytes(y), _bytes(u), _bytes(v), mask=where > np.quantile(where[::8, ::8], 0.9))


def _object(random: np.random.Generator, height: int) -> _Planes:
    """Something textured that moves about."""
    high = _even(height * random.uniform(0.08, 0.28))
    wide = _even(high * random.uniform(0.6, 1.9))
    planes = _leaves(random, wide, high, _OBJECT_LEAVES)
    planes.mask = _ellipse(wide, high)
    return planes


def _pink(
    random: np.random.Generator, width: int, height: int, steepness: float = 1.0
) -> NDArray[np.float32]:
    """Noise of mean 0 and deviation 1 whose amplitude falls with frequency as 1/f^steepness."""
    spectrum = np.fft.rfft2(random.standard_normal((height, width), np.float32))
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    frequency = np.hypot(down, across)
    frequency[0, 0] = np.inf
    # Below 8 cycles a picture 1/f is only a slow gradient, and takes all of the contrast.
    spectrum /= np.maximum(frequency, 8 / width) ** steepness
    noise = np.fft.irfft2(spectrum, (height, width)).astype(np.float32)
    return np.asarray(noise / noise.std(), np.float32)


def _ellipse(width: int, height: int) -> Mask:
    down = (np.arange(height) - (height - 1) / 2) / (height / 2)
    across = (np.arange(width) - (width - 1) / 2) / (width / 2)
    return np.asarray(down[:, None] ** 2 + across[None, :] ** 2 < 1)


def _paste(target: tuple[Plane, Plane, Plane], planes: _Planes, x: int, y: int) -> None:
    assert planes.mask is not None
    sources = (planes.y, planes.u, planes.v)
    for plane, source, scale in zip(target, sources, (1, 2, 2), strict=True):
        rows = slice(y // scale, y // scale + source.shape[0])
        columns = slice(x // scale, x // scale + source.shape[1])
        np.copyto(plane[rows, columns], source, where=planes.mask[::scale, ::scale])


def _lit(light: float) -> Plane:
    """For each luma what it becomes under the light."""
    steps = (np.arange(256) - 16) * light + 16
    return np.clip(np.round(steps), _DARKEST, _BRIGHTEST).astype(np.uint8)


def _planes(picture: Plane, height: int) -> tuple[Plane, Plane, Plane]:
    """The planes of a picture in 4:2:0 that lie one below the other, to be drawn on."""
    width = picture.shape[1]
    u, v = picture[height:].reshape(2, height // 2, width // 2)
    return picture[:height], u, v


def _bytes(values: NDArray[np.float32]) -> Plane:
    return np.clip(values, _DARKEST, _BRIGHTEST).astype(np.uint8)


def _even(value: float) -> int:
    return max(2, int(value) // 2 * 2)
