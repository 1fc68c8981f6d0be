"""A file as the tree that its container makes of it: boxes, elements or chunks in one another."""

from __future__ import annotations

import abc
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal


@dataclass
class Part:
    """A box, element or chunk.

    `content` is what stands before the `parts` in it; all that it holds, where there are none.
    `says` is the length in its header where that is a lie. What is no part has no name.
    """

    name: bytes
    content: bytes
    parts: list[Part] = field(default_factory=list)
    says: int | None = None


class Dialect(abc.ABC):
    """How one family of containers writes its parts."""

    order: Literal["big", "little"]
    counted = 0  # how many bytes of a header its length counts

    @abc.abstractmethod
    def read(self, data: bytes) -> list[Part]:
        """The parts in `data`, those that hold others read as well."""

    @abc.abstractmethod
    def header(self, name: bytes, length: int, says: int | None) -> bytes:
        """What stands before a part's content of `length` bytes."""

    def write(self, parts: list[Part]) -> bytes:
        """The bytes of these parts."""
        written = []
        for part in parts:
            inside = part.content + self.write(part.parts)
            head = self.header(part.name, len(inside), part.says) if part.name else b""
            written.append(head + inside + self._padding(len(inside)))
        return b"".join(written)

    def _padding(self, length: int) -> bytes:
        return b""


class Boxes(Dialect):
    """mp4 and mov (ISO/IEC 14496-12)."""

    order = "big"
    counted = 8

    # How many bytes of fields stand before the boxes in these.
    _HOLD = dict.fromkeys(
        (b"moov", b"trak", b"edts", b"mdia", b"minf", b"dinf", b"stbl", b"udta"), 0
    )
    _HOLD |= dict.fromkeys((b"mvex", b"moof", b"traf", b"mfra"), 0)
    _HOLD |= {b"meta": 4, b"dref": 8, b"stsd": 8}
    _HOLD |= dict.fromkeys((b"avc1", b"hev1", b"hvc1", b"av01", b"vp09", b"mp4v", b"s263"), 78)
    _HOLD |= dict.fromkeys((b"jpeg", b"apcn", b"png ", b"cvid"), 78)

    def read(self, data: bytes) -> list[Part]:
        parts, at = [], 0
        while at + 8 <= len(data):
            length, name, head = *struct.unpack_from(">I4s", data, at), 8
            if length == 1 and at + 16 <= len(data):
                length, head = struct.unpack_from(">Q", data, at + 8)[0], 16
            if length < head or at + length > len(data):
                break
            inside = data[at + head : at + length]
            before = self._HOLD.get(name, len(inside))
            parts.append(Part(name, inside[:before], self.read(inside[before:])))
            at += length
        return parts + ([Part(b"", data[at:])] if at < len(data) else [])

    def header(self, name: bytes, length: int, says: int | None) -> bytes:
        total = length + self.counted if says is None else says
        if total < 1 << 32:
            return struct.pack(">I", total) + name
        return struct.pack(">I", 1) + name + struct.pack(">Q", total % (1 << 64))


class Elements(Dialect):
    """Matroska and WebM (RFC 8794, RFC 9559)."""

    order = "big"

    _HOLD = frozenset(
        bytes.fromhex(name)
        for name in (
            *("1a45dfa3", "18538067", "114d9b74", "4dbb", "1549a966", "1654ae6b", "ae", "e0"),
            *("55b0", "55d0", "e1", "6d80", "6240", "5034", "1f43b675", "a0", "75a1", "a6"),
            *("1c53bb6b", "bb", "b7", "1254c367", "7373", "63c0", "67c8", "1941a469", "61a7"),
        )
    )

    def read(self, data: bytes) -> list[Part]:
        parts, at = [], 0
        while at < len(data) and data[at]:
            start = at + 9 - data[at].bit_length()
            name = data[at:start]
            if start >= len(data) or not data[start]:
                break
            octets = 9 - data[start].bit_length()
            length = int.from_bytes(data[start : start + octets]) & (1 << 7 * octets) - 1
            start += octets
            if length == (1 << 7 * octets) - 1:  # unknown: to the end
                length = len(data) - start
            if start + length > len(data):
                break
            inside = data[start : start + length]
            holds = name in self._HOLD
            parts.append(Part(name, b"" if holds else inside, self.read(inside) if holds else []))
            at = start + length
        return parts + ([Part(b"", data[at:])] if at < len(data) else [])

    def header(self, name: bytes, length: int, says: int | None) -> bytes:
        value = length if says is None else min(says, (1 << 56) - 1)
        octets = next(n for n in range(1, 9) if value < (1 << 7 * n) - 1 or n == 8)
        return name + (1 << 7 * octets | value).to_bytes(octets)


class Chunks(Dialect):
    """AVI (RIFF)."""

    order = "little"

    def read(self, data: bytes) -> list[Part]:
        parts, at = [], 0
        while at + 8 <= len(data):
            name, length = struct.unpack_from("<4sI", data, at)
            if at + 8 + length > len(data):
                break
            inside = data[at + 8 : at + 8 + length]
            before = 4 if name in (b"RIFF", b"LIST") else length
            parts.append(Part(name, inside[:before], self.read(inside[before:])))
            at += 8 + length + length % 2
        return parts + ([Part(b"", data[at:])] if at < len(data) else [])

    def header(self, name: bytes, length: int, says: int | None) -> bytes:
        return name + struct.pack("<I", (length if says is None else says) % (1 << 32))

    def _padding(self, length: int) -> bytes:
        return bytes(length % 2)


def every(parts: list[Part]) -> list[Part]:
    """Every part of the tree."""
    return [siblings[place] for siblings, place in walk(parts)]


def walk(parts: list[Part]) -> Iterator[tuple[list[Part], int]]:
    """Every part of the tree: the list in which it stands, and its place there."""
    for place, part in enumerate(parts):
        yield parts, place
        yield from walk(part.parts)
