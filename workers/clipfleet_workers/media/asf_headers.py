"""Video tracks by an ASF (WMV) file's own headers (the ASF specification, 3.2, 3.14 to 3.15)."""

import uuid
from collections.abc import Iterator
from typing import BinaryIO

from clipfleet_workers.media.track_header import TrackHeader

_HEADER_BYTES = 30
_MOST_BYTES = 1 << 20


def _guid(text: str) -> bytes:
    return uuid.UUID(text).bytes_le


_STREAM = _guid("B7DC0791-A9B7-11CF-8EE6-00C00C205365")
_VIDEO = _guid("BC19EFC0-5B4D-11CF-A8FD-00805F5C442B")
_EXTENSION = _guid("5FBF03B5-A92E-11CF-8EE3-00C00C205365")
_ENCRYPTION = {
    _guid("2211B3FB-BD23-11D2-B4B7-00A0C955FC6E"),  # Content Encryption
    _guid("298AE614-2622-4C17-B935-DAE07EE9289C"),  # Extended Content Encryption
    _guid("43058533-6981-49E6-9B74-AD12CB86D58C"),  # Advanced Content Encryption
}
_EXTENSION_BYTES = 22  # before the objects in it
_ENCRYPTED = 0x8000


def tracks(file: BinaryIO) -> list[TrackHeader]:
    """The video tracks; `number` is the stream's. Encrypted: those flagged, or all if none is."""
    file.seek(0)
    head = file.read(_HEADER_BYTES)
    data = file.read(min(max(int.from_bytes(head[16:24], "little") - len(head), 0), _MOST_BYTES))
    objects = list(_objects(data))
    for kind, body in objects[:]:
        if kind == _EXTENSION:
            objects += _objects(body[_EXTENSION_BYTES:])
    protected = any(kind in _ENCRYPTION for kind, _ in objects)
    flags = {}  # of each stream: whether it is video
    for kind, body in objects:
        if kind == _STREAM and len(body) >= 50:
            flags[int.from_bytes(body[48:50], "little")] = body[:16] == _VIDEO
    some_flagged = any(flag & _ENCRYPTED for flag in flags)
    return [
        TrackHeader(
            number=flag & 0x7F,
            encryption="Windows Media DRM"
            if flag & _ENCRYPTED or (protected and not some_flagged)
            else "",
        )
        for flag, is_video in flags.items()
        if is_video
    ]


def _objects(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each object's kind and content."""
    at = 0
    while at + 24 <= len(data):
        size = int.from_bytes(data[at + 16 : at + 24], "little")
        if size < 24:
            return
        yield data[at : at + 16], data[at + 24 : at + size]
        at += size
