"""Packets of MPEG-1 and MPEG-2 video, and of MPEG-4 part 2: their headers."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from clipfleet_workers.media.bits import Bits, Unknown
from clipfleet_workers.media.kind import Held, Kind

_PICTURE, _SEQUENCE, _EXTENSION = 0x00, 0xB3, 0xB5
_MPEG2_CODES = re.compile(b"\0\0\1[\0\xb3\xb5]")
_OF_SEQUENCE, _DISPLAY, _MATRICES, _OF_PICTURE = 1, 2, 3, 8  # extensions, 6.3.4
_FRAME = 3  # picture_structure; else a top or bottom field
_MOST_BYTES = 512


class _Anchors:
    """The order in which pictures are shown: B pictures before the last reference picture."""

    def __init__(self) -> None:
        self._anchors = self._between = 0

    @property
    def both(self) -> bool:
        """Whether there are two for a B picture to reference."""
        return self._anchors > 1

    def of(self, *, references_both_ways: bool) -> tuple[int, int]:
        """Of the next picture."""
        if references_both_ways:
            self._between += 1
            return 2 * self._anchors, self._between
        self._anchors, self._between = self._anchors + 1, 0
        return 2 * self._anchors + 1, 0


class Mpeg2:
    """Reads packets of a frame, a field, or both fields of a frame (ISO/IEC 13818-2, 6.2)."""

    def __init__(self) -> None:
        self._state: dict[int, bytes] = {}  # the sequence's current header and extensions
        self._anchors = _Anchors()
        self._began = False  # whether any picture has come
        self._half = False  # whether a field waits for its second
        self._strange = False  # whether a picture contradicts its sequence

    def renew(self, extradata: bytes) -> None:
        """The sequence's header and extensions. FFmpeg reads them at the beginning alone."""
        if not self._began:
            self._headers(extradata)

    def read(self, data: bytes) -> Kind:
        """6.3.9: picture_coding_type, 1 for I and 3 for B; 6.3.10: picture_structure."""
        before = dict(self._state)
        pictures = self._headers(data)
        sets = self._state != before
        if not pictures:
            return Kind(sets=True, hidden=True, empty=True, anew=self._began)
        anew = self._began and _shape(self._state) != _shape(before)
        self._began = True
        unsure = self._strange
        half, self._half = self._half, False
        joins = False
        fields = [structure != _FRAME for _, structure in pictures]
        if fields == [True]:
            joins, self._half = half, not half
        else:
            unsure |= half or fields not in ([False], [True, True])
        kinds = [kind for kind, _ in pictures]
        disposable = set(kinds) == {3}
        return Kind(
            starts=kinds[0] == 1 and not joins,
            disposable=disposable,
            sets=sets,
            anew=anew,
            unsure=unsure,
            joins=joins,
            order=None if joins else self._anchors.of(references_both_ways=disposable),
        )

    def _is_progressive(self) -> bool:
        """Whether the sequence says that it has no fields."""
        extension = self._state.get(_OF_SEQUENCE, b"")
        return len(extension) > 1 and bool(extension[1] & 8)

    def _headers(self, data: bytes) -> list[tuple[int, int]]:
        """(type, structure) of each picture; updates the state."""
        pictures: list[tuple[int, int]] = []
        for code, content in _contents(_MPEG2_CODES, data):
            if code == _PICTURE and len(content) > 1:
                pictures.append((content[1] >> 3 & 7, _FRAME))
            elif code == _SEQUENCE:
                # Without matrices of its own it resets them to the default: 6.3.11.
                self._state = {_SEQUENCE: content}
            elif code == _EXTENSION and content:
                kind = content[0] >> 4
                if kind in (_OF_SEQUENCE, _DISPLAY, _MATRICES):
                    self._state[kind] = content
                elif kind == _OF_PICTURE and pictures and len(content) > 2:
                    pictures[-1] = (pictures[-1][0], content[2] & 3 or _FRAME)
                    in_frames = bool(content[4:] and content[4] & 0x80)  # progressive_frame
                    self._strange |= self._is_progressive() and not in_frames
        return pictures


def _shape(state: dict[int, bytes]) -> tuple[bytes, bytes]:
    """What makes FFmpeg start anew: sizes, pixel aspect ratio, rate, chroma, progression."""
    return state.get(_SEQUENCE, b"")[:4], state.get(_OF_SEQUENCE, b"")


def _contents(codes: re.Pattern[bytes], data: bytes) -> Iterator[tuple[int, bytes]]:
    """Each start code's last byte, and the first bytes of what follows it."""
    for found in codes.finditer(data):
        start = found.end()
        end = data.find(b"\0\0\1", start, start + _MOST_BYTES)
        yield data[start - 1], data[start : end if end >= 0 else start + _MOST_BYTES].rstrip(b"\0")


_VOP, _USER_DATA = 0xB6, 0xB2
_MPEG4_CODES = re.compile(b"\0\0\1[\x20-\x2f\xb0\xb2\xb5\xb6]")
# Names of encoders for which FFmpeg decodes differently.
_ENCODERS = (b"DivX", b"XviD", b"FFmpe", b"ffmpeg", b"Lavc")


class Mpeg4:
    """Reads packets of one plane (ISO/IEC 14496-2, 6.2.5), none, or in old AVI files two."""

    def __init__(self) -> None:
        self._held = Held()
        self._anchors = _Anchors()
        self._layer = _Layer()
        self._sets_fields = False
        self._began = self._packed = False

    def renew(self, extradata: bytes) -> None:
        """The headers of sequence, object and layer. FFmpeg reads them at the beginning alone."""
        if not self._began:
            self._headers(extradata)

    def read(self, data: bytes) -> Kind:
        """vop_coding_type, 0 for I and 2 for B, and vop_coded."""
        vops, sets, anew = self._headers(data)
        if not vops:
            return Kind(sets=True, hidden=True, empty=True)
        anew, self._began = anew and self._began, True
        kind, coded = vops[0][0] >> 6, self._is_coded(vops[0])
        if self._packed or len(vops) > 1:
            # The second is shown instead of the next packet's, and so on until one is empty.
            self._packed = len(vops) > 1 or coded
            return Kind(sets=True, anew=anew)
        if not coded:
            return Kind(sets=sets, anew=anew, hidden=True)
        if kind == 2:
            # FFmpeg takes the distance between fields from the first B plane after a header.
            sets, self._sets_fields = sets or self._sets_fields, False
        order = self._anchors.of(references_both_ways=kind == 2)
        return Kind(
            starts=kind == 0,
            disposable=kind == 2,
            sets=sets,
            anew=anew,
            unsure=kind == 2 and (self._layer.low_delay or not self._anchors.both),
            order=order,
        )

    def _headers(self, data: bytes) -> tuple[list[bytes], bool, bool]:
        """The planes' headers; whether any other header changes; whether the layer's does."""
        vops = []
        sets = anew = False
        for code, content in _contents(_MPEG4_CODES, data):
            if code == _VOP:
                vops.append(content or b"\0")
            elif code != _USER_DATA or content.startswith(_ENCODERS):
                changes = self._held.take("header", code, content)
                sets |= changes
                if 0x20 <= code < 0x30:
                    anew |= changes
                    self._layer = _layer(content)
                    self._sets_fields = self._layer.interlaced
        return vops, sets, anew

    def _is_coded(self, vop: bytes) -> bool:
        """Whether a plane is more than its time: 6.2.5."""
        if self._layer.time_bits is None:
            return True
        try:
            bits = Bits(vop)
            bits.take(2)
            while bits.take():
                pass
            bits.take(1 + self._layer.time_bits + 1)
            return bool(bits.take())
        except Unknown:
            return True


class _Layer(NamedTuple):
    """A layer's header: the length of a plane's time in bits, None if it cannot be read; whether
    there are fields; whether B planes are excluded."""

    time_bits: int | None = None
    interlaced: bool = True
    low_delay: bool = False


def _layer(header: bytes) -> _Layer:
    """6.2.3, as far as it is readable."""
    found = _Layer()
    try:
        bits = Bits(header)
        bits.take(9)
        version = 1
        if bits.take():
            version = bits.take(4)
            bits.take(3)
        if bits.take(4) == 15:
            bits.take(16)
        if bits.take():
            bits.take(2)
            found = found._replace(low_delay=bool(bits.take()))
            if bits.take():
                bits.take(79)
        shape = bits.take(2)
        if shape == 3 and version != 1:
            bits.take(4)
        bits.take()
        length = max(1, (bits.take(16) - 1).bit_length())
        found = found._replace(time_bits=length)
        bits.take()
        if bits.take():
            bits.take(length)
        bits.take(29 if shape == 0 else 0)
        return found._replace(interlaced=bool(bits.take()))
    except Unknown:
        return found
