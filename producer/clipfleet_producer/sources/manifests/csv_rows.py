"""The rows of CSV and similar tables: delimiters, ends of rows, and open quotes."""

import csv
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import IO, Protocol

from clipfleet_producer.sources.manifests.rows import Fault, Row
from clipfleet_producer.sources.manifests.text_rows import MAX_LINE_BYTES, no_utf8, whole_lines
from clipfleet_producer.sources.uris import ClipRefused

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SEP = re.compile(r'\ufeff?\s*"?sep=([^"\r\n])"?\s*')  # how Excel is told; it may be a tab
# How far ahead the end of a quote is searched for, and how many bytes of failed searches in all.
_MOST_LINES_AHEAD = 10_000
_MOST_BYTES_IN_VAIN = 64 * 2**20

_Line = tuple[int, str]


class Checks(Protocol):
    """What judges a table's columns: `rows.Rows`."""

    decimal_comma: bool

    def check_columns(self, names: Iterable[str]) -> None: ...

    def names_clips(self, names: Iterable[str]) -> bool: ...


def csv_rows(file: IO[bytes], delimiter: str, checks: Checks, fault: Fault) -> Iterator[Row]:
    """(number of its first line, row) of those that can be read; an empty cell is absent.

    The first line decides what delimits cells, `delimiter` unless another gives a column for
    clips. A quote that nothing closes costs its own line alone. Raises `ClipRefused` where the
    first line names no columns.
    """
    lines = _Lines(file, fault)
    names, cells_of = _header(lines, delimiter, checks)
    checks.check_columns(names)
    place = next((place for place, name in enumerate(names) if checks.names_clips([name])), 0)
    for number, text in lines:
        if not text or text.isspace():
            continue
        try:
            cells = cells_of.row(text)
        except csv.Error as error:
            fault(number, error)
            continue
        if len(cells) > len(names) and not any(cells[len(names) :]):  # as spreadsheets pad rows
            del cells[len(names) :]
        inner = _cells_of_line(lines.taken[0][1], cells_of.delimiter) if lines.taken else []
        if len(cells) != len(names) or (inner and _is_like(inner, cells, place)):
            if lines.taken:
                fault(number, _LEFT_OPEN)
                lines.give_back()
            elif any(cells):
                fault(number, f"it has {len(cells)} cells, and the first line {len(names)}")
        elif any(cells):
            row = zip(names, cells, strict=True)
            yield number, {name: cell for name, cell in row if name and cell}


_LEFT_OPEN = csv.Error(
    'a quote (") that it opens is not closed as CSV has it; close it, and write a quote within a '
    "cell twice"
)


def names_columns(file: io.BufferedReader, checks: Checks) -> bool:
    """Whether the first line names columns, one of them of clips; the file stays where it is."""
    line, _, _ = file.peek(MAX_LINE_BYTES).partition(b"\n")
    text = line.decode(errors="replace")
    if _SEP.fullmatch(text):
        return True
    text = text.strip()
    return any(checks.names_clips(_stripped(_cells_of_line(text, each))) for each in DELIMITERS)


class _Lines(Iterator[_Line]):
    """The file's lines as text, without their ends; those that were looked at may be given back."""

    def __init__(self, file: IO[bytes], fault: Fault) -> None:
        self._whole = whole_lines(file, self._report)
        self._fault = fault
        self.in_header = True  # without which no row can be read
        self._waiting: deque[_Line] = deque()
        self.taken: list[_Line] = []
        self._taken_bytes = self._in_vain = 0

    def __next__(self) -> _Line:
        if self.taken:
            self.taken.clear()
            self._taken_bytes = 0
        return self._next()

    def ahead(self) -> str:
        """The next line, `taken` for a cell that goes on. Raises `StopIteration` where none may."""
        if len(self.taken) >= _MOST_LINES_AHEAD or self._taken_bytes > MAX_LINE_BYTES:
            raise StopIteration
        line = self._next()
        self.taken.append(line)
        self._taken_bytes += len(line[1])
        return "\n" + line[1]

    def give_back(self) -> None:
        """Have what was taken come again."""
        self._in_vain += self._taken_bytes
        if self._in_vain > _MOST_BYTES_IN_VAIN:
            raise ClipRefused(
                f"from line {self.taken[0][0]} on it is not read: quotes are left open before, "
                "again and again"
            )
        self._waiting.extendleft(reversed(self.taken))
        self.taken.clear()
        self._taken_bytes = 0

    def _next(self) -> _Line:
        if self._waiting:
            return self._waiting.popleft()
        for number, line in self._whole:
            try:
                return number, _text(line)
            except ClipRefused as error:
                self._report(number, error)
        raise StopIteration

    def _report(self, number: int, said: object) -> None:
        if self.in_header:
            raise ClipRefused(f"line {number}, which should name the columns: {said}")
        self._fault(number, said)


class _Cells(Iterator[str]):
    """Takes rows apart. To `csv`, it is the lines of the row."""

    def __init__(self, delimiter: str, lines: _Lines, *, skip_space: bool) -> None:
        self.delimiter, self._lines, self._skip_space = delimiter, lines, skip_space
        self._first: str | None = None
        # One for all rows: making it takes as long as a row does.
        self._reader = csv.reader(
            self, delimiter=delimiter, skipinitialspace=skip_space, strict=True
        )

    def __next__(self) -> str:
        text, self._first = self._first, None
        return self._lines.ahead() if text is None else text

    def row(self, text: str) -> list[str]:
        """The cells of the row that begins with this line. Raises `csv.Error`."""
        if '"' not in text and "\r" not in text:
            cells = text.split(self.delimiter)
            return [cell.lstrip(" ") for cell in cells] if self._skip_space else cells
        self._first = text
        try:
            return next(self._reader)
        except csv.Error as error:
            if self._lines.taken:
                self._lines.give_back()
            elif "field larger" in str(error):
                raise csv.Error("it has a cell of over 128 KiB") from None
            elif '"' not in text:
                raise csv.Error("it holds a CR, which ends lines in some files alone") from None
            raise _LEFT_OPEN from None


def _cells_of_line(text: str, delimiter: str) -> list[str]:
    """The cells of one line, whatever its quotes; empty if it cannot be split."""
    try:
        return next(csv.reader([text], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return []


def _is_like(inner: list[str], cells: list[str], place: int) -> bool:
    """Whether a line within a quoted cell is a row like the one that has swallowed it.

    `place` is that of the clip: what is a row names a file of the same ending there.
    """
    if len(inner) != len(cells):
        return False
    ending = PurePosixPath(cells[place][-255:]).suffix
    # No clip's name has lines.
    return "\n" in cells[place] or ending == PurePosixPath(inner[place][-255:]).suffix != ""


def _text(line: bytes) -> str:
    """The line without its end. Raises `ClipRefused`."""
    if b"\0" in line:
        raise ClipRefused(f"it holds a NUL character at byte {line.index(0) + 1}")
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise ClipRefused(no_utf8(line, error), kind="not UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")


def _header(lines: _Lines, delimiter: str, checks: Checks) -> tuple[list[str], _Cells]:
    """The names of the columns, and what takes rows apart. Raises `ClipRefused`."""
    for _, text in lines:
        if not text.strip():
            continue
        if said := _SEP.fullmatch(text):
            delimiter = said[1]
            continue
        candidates = dict.fromkeys([delimiter, *DELIMITERS])
        named = {each: _cells_of_line(text, each) for each in candidates}
        fit = [each for each in candidates if checks.names_clips(_stripped(named[each]))]
        best = max(fit or candidates, key=lambda each: len(named[each]))
        spaced = f"{best} " in text
        cells_of = _Cells(best, lines, skip_space=spaced)
        try:
            names = _stripped(cells_of.row(text))
        except csv.Error as error:
            raise ClipRefused(f"its first line is no CSV: {error}") from None
        checks.decimal_comma = best == ";"
        lines.in_header = False
        return names, cells_of
    raise ClipRefused("it is empty: its first line should name columns, such as clip,start_s,end_s")


def _stripped(names: list[str]) -> list[str]:
    return [name.strip().removeprefix("\ufeff").strip() for name in names]
