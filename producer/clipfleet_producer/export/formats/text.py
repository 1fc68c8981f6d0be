"""Rows as text: a JSON object on each line, or CSV."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from pydantic_core import to_json

from clipfleet.private import no_link
from clipfleet_producer.export.columns import Column, Row, as_json
from clipfleet_producer.export.journal import PartStats
from clipfleet_producer.export.target import Files, Writer

SCHEMA_FILE = "schema.json"


def jsonl_files(folder: Path) -> Files:
    """Parts as JSON lines, UTF-8."""
    return Files(folder, ".jsonl", _write_lines)


class CsvFiles(Files):
    """Parts as CSV with a header, UTF-8; its columns are described in `schema.json` beside them.

    Null is an empty cell, as is an empty text; lists are JSON. With `escape_formulas` a text that
    a spreadsheet would take for a formula has a ' before it.
    """

    def __init__(self, folder: Path, columns: tuple[Column, ...], *, escape_formulas: bool) -> None:
        names = [column.name for column in columns]
        super().__init__(folder, ".csv", _csv_writer(names, escape_formulas=escape_formulas))
        self._schema_file = folder / SCHEMA_FILE
        self._schema = [column.described() for column in columns]

    def resume(self, noted: Mapping[int, PartStats | None]) -> None:
        super().resume(noted)
        with open(self._schema_file, "wb", opener=no_link) as file:
            file.write(to_json(self._schema, indent=1) + b"\n")


def _write_lines(file: BinaryIO, rows: Iterable[Row]) -> None:
    for row in rows:
        file.write(to_json(row, inf_nan_mode="null") + b"\n")


def _csv_writer(names: list[str], *, escape_formulas: bool) -> Writer:
    cell = _inert_cell if escape_formulas else _cell

    def write(file: BinaryIO, rows: Iterator[Row]) -> None:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        lines = csv.writer(_UnixLines(text))
        lines.writerow(map(cell, names))
        lines.writerows([cell(row[name]) for name in names] for row in rows)
        text.detach()  # flushes it, and leaves the file open

    return write


class _UnixLines:
    """Ends lines with \\n where the writer ends them with \\r\\n.

    Told to write \\n itself, Python before 3.13 leaves a lone \\r unquoted, which ends a row.
    """

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text

    def write(self, line: str) -> int:
        return self._text.write(line.removesuffix("\r\n") + "\n")


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return as_json(value) if isinstance(value, list) else value  # the writer leaves None empty


# As OWASP has them ("CSV Injection"), wide forms included. Quotes before one count as well, so that
# whoever takes one quote off what fits this has every text as it was.
_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")


def _inert_cell(value: Any) -> Any:
    cell = _cell(value)
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell
