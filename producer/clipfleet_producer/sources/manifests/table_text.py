"""A manifest's bytes as UTF-8 text with LF line ends: decompressed and decoded, in pieces."""

import codecs
import gzip
import io
from collections.abc import Callable
from typing import IO, Any

from clipfleet.errors import UsageError

_PIECE_BYTES = 2**16
# What `zstd` decompresses by default, and `--long` compresses with.
_ZSTD_WINDOW_BYTES = 2**27
_ZSTD_PIECE_BYTES = 2**10  # four bytes may decompress to 128 KiB
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
UNPACK = "unpack it, or pack it with gzip or zstd"
# Longer than the formats' own marks, for PAR1.mp4 and BZhang.mp4 may be the first clip of a list.
_NO_TEXT = {
    b"PK\x03\x04": "a ZIP archive, as workbooks of Excel and LibreOffice are; export it as CSV",
    b"\xd0\xcf\x11\xe0": "a workbook of an old Excel; export it as CSV",
    b"PAR1\x15": "Parquet; name it .parquet",
    b"ARROW1\0\0": "an Arrow file; write it as Parquet or JSON lines",
    b"SQLite format 3": "a database of SQLite; export a table as CSV",
    **{b"BZh%d1AY&SY" % level: f"packed with bzip2; {UNPACK}" for level in range(1, 10)},
    b"\xfd7zXZ": f"packed with xz; {UNPACK}",
    b"7z\xbc\xaf": f"packed with 7-Zip; {UNPACK}",
    b"\x04\x22M\x18": f"packed with lz4; {UNPACK}",
}


def open_text(file: IO[bytes], name: str, note: Callable[[str], None]) -> io.BufferedReader:
    """The file's text from its start. `note` is told of decompression and decoding beyond its name.

    Raises `UsageError` if it is of a kind that cannot be read. Reading it may raise what
    `gzip`, `zstandard` and `zlib` raise, and `UsageError`.
    """
    reader = _buffered(file)
    head = _head(reader)
    low = name.lower()
    if head.startswith(_GZIP) or low.endswith(".gz"):
        if not low.endswith(".gz"):
            note("it is packed with gzip, whatever its name says, and is read unpacked")
        reader = io.BufferedReader(gzip.GzipFile(fileobj=reader), _PIECE_BYTES)
        head = _head(reader)
    elif head.startswith(_ZSTD) or low.endswith(".zst"):
        if not low.endswith(".zst"):
            note("it is packed with zstd, whatever its name says, and is read unpacked")
        reader = io.BufferedReader(_zstd(reader), _PIECE_BYTES)
        head = _head(reader)
    for start, what in _NO_TEXT.items():
        if head.startswith(start):
            raise UsageError(f"it is {what}")
    encoding, mark_bytes = _encoding(head)
    only_cr = b"\r" in head and b"\n" not in head and encoding is None
    if encoding is None and not only_cr:
        return reader
    if encoding is not None:
        note(f"it is read as {encoding.upper().removesuffix('-LE').removesuffix('-BE')}")
    reader.read(mark_bytes)
    return io.BufferedReader(_Recoded(reader, encoding or "utf-8"), _PIECE_BYTES)


def _buffered(file: IO[bytes]) -> io.BufferedReader:
    if isinstance(file, io.BufferedReader):
        return file
    return io.BufferedReader(_Unclosed(file), _PIECE_BYTES)


def _head(reader: io.BufferedReader) -> bytes:
    """A preview of what comes next."""
    return reader.peek(_PIECE_BYTES)[:_PIECE_BYTES]


def _zstd(reader: io.BufferedReader) -> io.RawIOBase:
    try:
        import zstandard
    except ImportError:
        raise UsageError("zstd needs zstandard: pip install 'clipfleet[tables]'") from None
    unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
    return _Zstd(reader, unpacker.decompressobj, zstandard.ZstdError)


def _encoding(head: bytes) -> tuple[str | None, int]:
    """(Python's name of the encoding, length of its byte order mark)."""
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding, len(mark)
    # Without a mark: the letters and delimiters that a manifest begins with have one byte of two.
    if len(head) >= 4 and head[0] and head[2] and head[1] == head[3] == 0:
        return "utf-16-le", 0
    if len(head) >= 4 and head[1] and head[3] and head[0] == head[2] == 0:
        return "utf-16-be", 0
    return None, 0


class _Raw(io.RawIOBase):
    """Reads in pieces; closing it does not close the file."""

    def __init__(self) -> None:
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        if not self._rest:
            self._rest = self._piece()
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def _piece(self) -> bytes:
        """Some bytes; none only at the end."""
        raise NotImplementedError


class _Unclosed(_Raw):
    """An unbuffered or in-memory file."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file

    def _piece(self) -> bytes:
        return self._file.read(_PIECE_BYTES)


class _Zstd(_Raw):
    """The text of zstd frames, one after the other. Its errors are `EOFError`, as gzip's are.

    Not zstandard's own reader, which silently ends at a truncated frame.
    """

    def __init__(
        self, file: IO[bytes], new_frame: Callable[[], Any], error: type[Exception]
    ) -> None:
        super().__init__()
        self._file, self._new_frame, self._error = file, new_frame, error
        self._frame: Any = None  # the one that has begun
        self._packed = b""

    def _piece(self) -> bytes:
        text = b""
        while not text:
            packed = self._packed or self._file.read(_ZSTD_PIECE_BYTES)
            if not packed:
                if self._frame is not None:
                    raise EOFError("its last frame is cut short")
                break
            if self._frame is None:
                self._frame = self._new_frame()
            try:
                text = self._frame.decompress(packed)
            except self._error as error:
                raise EOFError(str(error)) from None
            self._packed = self._frame.unused_data
            if self._frame.eof:
                self._frame = None
        return text


class _Recoded(_Raw):
    """Text of another encoding as UTF-8, with LF line ends.

    A lone surrogate becomes invalid UTF-8, so that only its line is a problem.
    """

    def __init__(self, file: IO[bytes], encoding: str) -> None:
        super().__init__()
        self._file, self._encoding = file, encoding
        errors = "surrogateescape" if encoding == "utf-8" else "surrogatepass"
        self._errors = errors
        inner = codecs.getincrementaldecoder(encoding)(errors=errors)
        self._decoder = io.IncrementalNewlineDecoder(inner, translate=True)

    def _piece(self) -> bytes:
        text = ""
        while not text:
            piece = self._file.read(_PIECE_BYTES)
            try:
                text = self._decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as error:
                said = f"it is no {self._encoding.upper()}, as its start says ({error.reason})"
                raise UsageError(said) from None
            if not piece:
                break
        return text.encode(errors=self._errors)
