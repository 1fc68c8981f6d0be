"""The captions of scenes: plain ones, and enhanced ones that keep every fact.

The wording varies with the facts, not by chance: a scene has one caption, and a model that chooses
its likeliest words still varies them.
"""

from clipfleet_producer.samples.scene import (
    COLOURS,
    GROUNDS,
    SHAPES,
    TEXTURES,
    Event,
    Happening,
    Motion,
    Movement,
    Place,
    Scene,
    Thing,
)

SPEEDS = {"slow": "slowly", "fast": "quickly"}
PLAIN = {
    Motion.STILL: ("stays still", "does not move", "rests in place"),
    Motion.LEFT: ("moves {} to the left", "slides {} to the left", "travels {} to the left"),
    Motion.RIGHT: ("moves {} to the right", "slides {} to the right", "travels {} to the right"),
    Motion.UP: ("moves {} up", "slides {} up", "travels {} upwards"),
    Motion.DOWN: ("moves {} down", "slides {} down", "travels {} downwards"),
    Motion.GROWS: ("grows {}", "{} gets bigger", "{} becomes larger"),
    Motion.SHRINKS: ("shrinks {}", "{} gets smaller", "{} becomes smaller"),
    Motion.SPINS: ("spins {}", "rotates {}", "spins {} in place"),
    Motion.BLINKS: ("blinks {}", "flashes {}", "blinks {} on and off"),
}
ENHANCED = {
    Motion.STILL: "stays still, as if it were waiting for something",
    Motion.LEFT: "glides {} to the left, on and on, like a leaf on a stream",
    Motion.RIGHT: "glides {} to the right, on and on, like a boat with a fair wind",
    Motion.UP: "floats {} upwards, like a bubble in a glass",
    Motion.DOWN: "sinks {} downwards, like a coin in a well",
    Motion.GROWS: "grows {}, swelling like a balloon",
    Motion.SHRINKS: "shrinks {}, like something that goes far away",
    Motion.SPINS: "spins {}, turning like a wheel in the wind",
    Motion.BLINKS: "blinks {}, there and gone, like a signal lamp",
}
SIDES = {
    Place.BESIDE: ("on the left", "on the right"),
    Place.STACKED: ("at the top", "at the bottom"),
}


def caption(scene: Scene) -> str:
    """The plain caption."""
    style = GROUNDS.index(scene.ground) + TEXTURES.index(scene.texture)
    ground = f"{scene.texture} {scene.ground} background"
    if scene.place is not None:
        sides = SIDES[scene.place]
        one, two = (_clause(thing, None) for thing in scene.things)
        if scene.event is not None:
            one = _clause(scene.things[0], scene.event)
        if style % 2:
            return _sentences(f"{sides[0]}, {one}", f"{sides[1]}, {two}", f"the {ground} is behind")
        return _sentences(f"{sides[0]}, over a {ground}, {one}", f"{sides[1]}, {two}")
    whole = _clause(scene.things[0], scene.event)
    if style % 3 == 0:
        return _sentences(whole, f"the background is {scene.texture} {scene.ground}")
    if style % 3 == 1:
        return _sentences(f"over a {ground}, {whole}")
    return _sentences(f"{whole}, in front of a {ground}")


def _clause(thing: Thing, event: Event | None) -> str:
    """What a thing is and does, with what happens to it."""
    choice = SHAPES.index(thing.shape) + COLOURS.index(thing.colour)
    name, does = _name(thing), _does(thing.movement, choice)
    if event is None:
        return f"{name} {does}"
    after = f"after {event.at_s} seconds"
    if event.kind is Happening.ENTERS:
        return f"{name} enters {after} and {does}"
    if event.kind is Happening.LEAVES:
        return f"{name} {does}, then leaves {after}"
    if event.kind is Happening.RECOLOUR:
        turns = ("turns", "becomes")[choice % 2]
        return f"{name} {does}, then {turns} {event.colour} {after}"
    assert event.movement is not None
    return f"{name} first {does}, then {after} it {_does(event.movement, choice)}"


def _name(thing: Thing) -> str:
    name = " ".join(filter(None, (thing.size, thing.colour, thing.shape)))
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _does(movement: Movement, choice: int) -> str:
    forms = PLAIN[movement.motion]
    return forms[choice % len(forms)].format(SPEEDS.get(movement.speed or ""))


def _sentences(*sentences: str) -> str:
    return " ".join(f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences)


def enhanced_caption(scene: Scene) -> str:
    """The longer, more vivid caption: the same facts, in the same order of things."""
    ground = f"{scene.texture} {scene.ground} background"
    sentences = [f"the scene opens on a {ground}, calm and clear"]
    for number, thing in enumerate(scene.things):
        where = f"{SIDES[scene.place][number]}, " if scene.place is not None else ""
        event = scene.event if number == 0 else None
        sentences += _enhanced(thing, event, where)
    return _sentences(*sentences)


def _enhanced(thing: Thing, event: Event | None, where: str) -> list[str]:
    name, does = _name(thing), _does_enhanced(thing.movement)
    if event is None:
        return [f"{where}{name} is there to be seen", f"it {does}"]
    after = f"after {event.at_s} seconds"
    if event.kind is Happening.ENTERS:
        return [f"{where}{name} enters only {after}, to everyone's surprise", f"it {does}"]
    sentences = [f"{where}{name} is there to be seen"]
    if event.kind is Happening.LEAVES:
        return [*sentences, f"it {does}", f"then, {after}, it leaves and is not seen again"]
    if event.kind is Happening.RECOLOUR:
        return [*sentences, f"it {does}", f"then, {after}, it turns {event.colour} all at once"]
    assert event.movement is not None
    then = _does_enhanced(event.movement)
    return [*sentences, f"at first it {does}", f"then, {after}, it changes its mind and {then}"]


def _does_enhanced(movement: Movement) -> str:
    return ENHANCED[movement.motion].format(SPEEDS.get(movement.speed or ""))
