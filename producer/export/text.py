"""Rows as text: a JSON object on each line, or CSV."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from pydantic_core import to_json

from clipfleet.private import no_link
from producer.export.columns import Column, Row, as_json
from producer.export.journal import Wrote
from producer.export.target import Files, Writer

SCHEMA_FILE = "schema.json"


def jsonl_files(folder: Path) -> Files:
    """Parts as JSON lines, UTF-8."""
    return Files(folder, ".jsonl", _write_lines)


class CsvFiles(Files):
    """Parts as CSV with a header, UTF-8; its columns are described in `schema.json` beside them.

    Null is an empty cell, as is an empty text; lists are JSON.
    """

    def __init__(self, folder: Path, columns: tuple[Column, ...]) -> None:
        super().__init__(folder, ".csv", _csv_writer([column.name for column in columns]))
        self._schema_file = folder / SCHEMA_FILE
        self._schema = [column.described() for column in columns]

    def resume(self, noted: Mapping[int, Wrote | None]) -> None:
        super().resume(noted)
        with open(self._schema_file, "wb", opener=no_link) as file:
            file.write(to_json(self._schema, indent=1) + b"\n")


def _write_lines(file: BinaryIO, rows: Iterable[Row]) -> None:
    for row in rows:
        file.write(to_json(row, inf_nan_mode="null") + b"\n")


def _csv_writer(names: list[str]) -> Writer:
    def write(file: BinaryIO, rows: Iterator[Row]) -> None:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(names)
        lines.writerows([_cell(row[name]) for name in names] for row in rows)
        text.detach()  # flushes it, and leaves the file open

    return write


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return as_json(value) if isinstance(value, list) else value  # the writer leaves None empty
