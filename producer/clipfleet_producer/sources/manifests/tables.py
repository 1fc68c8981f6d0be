"""Manifests: a clip in each line of JSON or CSV, or each row of Parquet."""

import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import PurePath
from typing import IO

from clipfleet.errors import UsageError
from clipfleet.records import ManifestLine
from clipfleet_producer.sources.manifests.csv_rows import csv_rows, names_columns
from clipfleet_producer.sources.manifests.json_rows import element_rows, is_one_value
from clipfleet_producer.sources.manifests.parquet_rows import parquet_rows
from clipfleet_producer.sources.manifests.rows import Fault, Row, Rows
from clipfleet_producer.sources.manifests.table_text import UNPACK, open_text
from clipfleet_producer.sources.manifests.text_rows import json_rows, list_rows
from clipfleet_producer.sources.problems import Problems
from clipfleet_producer.sources.uris import ClipRefused

_PARQUET = ".parquet"
_JSON = (".jsonl", ".ndjson", ".json")
_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_PACKED = (".gz", ".zst")
_TEXT = (*_JSON, *_DELIMITERS, ".txt")
_SUFFIXES = (_PARQUET, *(f"{suffix}{packed}" for suffix in _TEXT for packed in ("", *_PACKED)))
# JSON and text files beside videos may be anything: they must be named explicitly.
_NOT_LISTED = (".json", ".txt")

_NUMBERS = re.compile(r"[0-9][0-9,.]*")
_EXPORT = "export it as CSV, JSON lines or Parquet"
_REFUSED = {
    **dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls"), f"a workbook of Excel; {_EXPORT}"),
    **dict.fromkeys((".ods", ".numbers", ".gsheet"), f"a spreadsheet; {_EXPORT}"),
    **dict.fromkeys((".arrow", ".feather", ".ipc"), f"an Arrow file; {_EXPORT}"),
    **dict.fromkeys((".avro", ".orc", ".lance"), f"an unsupported table; {_EXPORT}"),
    **dict.fromkeys((".pkl", ".pickle"), f"a pickle, which may run code; {_EXPORT}"),
    **dict.fromkeys((".sqlite", ".sqlite3", ".db", ".duckdb"), f"a database; {_EXPORT}"),
    **dict.fromkeys((".yaml", ".yml", ".xml", ".toml"), f"an unsupported file; {_EXPORT}"),
    **{
        f"{suffix}{packed}": f"packed in an unsupported way; {UNPACK}"
        for suffix in _TEXT
        for packed in (".xz", ".bz2", ".zip", ".7z", ".lz4")
    },
    f"{_PARQUET}.gz": "Parquet packed once more; unpack it",
    f"{_PARQUET}.zst": "Parquet packed once more; unpack it",
}
_ENDINGS = (*_SUFFIXES, *_REFUSED)


def is_table(name: str) -> bool:
    """Whether a file or an object of this name, given to a command, is a manifest.

    Unsupported formats are manifests too, which `Table.clips` refuses by name.
    """
    return name.lower().endswith(_ENDINGS)


def is_listed_table(name: str) -> bool:
    """Whether a file or an object of this name is a manifest if a pattern finds it."""
    low = name.lower()
    return low.endswith(_SUFFIXES) and PurePath(_unpacked(low)).suffix not in _NOT_LISTED


def _unpacked(name: str) -> str:
    for suffix in _PACKED:
        name = name.removesuffix(suffix)
    return name


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
        """The clips that it names, one row in memory at a time.

        A wrong row is a problem that names it, and the rest goes on. Raises `UsageError` if the
        whole cannot be read, or if no column names clips.
        """
        yield from self._translate_errors(self._clips)

    def listed(self) -> Iterator[ManifestLine]:
        """The clips of a list: one a line, or a line of JSON if it begins with a brace.

        Raises `UsageError` if the whole cannot be read.
        """
        yield from self._translate_errors(
            lambda: self._listed(open_text(self.file, self.name, self._note))
        )

    def _translate_errors(
        self, read: Callable[[], Iterator[ManifestLine]]
    ) -> Iterator[ManifestLine]:
        try:
            yield from read()
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UsageError(f"{self.name}: it cannot be unpacked ({error})") from None
        except UsageError as error:
            raise UsageError(f"{self.name}: {error}") from None

    def _clips(self) -> Iterator[ManifestLine]:
        low = self.name.lower()
        for suffix, what in _REFUSED.items():
            if low.endswith(suffix):
                raise UsageError(f"it is {what}")
        if low.endswith(_PARQUET):
            rows = parquet_rows(
                self.file,
                self.rows.check_columns,
                self._fault("row"),
                memory_bytes=self.memory_bytes,
            )
            return self._each(rows, "row")
        text = open_text(self.file, self.name, self._note)
        kind = PurePath(_unpacked(low)).suffix
        if kind in _JSON or (kind not in _DELIMITERS and _opens_json(text)):
            return self._json(text)
        if kind in _DELIMITERS or names_columns(text, self.rows):
            rows = csv_rows(text, _DELIMITERS.get(kind, "\t"), self.rows, self._fault("line"))
            return self._each(rows, "line")
        return self._listed(text)

    def _json(self, text: BufferedReader) -> Iterator[ManifestLine]:
        names_clips = self.rows.names_clips
        if is_one_value(text, names_clips):
            return self._each(element_rows(text, names_clips, self._fault("entry")), "entry")
        return self._each(json_rows(text, self._fault("line")), "line")

    def _listed(self, text: BufferedReader) -> Iterator[ManifestLine]:
        return self._each(list_rows(text, self._fault("line")), "line")

    def _each(self, rows: Iterable[Row], unit: str) -> Iterator[ManifestLine]:
        fault = self._fault(unit)
        for number, row in rows:
            self.problems.rows += 1
            try:
                yield self.rows.clip(row)
            except UsageError as error:
                self.problems.rows -= 1
                fault(number, error)

    def _fault(self, unit: str) -> Fault:
        def note(number: int, said: object) -> None:
            self.problems.rows += 1
            kind = said.kind if isinstance(said, ClipRefused) else str(said)
            kind = _NUMBERS.sub("#", kind)
            self.problems.add_row(self.name, unit, number, str(said), kind=kind)

        return note

    def _note(self, text: str) -> None:
        self.problems.note(f"{self.name}: {text}")


def _opens_json(text: BufferedReader) -> bool:
    return text.peek(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{")
