"""The facts that a caption states, read back from its words; and how they compare with the truth.

It reads plain captions and enhanced ones by their words alone, and knows nothing of how either was
made: a caption that says less gives fewer facts, one that says something else gives other facts.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from clipfleet_producer.samples.scene import COLOURS, GROUNDS, SHAPES, SIZES, TEXTURES, Facts


def _any(words: Iterable[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_GROUND = re.compile(rf"background is ({_any(TEXTURES)}) ({_any(GROUNDS)})")
_BACKGROUND = re.compile(rf"({_any(TEXTURES)}) ({_any(GROUNDS)}) background")
_THING = re.compile(rf"\ban? (?:({_any(SIZES)}) )?({_any(COLOURS)}) ({_any(SHAPES)})\b")
_SPEED = re.compile(r"\b(slowly|quickly)\b")
_AFTER = re.compile(r"\bafter (\d+) seconds")
_TURNS = re.compile(rf"\b(?:turns|becomes) ({_any(COLOURS)})\b")
_THEN = re.compile(r"\bthen\b")
_MOTIONS = {
    "still": r"stays still|does not move|rests in place",
    "left": r"(?:moves|slides|travels|glides)[a-z ]* to the left",
    "right": r"(?:moves|slides|travels|glides)[a-z ]* to the right",
    "up": r"(?:moves|slides|travels|floats)[a-z ]* up(?:wards)?\b",
    "down": r"(?:moves|slides|travels|sinks)[a-z ]* down(?:wards)?\b",
    "grows": r"\bgrows\b|gets bigger|becomes larger",
    "shrinks": r"\bshrinks\b|gets smaller|becomes smaller",
    "spins": r"\bspins\b|\brotates\b",
    "blinks": r"\bblinks\b|\bflashes\b",
}
_PLACES = {
    "beside": (r"\bon the left\b", r"\bon the right\b"),
    "stacked": (r"\bat the top\b", r"\bat the bottom\b"),
}
_MOTION = re.compile("|".join(f"(?P<{name}>{form})" for name, form in _MOTIONS.items()))


def read_facts(text: str) -> Facts:
    """The facts that `text` states, named as in `clipfleet_producer.samples.scene.facts`."""
    words = " ".join(text.lower().split())
    found: Facts = {}
    if ground := _GROUND.search(words) or _BACKGROUND.search(words):
        found |= {"texture": ground[1], "ground": ground[2]}
    things = list(_THING.finditer(words))
    found["things"] = str(len(things))
    if place := _place(words):
        found["place"] = place
    ends = [*(thing.start() for thing in things), len(words)][1:]
    for number, (thing, end) in enumerate(zip(things, ends, strict=True), 1):
        told = words[thing.end() : end]
        size, colour, shape = thing.groups()
        found |= {f"colour/{number}": colour, f"shape/{number}": shape}
        if size:
            found[f"size/{number}"] = size
        first, _, rest = told.partition(" then")
        found |= _motion(first if _THEN.search(told) else told, f"/{number}")
        if number == 1:
            found |= _event(told, rest)
        elif _event(told, rest)["event"] != "none":
            found[f"event/{number}"] = _event(told, rest)["event"]
    return found


def _place(words: str) -> str | None:
    for name, sides in _PLACES.items():
        places = [re.search(side, words) for side in sides]
        if places[0] and places[1] and places[0].start() < places[1].start():
            return name
    return None


def _motion(told: str, suffix: str) -> Facts:
    motion = _MOTION.search(told)
    if motion is None:
        return {}
    found = {f"motion{suffix}": str(motion.lastgroup)}
    speed = _SPEED.search(told)
    return found | ({f"speed{suffix}": _as_speed(speed[1])} if speed else {})


def _as_speed(word: str) -> str:
    return "slow" if word == "slowly" else "fast"


def _event(told: str, rest: str) -> Facts:
    found: Facts = {"event": "none"}
    if "enters" in told:
        found = {"event": "enters"}
    elif "leaves" in rest:
        found = {"event": "leaves"}
    elif turns := _TURNS.search(rest):
        found = {"event": "recolour", "event colour": turns[1]}
    elif motion := _motion(rest, ""):
        found = {"event": "then"} | {f"event {name}": value for name, value in motion.items()}
    after = _AFTER.search(told)
    return found | ({"event time": after[1]} if after else {})


@dataclass(frozen=True)
class Verdict:
    """How what was said compares with the truth, fact by fact."""

    right: tuple[str, ...]
    wrong: tuple[str, ...]

    @property
    def wholly_right(self) -> bool:
        """Every fact right, and nothing said that is not so."""
        return not self.wrong


def judge(text: str, truth: Mapping[str, str]) -> Verdict:
    """Compare a caption with the truth: a fact left out, and one too many, are wrong."""
    said = read_facts(text)
    names = sorted(set(truth) | set(said))
    right = tuple(name for name in names if truth.get(name) == said.get(name))
    return Verdict(right, tuple(name for name in names if name not in right))
