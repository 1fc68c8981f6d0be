"""The lines of text files, as they are and as JSON."""

from collections.abc import Iterator
from itertools import count
from typing import IO, Any

from pydantic_core import from_json

from clipfleet_producer.sources.manifests.rows import Fault, Row
from clipfleet_producer.sources.problems import short

# A clip's metadata and a few prompts, all escaped, are shorter.
MAX_LINE_BYTES = 2**20
NO_OBJECT = 'no JSON object, such as {"clip": "a.mp4"}'


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


def list_rows(file: IO[bytes], fault: Fault) -> Iterator[Row]:
    """A clip a line, by its name alone, or a line of JSON if it begins with a brace."""
    for number, line in whole_lines(file, fault):
        text = line.rstrip(b"\r\n")
        if text.startswith(b"{"):
            row = json_object(number, text, fault)
        else:  # file names need not be UTF-8
            row = {"clip": text.decode(errors="surrogateescape")} if text.strip() else None
        if row is not None:
            yield number, row


def json_object(number: int, line: bytes, fault: Fault) -> dict[str, Any] | None:
    try:
        found = from_json(line, allow_inf_nan=False)
    except ValueError as error:
        fault(number, no_json(line, error))
        return None
    if not isinstance(found, dict):
        fault(number, NO_OBJECT)
        return None
    return found


def no_json(data: bytes, error: ValueError) -> str:
    """Why data cannot be read as JSON."""
    try:
        data.decode()
    except UnicodeDecodeError as found:
        return f"not JSON: {no_utf8(data, found)}"
    said = str(error).replace(" at line 1 column", ", column")  # its line number is ours
    return f"not JSON: {short(said, 200)}"


def no_utf8(line: bytes, error: UnicodeDecodeError) -> str:
    place = error.start
    return f"it is not UTF-8 (0x{line[place]:02X} at byte {place + 1}); save the file as UTF-8"
