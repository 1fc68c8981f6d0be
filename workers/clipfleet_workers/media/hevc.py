"""Packets of HEVC (ITU-T H.265): their slices' headers and parameter sets, of the base layer."""

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from clipfleet_workers.media.bits import Bits, Unknown, unescaped
from clipfleet_workers.media.hevc_references import References, Sets, of_slice, read_sets
from clipfleet_workers.media.kind import Held, Kind, Order
from clipfleet_workers.media.nal import MOST_BYTES, Messages, Units, counted

_HEAD_BYTES = 128  # no slice header that is read here is longer
_BLA, _IDR, _CRA = frozenset({16, 17, 18}), frozenset({19, 20}), 21
_IRAP = frozenset(range(16, 24))  # intra random access points, some of them reserved: 7.4.2.2
_VPS, _SPS, _PPS = 32, 33, 34
_MOST_SPS, _MOST_PPS = 16, 64  # 7.4.3.2.1 and 7.4.3.3.1; decoders refuse higher numbers
_ENDS = frozenset({36, 37})  # of a sequence, of the stream
_MESSAGES = frozenset({39, 40})


class _Sps(NamedTuple):
    """`raw` is all of it; `order_length` that of the low bits of pictures' counts."""

    raw: bytes
    colour_planes: bool
    order_length: int
    references: Sets


class _Pps(NamedTuple):
    sps: int
    says_output: bool
    extra_bits: int


class _Slice(NamedTuple):
    """A picture's first slice. `order`: its count's low bits, 0 of an IDR picture."""

    sps: _Sps
    drops: bool
    shown: bool
    order: int
    references: References


class Hevc:
    """Reads packets of one picture."""

    def __init__(self) -> None:
        self._units, self._held = Units(21), Held()
        self._messages = Messages(self._held)
        self._sps: dict[int, _Sps] = {}
        self._pps: dict[int, _Pps] = {}
        self._active: bytes | None = None
        self._order = Order()
        self._came: set[tuple[int, int]] = set()  # pictures of the sequence
        self._ended = False

    def renew(self, extradata: bytes) -> None:
        """Parameter sets of an hvcC box, or after start codes."""
        with suppress(Unknown):
            for unit in self._units.renewed(extradata, _boxed):
                if len(unit) > 2:
                    self._parameters(unit[0] >> 1 & 0x3F, unit)

    def read(self, data: bytes) -> Kind:
        """7.4.2.2: nal_unit_type and TemporalId; 7.3.6.1 of the first slice."""
        try:
            return self._kind(data)
        except Unknown:
            return Kind(sets=True)

    def _kind(self, data: bytes) -> Kind:
        starts = sets = referenced = anew = unsure = ends = known = False
        layer = pictures = 0
        shown, order = True, None
        for unit in self._units.of(data):
            known |= len(unit) > 1
            if len(unit) < 3:
                ends |= len(unit) == 2 and unit[0] >> 1 & 0x3F in _ENDS
                continue
            if not unit[1] & 7:
                raise Unknown
            kind, of_layer = unit[0] >> 1 & 0x3F, (unit[0] & 1) << 5 | unit[1] >> 3
            if kind < 32:
                if of_layer:
                    continue  # another view: only the base is decoded
                layer = (unit[1] & 7) - 1
                # Even types below 16 are pictures that no other of their sub-layer references.
                referenced |= kind > 15 or kind % 2 == 1
                if unit[2] & 0x80:
                    pictures += 1
                    starts |= 16 <= kind <= _CRA and pictures == 1
                    shown, order, other, misses = self._picture(kind, unit, layer)
                    anew |= other and kind in _IRAP
                    unsure |= misses or (other and kind not in _IRAP)
                elif not pictures:
                    raise Unknown  # its first slice is lost
            elif kind in _ENDS:
                ends = True
            elif kind in _MESSAGES:
                sets |= self._messages.take(unit[2:])
            else:
                sets |= self._parameters(kind, unit)
        if not known:
            raise Unknown
        if ends:
            self._ended = sets = True
        if not pictures:
            return Kind(sets=True, hidden=True, empty=True)
        return Kind(
            starts=starts,
            disposable=not referenced,
            layer=layer,
            sets=sets or self._messages.grain,
            anew=anew,
            unsure=unsure or pictures > 1,
            hidden=not shown,
            order=order,
        )

    def _picture(
        self, kind: int, unit: bytes, layer: int
    ) -> tuple[bool, tuple[int, int], bool, bool]:
        """Of a picture's first slice: whether it is shown, its order, whether it begins anew, and
        whether it misses a reference.
        """
        head = self._slice(kind, unit)
        anew = self._begins_anew(kind, head)
        # Neither pictures of higher layers nor those that may be dropped: 8.3.1.
        counts = layer == 0 and not (6 <= kind <= 9 or (kind < 16 and kind % 2 == 0))
        order = self._order.of(head.order, head.sps.order_length, counts=counts)
        return head.shown, order, anew, self._misses_any(kind, head, order)

    def _slice(self, kind: int, unit: bytes) -> _Slice:
        """7.3.6.1, up to slice_pic_order_cnt_lsb."""
        bits = Bits(unescaped(unit[2:_HEAD_BYTES]))
        bits.take()
        drops = kind in _IRAP and bool(bits.take())
        pps = self._pps.get(bits.golomb())
        if pps is None or pps.sps not in self._sps:
            raise Unknown
        sps = self._sps[pps.sps]
        bits.take(pps.extra_bits)
        bits.golomb()
        shown = not pps.says_output or bool(bits.take())
        bits.take(2 * sps.colour_planes)
        order, references = 0, References()
        if kind not in _IDR:
            order = bits.take(sps.order_length)
            references = of_slice(bits, sps.references)
        return _Slice(sps, drops, shown, order, references)

    def _begins_anew(self, kind: int, picture: _Slice) -> bool:
        """Whether the decoder may drop frames at this picture: C.5.2.2, 8.1.3.

        Frames not yet shown, where the sequence's parameters change or the picture says so; those
        that reference pictures before it, where it starts a sequence; and the picture itself,
        where it comes without one.
        """
        before, ended = self._active, self._ended
        if before is None or kind in _IRAP:
            self._active, self._ended = picture.sps.raw, False
        if kind in _IDR or kind in _BLA or (ended and kind == _CRA):
            self._order.start()
        if before is None:
            return False
        anew = kind in _BLA or (ended and kind == _CRA) or (picture.drops and kind in _IDR)
        return anew or before != picture.sps.raw

    def _misses_any(self, kind: int, picture: _Slice, order: tuple[int, int]) -> bool:
        """Whether anything that the picture references is missing from its sequence."""
        sequence, count = order
        missing = {(sequence, count + distance) for distance in picture.references} - self._came
        if kind in _IDR or kind in _BLA:
            self._came.clear()
        self._came.add(order)
        return bool(missing) and kind not in _IRAP

    def _parameters(self, kind: int, unit: bytes) -> bool:
        """Whether they change the decoder's. FFmpeg drops what depends on changed ones."""
        if kind not in (_VPS, _SPS, _PPS):
            return False
        raw = unescaped(unit.rstrip(b"\0"))
        if unit[0] & 1 or unit[1] >> 3:  # of another layer
            return self._held.take("layer", (kind, raw[:3]), raw)
        bits = Bits(raw[2:], MOST_BYTES)
        if kind == _VPS:
            changes = self._held.take("vps", bits.take(4), raw)
            if changes:
                self._held.drop("sps", "pps")
        elif kind == _SPS:
            number, sps = _sps(bits, raw)
            if number >= _MOST_SPS:
                raise Unknown
            changes = self._held.take("sps", number, raw)
            self._sps[number] = sps
            if changes:
                self._held.drop("pps")
        else:
            number = bits.golomb()
            if number >= _MOST_PPS:
                raise Unknown
            of = bits.golomb()
            bits.take()
            self._pps[number] = _Pps(of, says_output=bool(bits.take()), extra_bits=bits.take(3))
            changes = self._held.take("pps", number, raw)
        return changes


def _sps(bits: Bits, raw: bytes) -> tuple[int, _Sps]:
    """Its number, and what is needed of it: 7.3.2.2.1, past profile_tier_level (7.3.3)."""
    bits.take(4)
    sub_layers = bits.take(3)
    bits.take(1 + 96)
    present = [(bits.take(), bits.take()) for _ in range(sub_layers)]
    if sub_layers:
        bits.take(2 * (8 - sub_layers))
    for profile, level in present:
        bits.take(88 * profile + 8 * level)
    number = bits.golomb()
    colour_planes = bits.golomb() == 3 and bool(bits.take())
    bits.golomb()
    bits.golomb()
    if bits.take():
        for _ in range(4):
            bits.golomb()
    bits.golomb()
    bits.golomb()
    order_length = bits.golomb() + 4
    return number, _Sps(raw, colour_planes, order_length, read_sets(bits, sub_layers))


def _boxed(extradata: bytes) -> Iterator[bytes]:
    """The units of an hvcC box (ISO/IEC 14496-15, 8.3.3.1)."""
    at = 23
    for _ in range(extradata[22] if len(extradata) > 22 else 0):
        if at + 3 > len(extradata):
            raise Unknown
        units, at = counted(extradata, at + 3, int.from_bytes(extradata[at + 1 : at + 3]))
        yield from units
