"""Texts made wrong, and what readers may say of them: their own errors, in a line for a log."""

import copy
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LONGEST_LINE = 1000

# What kombu makes objects of, and cannot.
_OBJECTS: tuple[tuple[Any, Any], ...] = (
    *(("datetime", "x"), ("decimal", "x"), ("uuid", {"hex": 1}), ("bytes", 1), ([], 1), ("?", 1)),
)
DEEP: Any = json.loads("[" * 200 + "]" * 200)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**53, 2**64, 10**400, -0.0, 1e308, 1e-320),
    *(float("nan"), float("inf"), "", "0", "\0", "\ud800", "é" * 3000, "a" * 10_000, "../../x"),
    *("file://[/x", "file:///a%00b", "file:///dev/zero", "s3://", "s3:///k", "http://x", "file:"),
    *("2026-01-01", "prepare", "caption", "{}", [], {}, [[]], {"": None}, DEEP, [0] * 10_000),
    *({"__type__": kind, "__value__": value} for kind, value in _OBJECTS),
)
WORDS = (
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\\ud800", b"NaN", b"Infinity", b"-", b"1e999", b"\n"),
    *(b"[" * 100_000, b'{"a":' * 5000, b'"', b"\\", b",", b"}", b"9" * 5000, b"\xc3", b"//"),
)

Chance = random.Random


@dataclass(frozen=True)
class Reader:
    """What reads one kind of text: what is whole, who reads it, and what that may raise."""

    sample: Any
    read: Callable[[bytes], object]
    declared: tuple[type[Exception], ...] = ()
    write: Callable[[Any], bytes] = lambda value: json.dumps(value).encode()
    longest: int = LONGEST_LINE


def text_of(seed: int, number: int, readers: dict[str, Reader]) -> tuple[str, bytes]:
    """An input by its number: who is to read it, and its bytes."""
    kind = list(readers)[number % len(readers)]
    chance = random.Random(f"{seed}/text/{number}")
    reader = readers[kind]
    value = copy.deepcopy(reader.sample)
    for _ in range(chance.choice((0, 1, 1, 2, 5))):
        value = _changed(value, chance)
    text = reader.write(value)
    for _ in range(chance.choice((0, 0, 1, 3))):
        text = _garbled(text, chance)
    return kind, text


def _changed(value: Any, chance: Chance) -> Any:
    """The value with something in it another, missing, or too much."""
    if not isinstance(value, dict | list) or not value or chance.random() < 0.1:
        return copy.deepcopy(chance.choice(VALUES))
    place: Any = (
        chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
    )
    what = chance.random()
    if what < 0.1:
        del value[place]
    elif what < 0.2 and isinstance(value, dict):
        value[chance.choice(("", "\ud800", "x" * 5000, "__class__", "run_id", "args"))] = 1
    elif what < 0.2 and isinstance(value, list):
        value *= 2
    else:
        value[place] = _changed(value[place], chance)
    return value


def _garbled(text: bytes, chance: Chance) -> bytes:
    start = chance.randrange(len(text) + 1)
    end = start + chance.choice((0, 1, 5, 100))
    new = chance.choice((b"", chance.choice(WORDS), chance.randbytes(3), text[start:end] * 2))
    return chance.choice((text[:start], text[:start] + new + text[end:]))


def take(reader: Reader, text: bytes) -> tuple[str, str]:
    """A text's outcome (`read` or an error's name), and what is wrong with that, if anything."""
    try:
        reader.read(text)
    except reader.declared as error:
        said, name = str(error), type(error).__name__
        try:
            said.encode()
        except UnicodeEncodeError:
            return name, f"what it says is no Unicode: {said!r}"
        long = len(said) > reader.longest
        return name, f"it says {len(said)} letters: {said[:200]}" if long else ""
    return "read", ""
