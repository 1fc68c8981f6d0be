"""Rows as Arrow batches and Parquet files; each field carries its column's description."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from clipfleet_producer.export.columns import Column, Kind, Row
from clipfleet_producer.export.libraries import load
from clipfleet_producer.export.schema import Per
from clipfleet_producer.export.target import Files

if TYPE_CHECKING:
    import pyarrow as pa

# Windows in a batch, and so in a Parquet file's row group: some 20 to 40 MB while it is made.
BATCH_WINDOWS = 8192


def arrow_schema(columns: tuple[Column, ...]) -> "pa.Schema":
    """The columns as an Arrow schema."""
    pa = load("pyarrow", needed_for="this format")
    return pa.schema([_field(column) for column in columns])


def batches(rows: Iterable[Row], schema: "pa.Schema", per: Per) -> "Iterator[pa.RecordBatch]":
    """The rows in batches of at least `BATCH_WINDOWS` windows; the last may have fewer."""
    pa = load("pyarrow", needed_for="this format")
    batch: list[Row] = []
    windows = 0
    for row in rows:
        batch.append(row)
        windows += 1 if per is Per.WINDOW else 1 + len(row["windows"])
        if windows >= BATCH_WINDOWS:
            yield pa.RecordBatch.from_pylist(batch, schema=schema)
            batch, windows = [], 0
    if batch:
        yield pa.RecordBatch.from_pylist(batch, schema=schema)


def parquet_files(folder: Path, columns: tuple[Column, ...], per: Per) -> Files:
    """Parts as Parquet files, compressed by zstd."""
    parquet = load("pyarrow.parquet", needed_for="the format parquet")
    schema = arrow_schema(columns)

    def write(file: BinaryIO, rows: Iterator[Row]) -> None:
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            for batch in batches(rows, schema, per):
                writer.write_batch(batch)

    return Files(folder, ".parquet", write)


def _field(column: Column) -> "pa.Field":
    import pyarrow as pa

    kind = column.kind
    if isinstance(kind, tuple):
        type_ = pa.list_(pa.struct([_field(inner) for inner in kind]))
    else:
        type_ = _types()[kind]
    return pa.field(column.name, type_, metadata={"description": column.description})


def _types() -> "dict[Kind, pa.DataType]":
    import pyarrow as pa

    return {
        Kind.TEXT: pa.string(),
        Kind.INTEGER: pa.int64(),
        Kind.NUMBER: pa.float64(),
        Kind.BOOL: pa.bool_(),
        Kind.TEXTS: pa.list_(pa.string()),
        Kind.INTEGERS: pa.list_(pa.int64()),
        Kind.NUMBERS: pa.list_(pa.float64()),
    }
