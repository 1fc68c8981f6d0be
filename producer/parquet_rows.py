"""The rows of a Parquet file as JSON values, through pyarrow."""

import datetime as dt
import math
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import IO, Any

from clipfleet.errors import UsageError
from producer.addresses import ClipRefused
from producer.problems import short
from producer.rows import Fault, Row

_BATCH_ROWS = 4096
_BATCH_BYTES = 16 * 2**20


def parquet_rows(
    file: IO[bytes], check_columns: Callable[[list[str]], None], fault: Fault
) -> Iterator[Row]:
    """(number from 1, row) of those that can be read, a batch in memory at a time.

    An empty cell, and NaN, which is how pandas writes one, is absent. Raises `UsageError` without
    pyarrow, and where the file is none of Parquet.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError("Parquet needs pyarrow: pip install 'clipfleet[tables]'") from None
    try:
        table = pyarrow.parquet.ParquetFile(file, pre_buffer=False, buffer_size=2**20)
        names = list(table.schema_arrow.names)
        check_columns(names)
        number = 0
        for batch in table.iter_batches(_batch_rows(table.metadata), use_threads=False):
            for values in _values(batch, pyarrow):
                number += 1
                try:
                    yield number, _row(values)
                except ClipRefused as error:
                    fault(number, error)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise UsageError(f"it cannot be read as Parquet ({short(error, 200)})") from None


def _batch_rows(metadata: Any) -> int:
    """How many rows to take at once: fewer where they are long."""
    groups = (metadata.row_group(place) for place in range(metadata.num_row_groups))
    longest = max((group.total_byte_size // max(1, group.num_rows) for group in groups), default=0)
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, longest)))


def _values(batch: Any, pyarrow: Any) -> Iterator[dict[str, Any] | Exception]:
    """Each row's values as Python has them, or why it has no such values."""
    batch = _whole_microseconds(batch, pyarrow)
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError, pyarrow.ArrowException):  # such as a day in the year 20000
        for place in range(batch.num_rows):
            try:
                yield from batch.slice(place, 1).to_pylist()
            except (ValueError, OverflowError, pyarrow.ArrowException) as error:
                yield error


def _whole_microseconds(batch: Any, pyarrow: Any) -> Any:
    """The batch with times in nanoseconds cut to microseconds, all that Python's have."""
    for place, field in enumerate(batch.schema):
        kind = field.type
        if pyarrow.types.is_timestamp(kind) and kind.unit == "ns":
            wanted = pyarrow.timestamp("us", kind.tz)
        elif pyarrow.types.is_time64(kind) and kind.unit == "ns":
            wanted = pyarrow.time64("us")
        elif pyarrow.types.is_duration(kind) and kind.unit == "ns":
            wanted = pyarrow.duration("us")
        else:
            continue
        cut = batch.column(place).cast(wanted, safe=False)
        batch = batch.set_column(place, field.with_type(wanted), cut)
    return batch


def _row(values: dict[str, Any] | Exception) -> dict[str, Any]:
    if isinstance(values, Exception):
        raise ClipRefused(f"it holds what cannot be read ({short(values)})")
    row = {}
    for name, value in values.items():
        if not name or value is None or value == "" or (type(value) is float and math.isnan(value)):
            continue
        try:
            row[name] = _json(value)
        except ClipRefused as error:
            raise ClipRefused(f"its {short(name, 60)} {error}") from None
    return row


def _json(value: Any) -> Any:
    """The value as JSON has it."""
    kind = type(value)
    if value is None or kind in (str, int, float, bool):
        return value
    if isinstance(value, list | tuple):
        return [_json(each) for each in value]
    if isinstance(value, dict):
        return {str(name): _json(each) for name, each in value.items()}
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, bytes):
        raise ClipRefused("holds bytes, which JSON cannot; write them as text, such as base64")
    raise ClipRefused(f"holds a {kind.__name__}, which JSON cannot")


def _number(value: Decimal) -> int | float | str:
    """A whole number, a fraction that a float says exactly as it stands, or else its digits."""
    if not value.is_finite():
        return str(value)
    if value == value.to_integral_value() and abs(value) < 2**63:
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)
