"""The rows of text files: lines of JSON, and CSV or TSV."""

import csv
from collections.abc import Callable, Iterator
from itertools import count
from typing import IO, Any

from pydantic_core import from_json

from producer.addresses import ClipRefused
from producer.problems import short
from producer.rows import Fault, Row

# A clip's metadata, a few prompts, all escaped: no honest line is as long.
MAX_LINE_BYTES = 2**20


def whole_lines(file: IO[bytes], fault: Fault) -> Iterator[tuple[int, bytes]]:
    """(number from 1, line) of those that are not too long."""
    for number in count(1):
        line = file.readline(MAX_LINE_BYTES + 1)
        if not line:
            return
        if len(line) > MAX_LINE_BYTES:
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE_BYTES)
            fault(number, f"it is longer than {MAX_LINE_BYTES // 1024} KiB")
            continue
        yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def json_rows(file: IO[bytes], fault: Fault) -> Iterator[Row]:
    for number, line in whole_lines(file, fault):
        if line.isspace():
            continue
        row = json_object(number, line, fault)
        if row is not None:
            yield number, row


def json_object(number: int, line: bytes, fault: Fault) -> dict[str, Any] | None:
    try:
        row = from_json(line, allow_inf_nan=False)
    except ValueError as error:
        said = str(error).replace(" at line 1 column", ", column")  # the line's number is another
        fault(number, f"not JSON: {short(said, 200)}")
        return None
    if not isinstance(row, dict):
        fault(number, 'no JSON object, such as {"clip": "a.mp4"}')
        return None
    return row


def csv_rows(
    file: IO[bytes], delimiter: str, check_columns: Callable[[list[str]], None], fault: Fault
) -> Iterator[Row]:
    number = pending_bytes = 0

    def texts() -> Iterator[str]:
        nonlocal number, pending_bytes
        for number, line in whole_lines(file, fault):
            # A row goes on over lines where a quote is open at the end of each, and for ever.
            pending_bytes += len(line)
            if pending_bytes > MAX_LINE_BYTES:
                raise ClipRefused(
                    f"a row that goes on to line {number} is longer than "
                    f"{MAX_LINE_BYTES // 1024} KiB; is a quote left open?"
                )
            if b"\0" in line:
                fault(number, "it holds a NUL character")
                continue
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                fault(number, f"not UTF-8 ({error.reason} at byte {error.start})")

    reader = csv.reader(texts(), delimiter=delimiter, strict=True)
    try:
        names = next(reader, [])
    except csv.Error as error:
        raise ClipRefused(f"its first line is no CSV ({error})") from None
    check_columns(names)
    while True:
        pending_bytes = 0
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fault(number, f"no CSV: {error}")
            continue
        if cells and len(cells) != len(names):
            fault(number, f"it has {len(cells)} cells, and the first line {len(names)}")
        elif any(cells):
            row = zip(names, cells, strict=True)
            yield number, {name: cell for name, cell in row if name and cell}
