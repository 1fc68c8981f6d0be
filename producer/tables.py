"""Manifests that people write: a clip in each line of JSON or CSV, or each row of Parquet."""

import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from clipfleet.errors import UsageError
from clipfleet.records import ManifestLine
from producer.parquet_rows import parquet_rows
from producer.problems import Problems
from producer.rows import Row, Rows
from producer.text_rows import csv_rows, json_object, json_rows, whole_lines

TEXT_SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv")
PARQUET_SUFFIX = ".parquet"
_SUFFIXES = (PARQUET_SUFFIX, *TEXT_SUFFIXES, *(f"{suffix}.gz" for suffix in TEXT_SUFFIXES))


def is_table(name: str) -> bool:
    """Whether a file or an object of this name is a manifest."""
    return name.lower().endswith(_SUFFIXES)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A manifest being read. `name` is for problems; `file` is open, at its start.

    `memory_bytes` is what reading one in Parquet may take.
    """

    name: str
    file: IO[bytes]
    rows: Rows
    problems: Problems
    memory_bytes: int = 2**30

    def clips(self) -> Iterator[ManifestLine]:
        """The clips that it names, a row in memory at a time.

        A row that is wrong is a problem that names it, and the rest goes on. Raises `UsageError`
        where the whole cannot be read, or names no clips by its columns.
        """
        try:
            yield from self._clips()
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UsageError(f"{self.name}: it cannot be unpacked ({error})") from None
        except UsageError as error:
            raise UsageError(f"{self.name}: {error}") from None

    def listed(self) -> Iterator[ManifestLine]:
        """The clips of a list: one a line, or a line of JSON where it begins with a brace."""
        for number, line in whole_lines(self.file, self._fault):
            text = line.rstrip(b"\r\n")
            if text.startswith(b"{"):
                row = json_object(number, text, self._fault)
            else:  # names of files need not be UTF-8
                row = {"clip": text.decode(errors="surrogateescape")} if text.strip() else None
            if row is not None:
                yield from self._clip(number, row)

    def _clips(self) -> Iterator[ManifestLine]:
        for number, row in self._read():
            yield from self._clip(number, row)

    def _read(self) -> Iterator[Row]:
        name = self.name.lower()
        if name.endswith(PARQUET_SUFFIX):
            return parquet_rows(
                self.file, self.rows.check_columns, self._fault, memory_bytes=self.memory_bytes
            )
        packed = name.endswith(".gz")
        file = io.BufferedReader(gzip.GzipFile(fileobj=self.file)) if packed else self.file
        kind = name.removesuffix(".gz").rpartition(".")[2]
        if kind in ("csv", "tsv"):
            delimiter = "," if kind == "csv" else "\t"
            return csv_rows(file, delimiter, self.rows.check_columns, self._fault)
        return json_rows(file, self._fault)

    def _clip(self, number: int, row: dict[str, Any]) -> Iterator[ManifestLine]:
        try:
            yield self.rows.clip(row)
        except UsageError as error:
            self._fault(number, error)

    def _fault(self, number: int, said: object) -> None:
        unit = "row" if self.name.lower().endswith(PARQUET_SUFFIX) else "line"
        self.problems.add(f"{self.name}, {unit} {number}: {said}")
