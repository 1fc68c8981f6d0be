"""A Parquet file's rows, as lines of JSON: `python -m` this module, `BYTES < FILE`.

A separate process, because some KiB of Parquet may unpack to GiB, and neither pyarrow nor any other
reader has a limit for that: this process's memory is limited to that many bytes. Lines are
`{"columns": […]}`, then `[number from 1, row]` or `[number, "what is wrong with it"]`, and at last
`{"end": true}`, or `{"error": "why it cannot be read"}`. Imports little: it starts for each file.
"""

import contextlib
import datetime as dt
import math
import os
import sys
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from pydantic_core import to_json

from clipfleet_producer.sources.problems import short

# As long as a line of JSON may be (`text_rows`).
MAX_ROW_BYTES = 2**20
_BATCH_ROWS = 4096
_BATCH_BYTES = 16 * 2**20


class _Unfit(ValueError):
    """A value or a row that JSON cannot represent, or that is too long; a file of such rows."""


def main() -> None:
    """Read the file on standard input."""
    memory_bytes = int(sys.argv[1])
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # other pools reserve memory, or keep it
    import pyarrow
    import pyarrow.parquet

    with os.fdopen(0, "rb") as file, os.fdopen(1, "wb", buffering=2**16) as out:
        try:
            _limit(memory_bytes)
            for line in _lines(file, pyarrow):
                out.write(line + b"\n")
            last: dict[str, Any] = {"end": True}
        except BrokenPipeError:
            os._exit(0)  # nobody wants the rest
        except MemoryError:
            most = f"{memory_bytes // 2**20} MiB"
            last = {"error": f"it takes more than {most} to read (setting manifest_memory_bytes)"}
        except _Unfit as error:
            last = {"error": str(error)}
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            last = {"error": f"it cannot be read as Parquet ({short(error, 200)})"}
        with contextlib.suppress(BrokenPipeError):
            out.write(to_json(last) + b"\n")
            out.flush()


def _limit(more_bytes: int) -> None:
    """Allow the process that much more memory than it has (Linux)."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmData:"):
                import resource

                most = int(line.split()[1]) * 1024 + more_bytes
                _, hard = resource.getrlimit(resource.RLIMIT_DATA)
                resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def _lines(file: IO[bytes], pyarrow: Any) -> Iterator[bytes]:
    table = pyarrow.parquet.ParquetFile(file, pre_buffer=False, buffer_size=2**20)
    yield to_json({"columns": list(table.schema_arrow.names)})
    number = 0
    for batch in table.iter_batches(_batch_rows(table.metadata), use_threads=False):
        for values in _values(batch, pyarrow):
            number += 1
            try:
                line = to_json((number, _row(values)), inf_nan_mode="constants")
                if len(line) > MAX_ROW_BYTES:
                    raise _Unfit(f"it is longer than {MAX_ROW_BYTES // 1024} KiB")
            except ValueError as error:
                line = to_json((number, str(error)))
            yield line


def _batch_rows(metadata: Any) -> int:
    """How many rows to read at once: fewer if they are long."""
    groups = (metadata.row_group(place) for place in range(metadata.num_row_groups))
    longest = max((group.total_byte_size // max(1, group.num_rows) for group in groups), default=0)
    if longest > MAX_ROW_BYTES:
        raise _Unfit(
            f"its rows take {longest // 2**20:,} MiB each, over the limit of "
            f"{MAX_ROW_BYTES // 2**20} MiB; where they hold videos, write those to files, and name "
            "them"
        )
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, longest)))


def _values(batch: Any, pyarrow: Any) -> Iterator[dict[str, Any] | Exception]:
    """Each row's values as Python objects, or why that is impossible."""
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
    """The batch with nanoseconds truncated to microseconds, Python's resolution."""
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
        raise _Unfit(f"it holds what cannot be read ({short(values)})")
    row = {}
    for name, value in values.items():
        if not name or value is None or value == "" or (type(value) is float and math.isnan(value)):
            continue
        try:
            row[name] = _json(value)
        except _Unfit as error:
            raise _Unfit(f"its {short(name, 60)} {error}") from None
        except RecursionError:
            raise _Unfit(f"its {short(name, 60)} is nested too deep") from None
    return row


def _json(value: Any) -> Any:
    """The value as JSON can represent it."""
    kind = type(value)
    if value is None or kind in (str, int, float, bool):
        return value
    if isinstance(value, list | tuple):
        return [_json(each) for each in value]
    if isinstance(value, dict):
        if "path" in value and isinstance(value.get("bytes"), bytes):  # as data sets embed files
            raise _Unfit(
                "holds the video itself (bytes), not its location; write it to a file, and name "
                "that"
            )
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
        raise _Unfit("holds bytes, which JSON cannot; write them as text, such as base64")
    raise _Unfit(f"holds a {kind.__name__}, which JSON cannot")


def _number(value: Decimal) -> int | float | str:
    """An integer, a float if that is exact, or else its digits as text."""
    if not value.is_finite():
        return str(value)
    if value == value.to_integral_value() and abs(value) < 2**63:
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)


if __name__ == "__main__":
    main()
