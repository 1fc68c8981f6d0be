"""Pixels of shapes and textures, for numpy arrays and torch tensors alike.

`xp` is the module `numpy` or `torch`; arrays broadcast. Edges are soft over `soft` pixels of the
source, as hard edges are after scaling by area.
"""

import math
from typing import Any

# How far a shape extends from its centre at most, in radii.
REACH = 1.32
_SQUARE, _TRIANGLE, _STAR, _STAR_INNER = 0.88, 1.25, 1.3, 0.56

Array = Any


def cover(
    xp: Any, shape: Array, dx: Array, dy: Array, radius: Array, angle: Array, soft: Array
) -> Array:
    """How much of each pixel a shape covers, 0 to 1.

    `shape` is its place in `SHAPES`: an int, or an array of them. `dx` and `dy` are the pixels'
    distances from its centre.
    """
    cos, sin = xp.cos(angle), xp.sin(angle)
    x, y = dx * cos + dy * sin, dy * cos - dx * sin
    if isinstance(shape, int):
        distance = _DISTANCE[shape](xp, x, y, radius)
    else:
        circle, square, triangle, star = (form(xp, x, y, radius) for form in _DISTANCE)
        curved = xp.where(shape == 0, circle, star)
        distance = xp.where(shape == 1, square, xp.where(shape == 2, triangle, curved))
    return (0.5 - distance / soft).clip(0, 1)


def _circle(xp: Any, x: Array, y: Array, radius: Array) -> Array:
    return xp.sqrt(x * x + y * y) - radius


def _square(xp: Any, x: Array, y: Array, radius: Array) -> Array:
    return xp.maximum(xp.abs(x), xp.abs(y)) - _SQUARE * radius


def _triangle(xp: Any, x: Array, y: Array, radius: Array) -> Array:
    slope = math.sqrt(3) / 2
    return xp.maximum(y, slope * xp.abs(x) - y / 2) - _TRIANGLE / 2 * radius


def _star(xp: Any, x: Array, y: Array, radius: Array) -> Array:
    """Distance to a five-pointed star: by symmetry, each point is folded onto one half."""
    fifth = 2 * math.pi / 5
    turned = xp.arctan2(x, -y)
    folded = xp.abs(turned - fifth * xp.round(turned / fifth))
    far = xp.sqrt(x * x + y * y)
    along, across = far * xp.cos(folded), far * xp.sin(folded)
    # The edge runs from the outer point (1, 0) to the inner one, both in units of the radius.
    inner_x = _STAR_INNER * math.cos(fifth / 2)
    inner_y = _STAR_INNER * math.sin(fifth / 2)
    length = math.hypot(_STAR - inner_x, inner_y)
    return (inner_y * (along - _STAR * radius) + (_STAR - inner_x) * across) / length


_DISTANCE = (_circle, _square, _triangle, _star)  # in the order of `SHAPES`


def texture(xp: Any, ground: Array, x: Array, y: Array, soft: Array) -> Array:
    """How light each pixel of a background is, 0 to 1; `ground` as in `Staged`, its numbers first.

    Light parts are `ground[3]` of 255 brighter than dark ones.
    """
    kind, period, angle, phase_x, phase_y = (ground[i] for i in range(4, 9))
    turn = 2 * math.pi / period
    edge = 1 / (turn * soft)  # of a sine into a soft step
    along = xp.sin((x * xp.cos(angle) + y * xp.sin(angle)) * turn + phase_x)
    sine_x, sine_y = xp.sin(x * turn + phase_x), xp.sin(y * turn + phase_y)
    stripes = (0.5 + along * edge).clip(0, 1)
    across = (0.5 + sine_x * edge).clip(0, 1)
    down = (0.5 + sine_y * edge).clip(0, 1)
    checks = across * down + (1 - across) * (1 - down)
    spots = (0.5 + (sine_x + sine_y - 1.0) * edge * 0.7).clip(0, 1)
    return xp.where(
        kind == 0, 0 * checks, xp.where(kind == 1, stripes, xp.where(kind == 2, checks, spots))
    )
