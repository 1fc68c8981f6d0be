"""The rows of a Parquet file as JSON values, from a process that reads it in bounded memory."""

import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from pydantic_core import from_json

from clipfleet.errors import UsageError
from clipfleet_producer.sources.manifests.parquet_reader import MAX_ROW_BYTES
from clipfleet_producer.sources.manifests.rows import Fault, Row

_LONGEST_LINE = MAX_ROW_BYTES + 1024  # with the row's number


def parquet_rows(
    file: IO[bytes],
    check_columns: Callable[[list[str]], None],
    fault: Fault,
    *,
    memory_bytes: int,
) -> Iterator[Row]:
    """(number from 1, row) of those that can be read, one in memory at a time.

    Empty cells, and NaN, which pandas writes for them, are absent. `memory_bytes` is what its
    reader may use (Linux). Raises `UsageError` without pyarrow, if the file is not Parquet, and if
    it takes more memory than that.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError("Parquet needs pyarrow: pip install 'clipfleet[tables]'")
    with _lines(file, memory_bytes) as lines:
        for line in lines:
            said = _value(line, memory_bytes)
            if isinstance(said, dict):
                if "error" in said:
                    raise UsageError(str(said["error"]))
                if "end" in said:
                    return
                check_columns(said["columns"])
                continue
            number, row = said
            if isinstance(row, dict):
                yield number, row
            else:
                fault(number, row)
    raise UsageError(_too_much(memory_bytes))


def _value(line: bytes, memory_bytes: int) -> Any:
    try:
        return from_json(line)
    except ValueError:  # cut off
        raise UsageError(_too_much(memory_bytes)) from None


def _too_much(memory_bytes: int) -> str:
    return (
        "its reader failed; it may take more memory than the "
        f"{memory_bytes // 2**20} MiB of the setting manifest_memory_bytes, or be damaged"
    )


@contextmanager
def _lines(file: IO[bytes], memory_bytes: int) -> Iterator[Iterator[bytes]]:
    """The reader's lines about the file. The reader ends with the block."""
    # -P: the current folder is untrusted; no module is loaded from it.
    command = [
        sys.executable,
        "-P",
        "-m",
        "clipfleet_producer.sources.manifests.parquet_reader",
        str(memory_bytes),
    ]
    with _on_disk(file) as found:
        reader = subprocess.Popen(
            command,
            stdin=found,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is for the parent
        )
        with reader:
            assert reader.stdout is not None
            said = reader.stdout
            try:
                yield iter(lambda: said.readline(_LONGEST_LINE), b"")
            finally:
                reader.kill()


@contextmanager
def _on_disk(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """The file itself, or a copy on disk of one in memory."""
    try:
        os.lseek(file.fileno(), 0, os.SEEK_SET)
    except io.UnsupportedOperation:
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(file, copy)
            copy.flush()
            copy.seek(0)
            yield copy
        return
    yield file
