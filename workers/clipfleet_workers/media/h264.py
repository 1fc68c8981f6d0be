"""Packets of H.264 (ITU-T H.264): their slices' headers and parameter sets.

Parameter sets are kept by number, as decoders keep them: a repeated one changes nothing, and
picture parameters must come again after the sequence's have changed.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from clipfleet_workers.media.bits import Bits, Unknown, unescaped
from clipfleet_workers.media.kind import Held, Kind, Order
from clipfleet_workers.media.nal import MOST_BYTES, Messages, Units, counted

_BARE = (b"\x0a", b"\x0b")  # the ends of a sequence and of a stream have no content
_HEAD_BYTES = 64  # no slice header that is read here is longer
_MOST_SPS, _MOST_PPS = 32, 256  # 7.4.2.1.1 and 7.4.2.2; decoders refuse higher numbers


class _Sps(NamedTuple):
    """What is needed to read slice headers; lengths in bits. `shape`: what buffers depend on."""

    shape: bytes
    colour_planes: bool
    frame_num_length: int
    order_type: int
    order_length: int
    order_always_zero: bool
    frames_only: bool


class _Pps(NamedTuple):
    sps: int
    order_present: bool
    redundant: bool


class _Slice(NamedTuple):
    """`field`: None for a frame, else whether it is the bottom one. `order`: its count's low bits,
    None if they are not written."""

    field: bool | None
    frame_num: int
    sps: _Sps
    order: int | None
    drops: bool


class H264:
    """Reads packets of a frame, a field, or both fields of a frame."""

    def __init__(self) -> None:
        self._units, self._held = Units(4), Held()
        self._messages = Messages(self._held)
        self._sps: dict[int, _Sps] = {}
        self._pps: dict[int, _Pps] = {}
        self._active: bytes | None = None
        self._order = Order()
        self._last = 0  # frame_num of the last reference picture
        self._field: _Slice | None = None  # the first of a pair, its second not yet seen

    def renew(self, extradata: bytes) -> None:
        """Parameter sets of an avcC box, or after start codes."""
        with suppress(Unknown):
            for unit in self._units.renewed(extradata, _boxed):
                self._parameters(unit)

    def read(self, data: bytes) -> Kind:
        """7.4.1: nal_ref_idc and nal_unit_type; 7.3.3 of each picture's first slice."""
        try:
            return self._kind(data)
        except Unknown:
            self._field = None
            return Kind(sets=True)

    def _kind(self, data: bytes) -> Kind:
        starts = sets = referenced = known = False
        pictures: list[_Slice] = []
        for unit in self._units.of(data):
            known |= len(unit) > 1 or unit[:1] in _BARE
            if len(unit) < 2:
                continue
            kind = unit[0] & 0x1F
            if kind in (1, 5):
                referenced |= unit[0] & 0x60 != 0
                if unit[1] & 0x80 or not pictures:  # first_mb_in_slice is 0
                    starts |= kind == 5 and not pictures
                    pictures.append(self._slice(unit))
            elif kind in (2, 3, 4):
                raise Unknown  # data partitions
            elif kind == 6:
                sets |= self._messages.take(unit[1:])
            elif kind in (7, 8):
                sets |= self._parameters(unit)
        if not known:
            raise Unknown
        if not pictures:
            self._field = None
            return Kind(sets=True, hidden=True, empty=True)
        first = pictures[0]
        other = self._is_other(first.sps, starts=starts)
        anew, unsure = starts and (other or first.drops), other and not starts
        joins, alone = self._fields(pictures)
        if not joins:
            unsure |= self._misses_frames(first, starts=starts, referenced=referenced)
        return Kind(
            starts=starts and not joins,
            disposable=not referenced,
            sets=sets or self._messages.grain,
            anew=anew,
            unsure=unsure or alone,
            joins=joins,
            order=self._shown_at(first, starts=starts, referenced=referenced),
        )

    def _is_other(self, sps: _Sps, *, starts: bool) -> bool:
        """Whether the decoder starts anew, or could not because no sequence starts here."""
        before = self._active
        if starts or before is None:
            self._active = sps.shape
        return before is not None and before != sps.shape

    def _misses_frames(self, picture: _Slice, *, starts: bool, referenced: bool) -> bool:
        """Whether reference frames are missing before this one: 7.4.3, frame_num."""
        expected = 0 if starts else (self._last + 1) % (1 << picture.sps.frame_num_length)
        if referenced:
            self._last = picture.frame_num
        return picture.frame_num != expected

    def _shown_at(
        self, picture: _Slice, *, starts: bool, referenced: bool
    ) -> tuple[int, int] | None:
        if starts:
            self._order.start()
        if picture.order is None:
            return None
        return self._order.of(picture.order, picture.sps.order_length, counts=referenced)

    def _fields(self, pictures: list[_Slice]) -> tuple[bool, bool]:
        """Whether a packet is the second field of a pair; whether a field has no second one."""
        first, self._field = self._field, None
        if len(pictures) == 1 and pictures[0].field is not None:
            if first is not None and _is_pair(first, pictures[0]):
                return True, False
            self._field = pictures[0]
            return False, first is not None
        several = len(pictures) > 2 or (len(pictures) == 2 and not _is_pair(*pictures))
        return False, first is not None or several

    def _parameters(self, unit: bytes) -> bool:
        if len(unit) < 4 or unit[0] & 0x1F not in (7, 8):
            return True
        raw = unescaped(unit.rstrip(b"\0"))
        if unit[0] & 0x1F == 8:
            bits = Bits(raw[1:])
            number = bits.golomb()
            if number >= _MOST_PPS:
                raise Unknown
            self._pps[number] = _pps(bits)
            return self._held.take("pps", number, raw)
        number, sps = _sps(Bits(raw[1:], MOST_BYTES))
        if number >= _MOST_SPS:
            raise Unknown
        changes = self._held.take("sps", number, raw)
        if changes:
            self._held.drop("pps")
        self._sps[number] = sps
        return changes

    def _slice(self, unit: bytes) -> _Slice:
        bits = Bits(unescaped(unit[1:_HEAD_BYTES]))
        bits.golomb()
        bits.golomb()
        number = bits.golomb()
        if number not in self._pps or self._pps[number].sps not in self._sps:
            raise Unknown
        pps = self._pps[number]
        sps = self._sps[pps.sps]
        if sps.colour_planes:
            bits.take(2)
        frame_num = bits.take(sps.frame_num_length)
        is_field = not sps.frames_only and bool(bits.take())
        bottom = is_field and bool(bits.take())
        drops, order = False, None
        starts = unit[0] & 0x1F == 5
        if starts:
            bits.golomb()
        if sps.order_type == 0:
            order = bits.take(sps.order_length)
        if starts:
            deltas = sps.order_type == 0 or (sps.order_type == 1 and not sps.order_always_zero)
            for _ in range(deltas * ((sps.order_type == 1) + (pps.order_present and not is_field))):
                bits.golomb()
            if pps.redundant:
                bits.golomb()
            drops = bool(bits.take())  # no_output_of_prior_pics_flag
        return _Slice(
            field=bottom if is_field else None,
            frame_num=frame_num,
            sps=sps,
            order=order,
            drops=drops and self._active is not None,
        )


def _boxed(extradata: bytes) -> Iterator[bytes]:
    """The units of an avcC box (ISO/IEC 14496-15, 5.3.3.1)."""
    first, at = counted(extradata, 6, extradata[5] & 31 if extradata[5:] else 0)
    second, _ = counted(extradata, at + 1, extradata[at] if extradata[at:] else 0)
    return iter(first + second)


def _is_pair(first: _Slice, second: _Slice) -> bool:
    return (
        None not in (first.field, second.field)
        and first.field != second.field
        and first.frame_num == second.frame_num
    )


def _pps(bits: Bits) -> _Pps:
    """7.3.2.2, after its number."""
    sps = bits.golomb()
    bits.take()
    order_present = bool(bits.take())
    if bits.golomb():
        raise Unknown  # slice groups
    bits.golomb()
    bits.golomb()
    bits.take(3)
    for _ in range(3):
        bits.golomb()
    bits.take(2)
    return _Pps(sps=sps, order_present=order_present, redundant=bool(bits.take()))


# Profiles whose sequence parameters state chroma and depth, 7.3.2.1.1.
_HIGH = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})


def _sps(bits: Bits) -> tuple[int, _Sps]:
    """Its number, and what is needed of it: 7.3.2.1.1, and E.1.1 for how frames are reordered."""
    profile = bits.take(8)
    bits.take(16)
    number = bits.golomb()
    chroma, colour_planes, depth = 1, False, (0, 0)
    if profile in _HIGH:
        chroma = bits.golomb()
        colour_planes = chroma == 3 and bool(bits.take())
        depth = (bits.golomb(), bits.golomb())
        bits.take()
        if bits.take():
            for i in range(12 if chroma == 3 else 8):
                if bits.take():
                    _scaling_list(bits, 16 if i < 6 else 64)
    frame_num_length = bits.golomb() + 4
    order_type, order_length, always_zero = bits.golomb(), 0, False
    if order_type == 0:
        order_length = bits.golomb() + 4
    elif order_type == 1:
        always_zero = bool(bits.take())
        bits.golomb()
        bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    references = bits.golomb()
    bits.take()
    size = (bits.golomb(), bits.golomb())
    frames_only = bool(bits.take())
    if not frames_only:
        bits.take()
    bits.take()
    crop = [bits.golomb() for _ in range(4)] if bits.take() else []
    vui = _reordering(bits) if bits.take() else None
    shape = repr((profile, chroma, colour_planes, depth, references, size, frames_only, crop, vui))
    return number, _Sps(
        shape=shape.encode(),
        colour_planes=colour_planes,
        frame_num_length=frame_num_length,
        order_type=order_type,
        order_length=order_length,
        order_always_zero=always_zero,
        frames_only=frames_only,
    )


def _signed(code: int) -> int:
    return (code + 1) // 2 if code & 1 else -(code // 2)


def _scaling_list(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + _signed(bits.golomb())) % 256
        last = following or last


def _reordering(bits: Bits) -> tuple[int, ...]:
    """E.1.1: the shape of pixels, their range and matrix, and how many frames are reordered."""
    found = []
    if bits.take():
        found.append(bits.take(8))
        if found[-1] == 255:
            found.append(bits.take(32))
    if bits.take():
        bits.take()
    if bits.take():
        found.append(bits.take(4))
        if bits.take():
            found.append(bits.take(24))
    if bits.take():
        bits.golomb()
        bits.golomb()
    if bits.take():
        bits.take(65)
    hrd = 0
    for _ in range(2):
        if bits.take():
            hrd = 1
            count = bits.golomb() + 1
            bits.take(8)
            for _ in range(count):
                bits.golomb()
                bits.golomb()
                bits.take()
            bits.take(20)
    bits.take(1 + hrd)
    if bits.take():
        bits.take()
        found.extend(bits.golomb() for _ in range(6))
    return tuple(found)
