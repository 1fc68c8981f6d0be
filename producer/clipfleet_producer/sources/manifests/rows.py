"""One row of a manifest as a clip of the run: its address, span, own options and metadata."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic_core import to_json

from clipfleet import keys
from clipfleet.presigned import without_signatures_in
from clipfleet.records import ManifestLine
from clipfleet_producer.sources.manifests.columns import Columns, Reading
from clipfleet_producer.sources.manifests.spans import looks_like_span, read_span, split_span
from clipfleet_producer.sources.overrides import OptionOverrides
from clipfleet_producer.sources.problems import short
from clipfleet_producer.sources.uris import Address, Addresses, ClipRefused, with_address

Row = tuple[int, dict[str, Any]]  # its number from 1, and its values as JSON
Fault = Callable[[int, object], None]  # takes a row's number, and what is wrong with it

MAX_METADATA_BYTES = 16 * 1024
_MAX_NAME = 255
# Far less than readers of records accept, where it is nested some levels deeper.
_MAX_DEPTH = 32
# More than fit into the largest metadata.
_MAX_COLUMNS = 4096
_READINGS_KEPT = 64


class Rows:
    """Turns rows of one manifest into clips.

    `columns` are those that the command names, by role (`columns.read_said`); `note` is told how
    columns are read, if not by their documented names.
    """

    def __init__(
        self,
        addresses: Addresses,
        variants: OptionOverrides,
        *,
        columns: Mapping[str, str] | None = None,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._addresses, self._variants, self._note = addresses, variants, note
        self._columns = Columns(columns)
        self._table: Reading | None = None  # of all rows, if they share columns
        self._readings: dict[tuple[str, ...], Reading] = {}
        self.decimal_comma = False

    def check_columns(self, names: Iterable[str]) -> None:
        """Read the names of a table's columns. Raises `ClipRefused` if that is impossible."""
        names = [name for name in names if name]
        seen: set[str] = set()
        for name in names:
            if name in seen:
                raise ClipRefused(f"it has two columns {short(name, 60)}; rename one")
            seen.add(name)
        self._table = self._read(names)

    def names_clips(self, names: Iterable[str]) -> bool:
        """Whether a column of one of these names holds clips."""
        return self._columns.names_clips(names)

    def clip(self, row: dict[str, Any]) -> ManifestLine:
        """The clip that a row of JSON values names; consumes the row.

        Raises `UsageError` (or its subclass `ClipRefused`), without the row's number.
        """
        reading = self._table or self._readings.get(tuple(row)) or self._read_row(row)
        text = _take_name(row, reading.clips)
        found = self._find(text)
        span = self._take_span(row, reading)
        prompt = row.pop(reading.prompt, None) if reading.prompt is not None else None
        options = row.pop(reading.options, None) if reading.options is not None else None
        if row:
            check_metadata(row)
            _take_out_signatures(row)
        # Everything in it has been checked: validating it again would double the time of a line.
        line = ManifestLine.model_construct(
            clip_uuid=keys.clip_uuid(found.source, span),
            source=found.source,
            num_bytes=found.num_bytes,
            etag=None,
            mtime=found.mtime,
            span=span,
            options_hash=self._own_options(prompt, options),
            metadata=row,
            redo=False,
        )
        return with_address(line, text)

    def _read_row(self, row: dict[str, Any]) -> Reading:
        if len(row) > _MAX_COLUMNS:
            raise ClipRefused(f"it has {len(row):,} fields, over the limit of {_MAX_COLUMNS:,}")
        try:
            reading = self._read(row)
        except ClipRefused:  # empty fields cause no ambiguity
            return self._read([name for name, value in row.items() if value not in (None, "")])
        if len(self._readings) < _READINGS_KEPT and sum(map(len, row)) < 4096:
            self._readings[tuple(row)] = reading
        return reading

    def _read(self, names: Iterable[str]) -> Reading:
        reading = self._columns.read(names)
        for note in reading.notes:
            self._note(note)
        return reading

    def _find(self, text: str) -> Address:
        try:
            return self._addresses.find(text)
        except ClipRefused as error:
            why = str(error).removeprefix(f"{short(text)}: ")
            raise ClipRefused(str(error), kind=why) from None

    def _take_span(self, row: dict[str, Any], reading: Reading) -> tuple[float, float] | None:
        """(start, end) in seconds, removed from the row; None if it has none."""
        span = row.pop(reading.span, None) if reading.span else None
        start = row.pop(reading.start, None) if reading.start else None
        end = row.pop(reading.end, None) if reading.end else None
        duration = row.pop(reading.duration, None) if reading.duration else None
        if start in (None, "") and end in (None, ""):
            if span in (None, ""):
                return self._maybe_span(row, reading.maybe_spans)
            return split_span(span, decimal_comma=self.decimal_comma)
        if span not in (None, ""):
            raise ClipRefused(
                f"it has a {reading.span}, and {reading.start or 'start_s'} or "
                f"{reading.end or 'end_s'}; leave out one or the other"
            )
        try:
            return read_span(start, end, duration, decimal_comma=self.decimal_comma)
        except ClipRefused as error:
            names = reading.start, reading.end, reading.duration
            odd = [name for name in names if name not in (None, "start_s", "end_s")]
            remedy = f"; if {odd[0]} is none, say --column start_s=" if odd else ""
            raise ClipRefused(f"{error}{remedy}", kind=error.kind) from None

    def _maybe_span(
        self, row: dict[str, Any], names: tuple[str, ...]
    ) -> tuple[float, float] | None:
        for name in names:
            if looks_like_span(row.get(name)):
                self._note(f"column {short(name, 60)} is read as span, where it looks like one")
                try:
                    return split_span(row.pop(name), decimal_comma=self.decimal_comma)
                except ClipRefused as error:
                    remedy = f"; if {short(name, 60)} is none, say --column span="
                    raise ClipRefused(f"{error}{remedy}", kind=error.kind) from None
        return None

    def _own_options(self, prompt: Any, options: Any) -> str | None:
        prompt = None if prompt == "" else prompt
        if prompt is None and options in (None, "", {}):
            return None
        if not isinstance(prompt, str | None):
            raise ClipRefused(f"its prompt is not text but {short(prompt, 40)}")
        if not isinstance(options, dict | str | None):
            raise ClipRefused(f"its options are not a JSON object but {short(options, 40)}")
        return self._variants.hash_for(prompt, options)


def _take_name(row: dict[str, Any], names: Iterable[str]) -> str:
    """The clip's name in the first non-empty column, removed from the row."""
    for name in names:
        value = row.get(name)
        if value is not None and value != "":
            del row[name]
            return value if isinstance(value, str) else _one_name(name, value)
    raise ClipRefused(f"it names no clip: there is nothing in a column {_any_of(names)}")


def _any_of(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _one_name(column: str, value: Any) -> str:
    """The clip's name in a value that is not text: a list of one, or {"path": …}."""
    if isinstance(value, list):
        if len(value) == 1 and isinstance(value[0], str):
            return value[0]
        if len(value) != 1 and all(isinstance(each, str) for each in value):
            raise ClipRefused(
                f"its {short(column, 60)} names {len(value)} clips; give each a row of its own"
            )
    if isinstance(value, dict) and {"path", "bytes"} >= value.keys() and "path" in value:
        if value.get("bytes") is not None:
            raise ClipRefused(
                f"its {short(column, 60)} holds the video itself (bytes), not where it lies; write "
                "it to a file, and name that"
            )
        if isinstance(value["path"], str) and value["path"]:
            return value["path"]
    raise ClipRefused(f"its {short(column, 60)} is not text but {short(value, 40)}")


def check_metadata(metadata: dict[str, Any]) -> None:
    """Raises `ClipRefused` unless every reader of records can parse it."""
    for name, value in metadata.items():
        kind = type(value)
        if len(name) > _MAX_NAME:
            raise ClipRefused(f"the column {short(name, 60)} has a name of over 255 characters")
        if kind is str or kind is bool or value is None:
            continue
        fault = _fault(value, 1)
        if fault:
            raise ClipRefused(f"its {short(name, 60)} {fault}")
    size = len(to_json(metadata))
    if size > MAX_METADATA_BYTES:
        raise ClipRefused(
            f"its metadata takes {size:,} bytes as JSON, over the limit of {MAX_METADATA_BYTES:,}"
        )


def _take_out_signatures(row: dict[str, Any]) -> None:
    """Remove them from values, or they would get into records and exports."""
    for name, value in row.items():
        kind = type(value)
        if (kind is str and "://" in value) or kind is list or kind is dict:
            row[name] = without_signatures_in(value)


def _fault(value: Any, depth: int) -> str | None:
    """What some JSON reader would reject, if anything."""
    if isinstance(value, float):
        return None if math.isfinite(value) else f"is {value}, which is no number"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "is a number of over 64 bits; write it as text"
    if not isinstance(value, dict | list):
        return None
    if depth >= _MAX_DEPTH:
        return f"is nested over {_MAX_DEPTH} levels deep"
    inner = value.values() if isinstance(value, dict) else value
    faults = (_fault(each, depth + 1) for each in inner)
    return next((fault for fault in faults if fault), None)
