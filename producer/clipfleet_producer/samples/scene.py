"""What happens in a scene of the small world, as facts. No numbers, no pixels.

A scene has a background and one or two things. A thing has a colour, a shape, a size (unless it
grows or shrinks) and a movement; to the first of them something may happen in mid-scene. The world
is closed: what moves out of one side comes in at the other, and what has grown as large as things
get starts small again.
"""

import enum
from dataclasses import dataclass
from random import Random

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
SHAPES = ("circle", "square", "triangle", "star")
SIZES = ("small", "large")
GROUNDS = ("black", "gray", "dark blue", "dark green", "brown", "teal")
TEXTURES = ("plain", "striped", "checkered", "spotted")
# When something may happen: seconds from the scene's start. Far enough apart to tell from frames
# half a second apart.
EVENT_TIMES_S = (2, 4, 6)
LONGEST_S, SHORTEST_S = 16.0, 2.4

_AFTER_EVENT_S = 1.8
_BLINK_S = 4.0  # shorter, and a blink cannot be told from coming and going
# A thing that can hardly be told from its background is no fair question.
_ALIKE = {("green", "dark green"), ("blue", "dark blue"), ("orange", "brown"), ("green", "teal")}


class Motion(enum.StrEnum):
    """What a thing does."""

    STILL = "still"
    LEFT = "left"
    RIGHT = "right"
    UP = "up"
    DOWN = "down"
    GROWS = "grows"
    SHRINKS = "shrinks"
    SPINS = "spins"
    BLINKS = "blinks"


class Happening(enum.StrEnum):
    """What may happen to the first thing of a scene, once."""

    RECOLOUR = "recolour"  # it takes another colour
    ENTERS = "enters"  # it comes in from outside
    LEAVES = "leaves"  # it goes out, for good
    THEN = "then"  # it goes over to another movement


class Place(enum.StrEnum):
    """How two things share the frame; the first is on the left, or at the top."""

    BESIDE = "beside"
    STACKED = "stacked"


@dataclass(frozen=True)
class Movement:
    """A motion and its speed, "slow" or "fast"; None for what stays still."""

    motion: Motion
    speed: str | None = None


@dataclass(frozen=True)
class Thing:
    """One thing. `size` is None where it grows or shrinks."""

    colour: str
    shape: str
    size: str | None
    movement: Movement


@dataclass(frozen=True)
class Event:
    """What happens to the first thing, `at_s` seconds into the scene, and what it turns to."""

    kind: Happening
    at_s: int
    colour: str | None = None
    movement: Movement | None = None


@dataclass(frozen=True)
class Scene:
    """All that a caption has to tell. `place` is None with one thing."""

    ground: str
    texture: str
    things: tuple[Thing, ...]
    place: Place | None = None
    event: Event | None = None


SIZE_CHANGES = frozenset({Motion.GROWS, Motion.SHRINKS})
_SIDEWAYS = frozenset({Motion.LEFT, Motion.RIGHT})
_UPRIGHT = frozenset({Motion.UP, Motion.DOWN})


def draw_scene(random: Random, *, seconds: float) -> Scene:
    """A scene that fits into `seconds`, between `SHORTEST_S` and `LONGEST_S`."""
    ground = random.choice(GROUNDS)
    place = random.choice((None, None, Place.BESIDE, Place.STACKED))
    event = _draw_event(random, ground, place, seconds)
    things: list[Thing] = []
    for number in range(1 if place is None else 2):
        own_event = event if number == 0 else None
        while (thing := _draw_thing(random, ground, place, own_event, seconds)) is None or (
            number and (thing.colour, thing.shape) == (things[0].colour, things[0].shape)
        ):
            pass
        things.append(thing)
    return Scene(ground, random.choice(TEXTURES), tuple(things), place, event)


def _draw_event(random: Random, ground: str, place: Place | None, seconds: float) -> Event | None:
    times = [t for t in EVENT_TIMES_S if t + _AFTER_EVENT_S <= seconds]
    if not times or random.random() < (0.3 if place is None else 0.6):
        return None
    kind, at_s = random.choice(list(Happening)), random.choice(times)
    if kind is Happening.RECOLOUR:
        return Event(kind, at_s, colour=_draw_colour(random, ground))
    if kind is Happening.THEN:
        return Event(kind, at_s, movement=_draw_movement(random, place, seconds - at_s))
    return Event(kind, at_s)


def _draw_thing(
    random: Random, ground: str, place: Place | None, event: Event | None, seconds: float
) -> Thing | None:
    """A thing; None where what was drawn does not go with the event."""
    if event is None:
        moves_s = seconds
    else:
        moves_s = seconds - event.at_s if event.kind is Happening.ENTERS else float(event.at_s)
        if event.kind is Happening.RECOLOUR:
            moves_s = seconds
    movement = _draw_movement(random, place, moves_s)
    colour, shape = _draw_colour(random, ground), random.choice(SHAPES)
    motions = {movement.motion}
    if event is not None:
        if event.movement is not None:
            motions.add(event.movement.motion)
            if event.movement.motion is movement.motion:
                return None
        if event.colour == colour:
            return None
        if event.kind in (Happening.ENTERS, Happening.LEAVES) and Motion.BLINKS in motions:
            return None
    if shape == "circle" and Motion.SPINS in motions:
        return None  # it would look still
    size = None if motions & SIZE_CHANGES else random.choice(SIZES)
    return Thing(colour, shape, size, movement)


def _draw_movement(random: Random, place: Place | None, seconds: float) -> Movement:
    """A movement that can be told within `seconds`, and that keeps to the thing's part."""
    allowed = set(Motion)
    if place is Place.BESIDE:
        allowed -= _SIDEWAYS
    elif place is Place.STACKED:
        allowed -= _UPRIGHT
    if seconds < _BLINK_S:
        allowed.discard(Motion.BLINKS)
    motion = random.choice(sorted(allowed))
    return Movement(motion, None if motion is Motion.STILL else random.choice(("slow", "fast")))


def _draw_colour(random: Random, ground: str) -> str:
    return random.choice([colour for colour in COLOURS if (colour, ground) not in _ALIKE])


Facts = dict[str, str]


def facts(scene: Scene) -> Facts:
    """The scene's single facts by name: what a caption of it must say, and no more."""
    found = {"ground": scene.ground, "texture": scene.texture, "things": str(len(scene.things))}
    if scene.place is not None:
        found["place"] = scene.place
    for number, thing in enumerate(scene.things, 1):
        found |= {f"colour/{number}": thing.colour, f"shape/{number}": thing.shape}
        if thing.size is not None:
            found[f"size/{number}"] = thing.size
        found |= _movement_facts(thing.movement, f"/{number}")
    event = scene.event
    found["event"] = event.kind if event else "none"
    if event is not None:
        found["event time"] = str(event.at_s)
        if event.colour is not None:
            found["event colour"] = event.colour
        if event.movement is not None:
            found |= {f"event {k}": v for k, v in _movement_facts(event.movement, "").items()}
    return found


def _movement_facts(movement: Movement, suffix: str) -> Facts:
    found = {f"motion{suffix}": str(movement.motion)}
    return found | ({f"speed{suffix}": movement.speed} if movement.speed else {})
