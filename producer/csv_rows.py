"""The rows of CSV and its kin: what delimits cells, where a row ends, and what is left open."""

import csv
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import IO, Protocol

from producer.addresses import ClipRefused
from producer.rows import Fault, Row
from producer.text_rows import MAX_LINE_BYTES, whole_lines

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SEP = re.compile(r'"?sep=(.)"?')  # how Excel is told
# How far the end of a quote is looked for, and what may be looked through in vain in all.
_MOST_LINES_AHEAD = 10_000
_MOST_BYTES_IN_VAIN = 64 * 2**20

_Line = tuple[int, str]


class Checks(Protocol):
    """Who reads the names of columns (`rows.Rows`)."""

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
            cells = cells_of.row(number, text, lines)
        except csv.Error as error:
            fault(number, error)
            continue
        if len(cells) > len(names) and not any(cells[len(names) :]):  # as spreadsheets pad rows
            del cells[len(names) :]
        swallowed = lines.taken and _is_row(lines.taken[0][1], cells, place, cells_of, names)
        if len(cells) != len(names) or swallowed:
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
    """Whether the first line names columns, one of them of clips; nothing is read off."""
    line, _, _ = file.peek(MAX_LINE_BYTES).partition(b"\n")
    text = line.decode(errors="replace").strip()
    if _SEP.fullmatch(text):
        return True
    return any(checks.names_clips(_stripped(_Cells(each).alone(text))) for each in DELIMITERS)


class _Lines(Iterator[_Line]):
    """The file's lines as text, without their ends; those that were looked at may be given back."""

    def __init__(self, file: IO[bytes], fault: Fault) -> None:
        self._whole = whole_lines(file, self._tell)
        self._fault = fault
        self.in_header = True  # without which no row can be read
        self._waiting: deque[_Line] = deque()
        self.taken: list[_Line] = []
        self._in_vain = 0

    def __next__(self) -> _Line:
        self.taken.clear()
        return self._next()

    def ahead(self) -> Iterator[str]:
        """The lines that follow, each `taken`, as far as a cell may go on."""
        num_bytes = 0
        while len(self.taken) < _MOST_LINES_AHEAD and num_bytes <= MAX_LINE_BYTES:
            try:
                line = self._next()
            except StopIteration:
                return
            self.taken.append(line)
            num_bytes += len(line[1])
            yield "\n" + line[1]

    def give_back(self) -> None:
        """Have what was taken come again."""
        self._in_vain += sum(len(text) for _, text in self.taken)
        if self._in_vain > _MOST_BYTES_IN_VAIN:
            raise ClipRefused(
                f"from line {self.taken[0][0]} on it is not read: quotes are left open before, "
                "again and again"
            )
        self._waiting.extendleft(reversed(self.taken))
        self.taken.clear()

    def _next(self) -> _Line:
        if self._waiting:
            return self._waiting.popleft()
        for number, line in self._whole:
            try:
                return number, _text(line)
            except ClipRefused as error:
                self._tell(number, error)
        raise StopIteration

    def _tell(self, number: int, said: object) -> None:
        if self.in_header:
            raise ClipRefused(f"line {number}, which should name the columns: {said}")
        self._fault(number, said)


class _Cells:
    """Takes rows apart."""

    def __init__(self, delimiter: str, *, skip_space: bool = False) -> None:
        self._delimiter, self._skip_space = delimiter, skip_space

    def row(self, number: int, text: str, lines: _Lines) -> list[str]:
        """The cells of the row that begins with this line. Raises `csv.Error`."""
        if '"' not in text and "\r" not in text:
            cells = text.split(self._delimiter)
            return [cell.lstrip(" ") for cell in cells] if self._skip_space else cells
        try:
            return next(self._reader(_chain(text, lines), strict=True))
        except (csv.Error, StopIteration) as error:
            if "\r" in text and '"' not in text:
                raise csv.Error("it holds a CR, which ends lines in some files alone") from None
            if "field larger" in str(error) and not lines.taken:
                raise csv.Error("it has a cell of over 128 KiB") from None
            if lines.taken:
                lines.give_back()
            raise _LEFT_OPEN from None

    def alone(self, text: str) -> list[str]:
        """The cells of one line, whatever its quotes."""
        try:
            return next(self._reader([text], strict=False), [])
        except csv.Error:
            return []

    def _reader(self, texts: Iterable[str], *, strict: bool) -> Iterator[list[str]]:
        return csv.reader(
            texts, delimiter=self._delimiter, skipinitialspace=self._skip_space, strict=strict
        )


def _chain(text: str, lines: _Lines) -> Iterator[str]:
    yield text
    yield from lines.ahead()


def _is_row(text: str, cells: list[str], place: int, cells_of: _Cells, names: list[str]) -> bool:
    """Whether a line within a quoted cell is a row like the one that has swallowed it."""
    found = cells_of.alone(text)
    if len(found) != len(names) or len(cells) != len(names):
        return False
    if len(names) == 1:  # no clip's name has lines
        return True
    ending = PurePosixPath(cells[place][-255:]).suffix
    return ending != "" and PurePosixPath(found[place][-255:]).suffix == ending


def _text(line: bytes) -> str:
    """The line without its end. Raises `ClipRefused`."""
    if b"\0" in line:
        raise ClipRefused(f"it holds a NUL character at byte {line.index(0) + 1}")
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise ClipRefused(
            f"it is not UTF-8 (0x{line[error.start]:02X} at byte {error.start + 1}); save the file "
            "as UTF-8",
            kind="not UTF-8",
        ) from None
    return text.removesuffix("\n").removesuffix("\r")


def _header(lines: _Lines, delimiter: str, checks: Checks) -> tuple[list[str], _Cells]:
    """The names of the columns, and what takes rows apart. Raises `ClipRefused`."""
    for number, text in lines:
        if not text.strip():
            continue
        if said := _SEP.fullmatch(text.strip()):
            delimiter = said[1]
            continue
        candidates = dict.fromkeys([delimiter, *DELIMITERS])
        named = {each: _Cells(each, skip_space=True).alone(text) for each in candidates}
        fit = [each for each in candidates if checks.names_clips(_stripped(named[each]))]
        best = max(fit or candidates, key=lambda each: len(named[each]))
        spaced = f"{best} " in text
        cells_of = _Cells(best, skip_space=spaced)
        try:
            names = _stripped(cells_of.row(number, text, lines))
        except csv.Error as error:
            raise ClipRefused(f"its first line is no CSV: {error}") from None
        checks.decimal_comma = best == ";"
        lines.in_header = False
        return names, cells_of
    raise ClipRefused("it is empty: its first line should name columns, such as clip,start_s,end_s")


def _stripped(names: list[str]) -> list[str]:
    return [name.strip().removeprefix("\ufeff").strip() for name in names]
