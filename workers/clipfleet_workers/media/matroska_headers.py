"""Video tracks by a Matroska or WebM file's own headers (RFC 9559, 5.1.4)."""

from typing import BinaryIO

from clipfleet.errors import ClipUnreadable
from clipfleet_workers.media import elements
from clipfleet_workers.media.cropping import Margins
from clipfleet_workers.media.dolby_vision import DolbyVision
from clipfleet_workers.media.elements import Element
from clipfleet_workers.media.track_header import TrackHeader

_SEGMENT, _TRACKS, _TRACK_ENTRY, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0
_TRACK_NUMBER, _TRACK_TYPE, _VIDEO_TYPE, _FLAG_ENABLED = 0xD7, 0x83, 1, 0xB9
_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xB0, 0xBA
_CROP_BOTTOM, _CROP_TOP, _CROP_LEFT, _CROP_RIGHT = 0x54AA, 0x54BB, 0x54CC, 0x54DD
_ENCODINGS, _ENCODING, _ENCODING_TYPE, _ENCRYPTION_TYPE = 0x6D80, 0x6240, 0x5033, 1
_ENCRYPTION, _ALGORITHM = 0x5035, 0x47E1
_ALGORITHMS = {1: "DES", 2: "triple DES", 3: "Twofish", 4: "Blowfish", 5: "AES"}
_SIGNED_ONLY = 0
_BLOCK_ADDITION, _ADDITION_TYPE, _ADDITION_DATA = 0x41E4, 0x41E7, 0x41ED
_DOLBY_VISION = {int.from_bytes(name) for name in (b"dvcC", b"dvvC", b"dvwC")}


def tracks(file: BinaryIO) -> list[TrackHeader]:
    """The video tracks, in file order.

    Raises `ClipUnreadable` for a crop that leaves nothing: FFmpeg opens no file that has one.
    """
    for segment in elements.children(file):
        if segment.name != _SEGMENT:
            continue
        for part in elements.children(file, segment.start, segment.end):
            if part.name == _TRACKS:
                entries = elements.children(file, part.start, part.end)
                found = [_track(file, each) for each in entries if each.name == _TRACK_ENTRY]
                return [track for track in found if track is not None]
    return []


def _track(file: BinaryIO, entry: Element) -> TrackHeader | None:
    number, kind, encryption, margins, dolby_vision, enabled = 0, 0, "", None, None, True
    for part in elements.children(file, entry.start, entry.end):
        if part.name == _TRACK_NUMBER:
            number = elements.number(file, part)
        elif part.name == _TRACK_TYPE:
            kind = elements.number(file, part)
        elif part.name == _FLAG_ENABLED:
            enabled = elements.number(file, part) != 0
        elif part.name == _VIDEO:
            margins = _margins(file, part)
        elif part.name == _ENCODINGS:
            encryption = _encryption(file, part)
        elif part.name == _BLOCK_ADDITION:
            dolby_vision = dolby_vision or _dolby_vision(file, part)
    if kind != _VIDEO_TYPE:
        return None
    return TrackHeader(
        number=number,
        encryption=encryption,
        margins=margins,
        dolby_vision=dolby_vision,
        enabled=enabled,
    )


def _margins(file: BinaryIO, video: Element) -> Margins:
    """The pixels to crop from each side of stored frames."""
    said = {
        part.name: elements.number(file, part)
        for part in elements.children(file, video.start, video.end)
    }
    margins = Margins(
        width=said.get(_PIXEL_WIDTH, 0),
        height=said.get(_PIXEL_HEIGHT, 0),
        left=said.get(_CROP_LEFT, 0),
        top=said.get(_CROP_TOP, 0),
        right=said.get(_CROP_RIGHT, 0),
        bottom=said.get(_CROP_BOTTOM, 0),
    )
    if margins.any and margins.left_of(margins.width, margins.height) is None:
        raise ClipUnreadable(
            f"its container says to crop it ({margins}), which leaves nothing: set its crop right, "
            "as mkvpropedit does"
        )
    return margins


def _encryption(file: BinaryIO, encodings: Element) -> str:
    """How frames are encrypted; stripped headers and zlib are encodings too, but no encryption."""
    for encoding in elements.children(file, encodings.start, encodings.end):
        if encoding.name != _ENCODING:
            continue
        parts = list(elements.children(file, encoding.start, encoding.end))
        kind = next((elements.number(file, part) for part in parts if part[0] == _ENCODING_TYPE), 0)
        if kind != _ENCRYPTION_TYPE:
            continue
        algorithm = None
        for part in parts:
            if part.name == _ENCRYPTION:
                for inner in elements.children(file, part.start, part.end):
                    if inner.name == _ALGORITHM:
                        algorithm = elements.number(file, inner)
        if algorithm != _SIGNED_ONLY:
            return f"ContentEncryption, {_ALGORITHMS.get(algorithm or -1, 'of an unnamed kind')}"
    return ""


def _dolby_vision(file: BinaryIO, mapping: Element) -> DolbyVision | None:
    kind, record = 0, b""
    for part in elements.children(file, mapping.start, mapping.end):
        if part.name == _ADDITION_TYPE:
            kind = elements.number(file, part)
        elif part.name == _ADDITION_DATA:
            record = elements.content(file, part)
    return DolbyVision.of(record) if kind in _DOLBY_VISION else None
