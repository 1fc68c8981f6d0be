"""The rows of JSON that is one value: a list of rows, or an object that holds such a list."""

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydantic_core import from_json

from clipfleet_producer.sources.manifests.json_text import JsonText, TooLong
from clipfleet_producer.sources.manifests.rows import Fault, Row
from clipfleet_producer.sources.manifests.text_rows import MAX_LINE_BYTES, NO_OBJECT, no_json
from clipfleet_producer.sources.problems import short
from clipfleet_producer.sources.uris import ClipRefused

_AHEAD_BYTES = 2**16
# Each has been searched for its end, as far as a row may extend.
_MOST_PASSED_OVER = 20
_TOO_LONG = (
    f"it is longer than {MAX_LINE_BYTES // 1024} KiB, or is not closed: a quote or a bracket is "
    "missing, or the file is cut short"
)

NamesClips = Callable[[Iterable[str]], bool]


def is_one_value(file: io.BufferedReader, names_clips: NamesClips) -> bool:
    """Whether the rows are elements of one value, not one a line; the file's position is kept."""
    head = file.peek(_AHEAD_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head.startswith(b"{"):
        return head.startswith(b"[")
    line, end, _ = head.partition(b"\n")
    try:
        found = from_json(line)
    except ValueError:  # only the start of an object, or damaged
        return not end or line.count(b"{") > line.count(b"}")
    try:
        return _elements(found, names_clips) is not None
    except ClipRefused:
        return True


def element_rows(file: io.BufferedReader, names_clips: NamesClips, fault: Fault) -> Iterator[Row]:
    """(number from 1, row) of each element that can be read, one in memory at a time.

    Raises `ClipRefused` if the rest cannot be split into rows.
    """
    yield from _Reader(JsonText(file), names_clips, fault).rows()


class _Reader:
    def __init__(self, text: JsonText, names_clips: NamesClips, fault: Fault) -> None:
        self._text, self._names_clips, self._fault = text, names_clips, fault
        self._count = self._passed_over = 0

    def rows(self) -> Iterator[Row]:
        while byte := self._text.skip_space():
            if byte == b"[":
                yield from self._list()
            elif byte == b"{":
                yield from self._object()
            else:
                raise ClipRefused(f"line {self._text.line}: it is no JSON from here on")

    def _list(self) -> Iterator[Row]:
        text = self._text
        text.take()
        while (byte := text.skip_space(b",")) != b"]":
            if not byte:
                raise ClipRefused(f"line {text.line}: its list is not closed; it may be cut short")
            line = text.line
            try:
                data = text.value()
            except TooLong:
                self._pass_over(line, text.lead)
            else:
                yield from self._row(data, line)
        text.take()

    def _object(self) -> Iterator[Row]:
        """A row, the rows of the object's list, or those of an object too long for memory."""
        line = self._text.line
        try:
            data = self._text.value()
        except TooLong:
            yield from self._long_object(line)
            return
        try:
            elements = _elements(from_json(data), self._names_clips)
        except ValueError:
            elements = None
        if elements is None:
            yield from self._row(data, line)
        for element in elements or ():
            self._count += 1
            yield from self._element(element, line)

    def _long_object(self, line: int) -> Iterator[Row]:
        """The rows of the one list of objects in an object that may be of any size."""
        text, lead, found = self._text, self._text.lead, ""
        text.take()
        try:
            while (byte := text.skip_space(b",")) == b'"':
                key = str(from_json(text.value()))
                if text.skip_space(b":") == b"[" and text.opens_with(b"{"):
                    if found:
                        raise ClipRefused(_several([found, key]))
                    found = key
                    yield from self._list()
                elif self._names_clips([key]):  # a row, and no end to it
                    break
                else:
                    text.value()
        except (TooLong, ValueError):
            byte = b""
        if byte == b"}":
            text.take()
            return
        if found:
            raise ClipRefused(f"line {text.line}: it is no JSON from here on; is it cut short?")
        self._pass_over(line, lead)

    def _pass_over(self, line: int, lead: bytes) -> None:
        """Continue with the next line that begins like a row."""
        self._count += 1
        self._passed_over += 1
        if not self._text.skip_to(lead + b"{") or self._passed_over > _MOST_PASSED_OVER:
            raise ClipRefused(f"line {line}: {_TOO_LONG}; nothing that follows it is read")
        self._report(_TOO_LONG, line)

    def _row(self, data: bytes, line: int) -> Iterator[Row]:
        self._count += 1
        try:
            found = from_json(data, allow_inf_nan=False)
        except ValueError as error:
            self._report(no_json(data, error), line)
            return
        yield from self._element(found, line)

    def _element(self, element: Any, line: int) -> Iterator[Row]:
        if isinstance(element, str):
            yield self._count, {"clip": element}
        elif isinstance(element, dict):
            yield self._count, element
        else:
            self._report(NO_OBJECT, line)

    def _report(self, said: object, line: int) -> None:
        self._fault(self._count, f"{said} (line {line})")


def _elements(found: Any, names_clips: NamesClips) -> list[Any] | None:
    """The rows in an object that is no row itself. Raises `ClipRefused` if it has several lists.

    An object that names a clip is a row, whatever lists it has, unless it has nothing else.
    """
    if not isinstance(found, dict):
        return None
    lists = {name: value for name, value in found.items() if isinstance(value, list) and value}
    if len(found) == 1 and lists:
        (only,) = lists.values()
        return only if all(isinstance(each, dict | str) for each in only) else None
    rows = {
        name: value
        for name, value in lists.items()
        if all(isinstance(each, dict) for each in value)
    }
    if not rows:
        return None
    for name, value in found.items():
        plain = isinstance(value, list) and all(isinstance(each, str) for each in value)
        if (plain or isinstance(value, str | dict)) and names_clips([name]):
            return None
    if len(rows) > 1:
        raise ClipRefused(_several(rows))
    return next(iter(rows.values()))


def _several(names: Iterable[str]) -> str:
    said = ", ".join(short(name, 60) for name in names)
    return f"it holds several lists, {short(said, 200)}; write that of clips to a file of its own"
