"""Video tracks by an mp4's own headers (ISO/IEC 14496-12; 14496-12, 12.1.4 for `clap`; 23001-7)."""

import functools
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import BinaryIO

from clipfleet_workers.media import boxes
from clipfleet_workers.media.boxes import Box
from clipfleet_workers.media.cropping import Margins
from clipfleet_workers.media.dolby_vision import DolbyVision
from clipfleet_workers.media.track_header import TrackHeader

_ENTRY_BYTES = 78  # of a visual sample entry, before the boxes in it
_MOST_ENTRIES = 256
_ENCRYPTED = {b"encv": "Common Encryption", b"drmi": "FairPlay", b"drmv": "FairPlay"}
_SCHEMES = {b"cenc", b"cens", b"cbc1", b"cbcs", b"piff"}
# References of a track that only adds to another one: ISO/IEC 14496-12, 12.1.5; 14496-15.
_ADDS_TO = {b"auxl", b"vdep", b"vplx", b"sbas", b"scal"}
# Sample entries that only Dolby Vision players can show; what others can show is called hvc1.
_NAMED_AFTER = {
    b"dvh1": DolbyVision(profile=5, compatibility=0),
    b"dvhe": DolbyVision(profile=5, compatibility=0),
    b"dav1": DolbyVision(profile=10, compatibility=0),
}


def tracks(file: BinaryIO) -> list[TrackHeader]:
    """The video tracks, in file order."""
    movie = next((box for box in boxes.children(file) if box.name == b"moov"), None)
    if movie is None:
        return []
    in_fragments = functools.cache(lambda: _marked_in_fragments(file))
    found = []
    for track in boxes.children(file, movie.start, movie.end):
        media = boxes.find(file, track, b"mdia") if track.name == b"trak" else None
        if media is None:
            continue
        handler = boxes.content(file, boxes.find(file, media, b"hdlr"))[8:12]
        if handler in (b"vide", b"auxv"):
            auxiliary = handler == b"auxv"
            found.append(_track(file, track, media, in_fragments, auxiliary=auxiliary))
    return found


def _track(
    file: BinaryIO,
    track: Box,
    media: Box,
    in_fragments: Callable[[], set[int]],
    *,
    auxiliary: bool,
) -> TrackHeader:
    """`in_fragments` gives the tracks whose fragments mark samples as encrypted."""
    header = boxes.content(file, boxes.find(file, track, b"tkhd"))
    at = 20 if header[:1] == b"\1" else 12
    number = int.from_bytes(header[at : at + 4])
    references = boxes.find(file, track, b"tref")
    if references is not None:
        kinds = {box.name for box in boxes.children(file, references.start, references.end)}
        auxiliary |= bool(kinds & _ADDS_TO)
    table = boxes.find(file, media, b"minf", b"stbl")
    # Once for all entries and tracks: a file may have hundreds of each, and many fragments.
    overridden = functools.cache(
        lambda: (table and _marks_samples(file, table)) or number in in_fragments()
    )
    encryption, margins, dolby_vision, named = "", None, None, None
    for place, entry in enumerate(_entries(file, table)):
        named = named or _NAMED_AFTER.get(entry.name)
        encryption = encryption or _encryption(file, entry, overridden)
        if place == 0:
            margins = _margins(file, entry)
        for name in (b"dvcC", b"dvvC", b"dvwC"):
            record = boxes.content(file, _part(file, entry, name))
            dolby_vision = dolby_vision or DolbyVision.of(record)
    return TrackHeader(
        number=number,
        encryption=encryption,
        margins=margins,
        dolby_vision=dolby_vision or named,
        auxiliary=auxiliary,
    )


def _entries(file: BinaryIO, table: Box | None) -> Iterator[Box]:
    """The sample entries; the table's box begins with a version and a count."""
    described = boxes.find(file, table, b"stsd") if table else None
    if described is None:
        return
    for place, entry in enumerate(boxes.children(file, described.start + 8, described.end)):
        if place == _MOST_ENTRIES:
            return
        yield entry


def _part(file: BinaryIO, entry: Box, *path: bytes) -> Box | None:
    """A box inside a visual sample entry."""
    return boxes.find(file, entry._replace(start=entry.start + _ENTRY_BYTES), *path)


def _encryption(file: BinaryIO, entry: Box, overridden: Callable[[], bool]) -> str:
    """How the entry's samples are encrypted: "" if they are not, or if none is in fact.

    `overridden` gives whether single samples of the track are marked as encrypted.
    """
    if entry.name not in _ENCRYPTED:
        return ""
    named = _ENCRYPTED[entry.name]
    scheme = boxes.content(file, _part(file, entry, b"sinf", b"schm"))[4:8]
    if scheme in _SCHEMES:
        named = f"{named}, {scheme.decode()}"
    defaults = boxes.content(file, _part(file, entry, b"sinf", b"schi", b"tenc"))
    # ISO/IEC 23001-7, 8.2: default_isProtected, which groups of samples may override.
    if len(defaults) >= 8 and defaults[6] == 0 and not overridden():
        return ""
    return named


def _marked_in_fragments(file: BinaryIO) -> set[int]:
    """The numbers of tracks with a fragment that marks samples as encrypted."""
    marked = set()
    for outer in boxes.children(file):
        if outer.name != b"moof":
            continue
        for fragment in boxes.children(file, outer.start, outer.end):
            if fragment.name == b"traf" and _marks_samples(file, fragment):
                header = boxes.content(file, boxes.find(file, fragment, b"tfhd"))
                marked.add(int.from_bytes(header[4:8]))
    return marked


def _marks_samples(file: BinaryIO, inside: Box) -> bool:
    """Whether a table describes the encryption of single samples."""
    for box in boxes.children(file, inside.start, inside.end):
        if box.name in (b"senc", b"saiz"):
            return True
        if box.name == b"sgpd" and boxes.content(file, box)[4:8] == b"seig":
            return True
    return False


def _margins(file: BinaryIO, entry: Box) -> Margins | None:
    """The clean aperture: a part of the frame by its size and its offset from the centre."""
    record = boxes.content(file, _part(file, entry, b"clap"))
    size = boxes.content(file, entry)[24:28]
    if len(record) < 32 or len(size) < 4:
        return None
    numbers = struct.unpack(">8i", record[:32])
    width, height = struct.unpack(">HH", size)
    if not all(numbers[1::2]) or not width or not height:
        return None
    wide, high, across, down = (
        Fraction(n, d) for n, d in zip(numbers[::2], numbers[1::2], strict=True)
    )
    if wide <= 0 or high <= 0:
        return None
    # Where the part ends within a pixel, the whole pixel is kept.
    left, right = (int((width - wide) / 2 + side) for side in (across, -across))
    top, bottom = (int((height - high) / 2 + side) for side in (down, -down))
    return Margins(width=width, height=height, left=left, top=top, right=right, bottom=bottom)
