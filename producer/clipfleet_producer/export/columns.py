"""What a column of an export is: its name, its type, what it means, where in a record it lies."""

import enum
import json
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from pydantic import BaseModel

Row = dict[str, Any]


class Kind(enum.StrEnum):
    """The types that a column's values may have, beside null."""

    TEXT = "string"
    INTEGER = "int64"
    NUMBER = "float64"
    BOOL = "bool"
    TEXTS = "list<string>"
    INTEGERS = "list<int64>"
    NUMBERS = "list<float64>"


@dataclass(frozen=True)
class Column:
    """One column.

    `path` says where its value lies in the record that a row is made of, such as
    `source.container`, or finds it. What lies there is handed to `convert`, unless it is null.
    Where `kind` is columns, the value is a list of rows with these.
    """

    name: str
    kind: "Kind | tuple[Column, ...]"
    description: str
    path: str | Callable[[Any], Any]
    convert: Callable[[Any], Any] | None = None

    def take(self) -> Callable[[BaseModel], Any]:
        """The function that finds the value in a record."""
        find = _finder(self.path) if isinstance(self.path, str) else self.path
        kind, convert = self.kind, self.convert
        if isinstance(kind, tuple):
            make = row_maker(kind)
            return lambda record: [make(each) for each in find(record)]
        if convert is None:
            return find
        return lambda record: None if (value := find(record)) is None else convert(value)

    def described(self) -> Row:
        """The column for a reader of `schema.json`."""
        nested = isinstance(self.kind, tuple)
        about: Row = {"name": self.name, "type": "list<struct>" if nested else str(self.kind)}
        about["description"] = self.description
        if isinstance(self.kind, tuple):
            about["fields"] = [column.described() for column in self.kind]
        return about


def row_maker(columns: tuple[Column, ...]) -> Callable[[BaseModel], Row]:
    """The function that makes a row of a record."""
    takes = [(column.name, column.take()) for column in columns]
    return lambda record: {name: take(record) for name, take in takes}


def as_json(value: Any) -> str:
    """A value as JSON text, its letters as they are."""
    return json.dumps(value, ensure_ascii=False)


def _finder(path: str) -> Callable[[Any], Any]:
    """The function that follows the path to its end, or to the first null."""
    outer, _, inner = path.partition(".")
    find: Callable[[Any], Any] = attrgetter(outer)
    if not inner:
        return find
    rest = _finder(inner)
    return lambda record: None if (value := find(record)) is None else rest(value)
