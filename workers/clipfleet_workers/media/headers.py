"""What file formats' own headers say of video tracks, which PyAV does not pass on."""

from collections.abc import Callable, Sequence
from typing import BinaryIO

import av
from av.video.stream import VideoStream

from clipfleet.errors import ClipEncrypted
from clipfleet_workers.media import (
    asf_headers,
    flv_headers,
    matroska_headers,
    mp4_headers,
    program_stream,
    transport_stream,
)
from clipfleet_workers.media.track_header import TrackHeader

# By their first bytes; mp4, which may begin with any box, and transport streams have none.
_BY_START: dict[bytes, Callable[[BinaryIO], list[TrackHeader]]] = {
    b"\x1a\x45\xdf\xa3": matroska_headers.tracks,
    b"\x30\x26\xb2\x75": asf_headers.tracks,
    b"FLV": flv_headers.tracks,
    b"\0\0\1\xba": program_stream.tracks,
}


def read(file: BinaryIO) -> list[TrackHeader]:
    """The video tracks that the file's own headers list; empty if they say nothing relevant.

    Raises `ClipEncrypted` if all of them are encrypted.
    """
    found = _reader(file)(file)
    if found and all(track.encryption for track in found):
        raise ClipEncrypted(_message(found[0]))
    return found


def of(stream: VideoStream, place: int, tracks: Sequence[TrackHeader]) -> TrackHeader | None:
    """The header of a stream, the one at `place` among its file's video streams."""
    numbered = [track for track in tracks if track.number == stream.id]
    if len(numbered) == 1:
        return numbered[0]
    return tracks[place] if place < len(tracks) else None


def refuse_encrypted(track: TrackHeader | None) -> None:
    """Raises `ClipEncrypted` for an encrypted track."""
    if track is not None and track.encryption:
        raise ClipEncrypted(_message(track))


def refuse_encrypted_packet(packet: "av.Packet[VideoStream]") -> None:
    """Raises `ClipEncrypted` for a packet that FFmpeg could decrypt with a key."""
    if packet.has_sidedata("encryption_info"):
        raise ClipEncrypted("its packets are encrypted: decrypt it first")


def _message(track: TrackHeader) -> str:
    return f"its video is encrypted ({track.encryption}): decrypt it first"


def _reader(file: BinaryIO) -> Callable[[BinaryIO], list[TrackHeader]]:
    file.seek(0)
    start = file.read(4)
    by_start = (read for magic, read in _BY_START.items() if start.startswith(magic))
    return next(by_start, _mp4_or_transport_stream)


def _mp4_or_transport_stream(file: BinaryIO) -> list[TrackHeader]:
    return mp4_headers.tracks(file) or transport_stream.tracks(file)
