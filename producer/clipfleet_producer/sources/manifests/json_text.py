"""JSON of any size, value by value: where each begins and ends, without reading it as a whole."""

import re
from typing import IO

from clipfleet_producer.sources.manifests.text_rows import MAX_LINE_BYTES

_PIECE_BYTES = 2**16
# A whole text, what opens or closes, or the start of a text whose end is not there yet.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]|"', re.DOTALL)
_SCALAR = re.compile(rb'[^\s,\]}"\[{]*')
_SPACE = re.compile(rb"\s*")


class TooLong(ValueError):
    """A value is longer than a line of a manifest may be, or the file ends within it."""


class JsonText:
    """A file of JSON, of which at most a value and a piece are in memory.

    `line` is the number, from 1, of the next line, and `lead` the indentation of the last value
    that began a line.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._held, self._at, self._ended = b"", 0, False
        self.line, self.lead = 1, b""
        if self.peek(3) == b"\xef\xbb\xbf":
            self._at = 3

    def peek(self, count: int = 1) -> bytes:
        """The next bytes; fewer only at the end."""
        while len(self._held) - self._at < count and self._more():
            pass
        return self._held[self._at : self._at + count]

    def skip_space(self, more: bytes = b"") -> bytes:
        """Skip white space and the bytes `more`; returns the next byte, none at the end."""
        wanted = re.compile(rb"[\s" + re.escape(more) + rb"]*") if more else _SPACE
        while True:
            found = wanted.match(self._held, self._at)
            assert found is not None
            if b"\n" in found[0]:
                self.lead = found[0].rpartition(b"\n")[2]
            self._go(found.end())
            if self._at < len(self._held) or not self._more():
                return self.peek()

    def take(self) -> bytes:
        """The next byte."""
        byte = self.peek()
        self._go(self._at + 1)
        return byte

    def opens_with(self, byte: bytes) -> bool:
        """Whether the list that begins here has this as its first byte after white space."""
        self.peek(1024)
        return self._held[self._at + 1 :].lstrip().startswith(byte)

    def value(self) -> bytes:
        """The value that begins here. Raises `TooLong`, without moving on."""
        if self.peek() not in (b"{", b"[", b'"'):
            self.peek(1024)
            found = _SCALAR.match(self._held, self._at)
            assert found is not None
            end = max(found.end(), self._at + 1)
        else:
            end = self._end()
        text = self._held[self._at : end]
        self._go(end)
        return text

    def skip_to(self, start: bytes) -> bool:
        """Skip to the next line that begins so; whether there is one."""
        wanted = b"\n" + start
        while True:
            place = self._held.find(wanted, self._at)
            if place >= 0:
                self._go(place + 1)
                return True
            self._go(max(self._at, len(self._held) - len(wanted) + 1))
            if not self._more():
                self._go(len(self._held))
                return False

    def _end(self) -> int:
        """Where the text, object or list that begins here is closed. Raises `TooLong`."""
        depth, done = 0, 0  # offsets are from the value's start: the buffer may move
        while True:
            for token in _TOKEN.finditer(self._held, self._at + done):
                byte = token[0]
                if byte == b'"':
                    done = token.start() - self._at
                    break
                done = token.end() - self._at
                if done > MAX_LINE_BYTES:
                    raise TooLong
                depth += (byte in (b"{", b"[")) - (byte in (b"}", b"]"))
                if depth <= 0:
                    return token.end()
            else:
                done = len(self._held) - self._at
            if len(self._held) - self._at > MAX_LINE_BYTES or not self._more():
                raise TooLong

    def _more(self) -> bool:
        """Whether there was more to read; drops what was consumed."""
        piece = self._file.read(_PIECE_BYTES)
        self._held = self._held[self._at :] + piece
        self._at = 0
        return bool(piece)

    def _go(self, place: int) -> None:
        self.line += self._held.count(b"\n", self._at, place)
        self._at = place
