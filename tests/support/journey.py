"""The way of one clip through the code: which functions its data passes, and between which rooms.

A function is passed where something that names the clip is among its arguments, its variables or
what it gives back. A room is a folder of code. An entry from a room into one that was left before
is a return.
"""

import dataclasses
import inspect
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from pydantic import BaseModel

import clipfleet
import clipfleet_producer

ROOTS = tuple(Path(package.__path__[0]) for package in (clipfleet, clipfleet_producer))
_OURS = tuple(map(str, ROOTS))
_DEEPEST = 6


class Journey:
    """Traces what is called in its block, on this thread and on those that it starts.

    `marks` are texts that name the clip.
    """

    def __init__(self, *marks: str) -> None:
        self._marks = marks
        self._calls: list[tuple[str, str]] = []  # (room, function)
        self._open: dict[int, tuple[int, CodeType]] = {}
        self._carrying: set[int] = set()

    def __enter__(self) -> "Journey":
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    @property
    def functions(self) -> list[str]:
        """The functions that the clip passes, in the order in which it first does."""
        return list(dict.fromkeys(self._calls[number][1] for number in sorted(self._carrying)))

    @property
    def rooms(self) -> list[str]:
        """The rooms that it enters, one after the other."""
        entered = [self._calls[number][0] for number in sorted(self._carrying)]
        return [
            room for room, before in zip(entered, [None, *entered], strict=False) if room != before
        ]

    @property
    def returns(self) -> int:
        """How often it comes back into a room that it left."""
        return len(self.rooms) - len(set(self.rooms))

    def _profile(self, frame: FrameType, event: str, value: object) -> None:
        if event not in ("call", "return"):
            return
        code = frame.f_code
        if not code.co_filename.startswith(_OURS) or code.co_name.startswith("<"):
            return
        if isinstance(frame.f_locals.get("self"), BaseException):
            return  # an error, which goes back up
        key = id(frame)
        if event == "call" and (key not in self._open or self._open[key][1] is not code):
            self._open[key] = len(self._calls), code
            self._calls.append(_place(code))
        if key not in self._open:  # it was called before the trace began
            return
        number = self._open[key][0]
        if number not in self._carrying and any(map(self._names, self._parts(frame, value))):
            self._carrying.add(number)
        if event == "return" and _is_over(frame):
            del self._open[key]

    def _parts(self, frame: FrameType, value: object) -> Iterator[object]:
        yield value
        for name, each in frame.f_locals.items():
            if name != "self" or _is_value(each):
                yield each

    def _names(self, thing: object, depth: int = 0) -> bool:
        if isinstance(thing, str):
            return any(mark in thing for mark in self._marks)
        if isinstance(thing, bytes):
            return any(mark.encode() in thing for mark in self._marks)
        if depth > _DEEPEST:
            return False
        if isinstance(thing, dict):
            parts: Any = [*thing.keys(), *thing.values()]
        elif isinstance(thing, list | tuple | set | frozenset):
            parts = thing
        elif _is_value(thing):
            fields = getattr(type(thing), "__dataclass_fields__", None)
            names = type(thing).model_fields if isinstance(thing, BaseModel) else fields
            parts = [getattr(thing, name, None) for name in names or ()]
        else:
            return False
        return any(self._names(part, depth + 1) for part in parts)


def _is_value(thing: object) -> bool:
    """Whether it is data, which travels, and not one of those who work on it."""
    return isinstance(thing, BaseModel) or (
        dataclasses.is_dataclass(thing) and not isinstance(thing, type)
    )


def _is_over(frame: FrameType) -> bool:
    """Whether a return ends the frame: one of a generator that yields does not."""
    return not frame.f_code.co_flags & inspect.CO_GENERATOR


def _place(code: CodeType) -> tuple[str, str]:
    """(the room, the function) of a code object."""
    path = Path(code.co_filename)
    package = next(root for root in ROOTS if path.is_relative_to(root))
    inside = path.relative_to(package)
    folder = inside.parts[0] if len(inside.parts) > 1 else ""
    if not folder and package.name != "clipfleet":
        folder = inside.stem  # a room of one file
    return f"{package.name}/{folder}".rstrip("/"), f"{package.name}/{inside}:{code.co_qualname}"
