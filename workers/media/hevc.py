"""Packets of HEVC (ITU-T H.265): their slices' headers and parameter sets, of the base layer."""

from collections.abc import Iterator

from workers.media.bits import Bits, Unknown, unescaped
from workers.media.kind import Held, Kind
from workers.media.nal import MOST_BYTES, Messages, Units, by_start_code, counted

_HEAD_BYTES = 32  # no slice header that is read here is longer
_BLA, _IDR, _CRA = frozenset({16, 17, 18}), frozenset({19, 20}), 21
_VPS, _SPS, _PPS = 32, 33, 34
_ENDS = frozenset({36, 37})  # of a sequence, of the stream
_MESSAGES = frozenset({39, 40})


class Hevc:
    """Reads packets that hold one picture."""

    def __init__(self) -> None:
        self._units, self._held = Units(21), Held()
        self._messages = Messages(self._held)
        self._sps: dict[int, bytes] = {}
        self._sps_of: dict[int, int] = {}  # by the number of picture parameters
        self._active: bytes | None = None
        self._ended = False

    def renew(self, extradata: bytes) -> None:
        """Parameter sets of an hvcC box, or after start codes."""
        try:
            boxed = self._units.set_form(extradata)
            for unit in _boxed(extradata) if boxed else by_start_code(extradata):
                if len(unit) > 2:
                    self._parameters(unit[0] >> 1 & 0x3F, unit)
        except Unknown:
            pass

    def read(self, data: bytes) -> Kind:
        """7.4.2.2: nal_unit_type and TemporalId; 7.3.6.1 of the first slice."""
        try:
            return self._kind(data)
        except Unknown:
            return Kind(sets=True)

    def _kind(self, data: bytes) -> Kind:
        starts = sets = referenced = unsure = ends = known = False
        layer = pictures = 0
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
                # Even types below 16 are pictures that their sub-layer's others never lean on.
                referenced |= kind > 15 or kind % 2 == 1
                if unit[2] & 0x80 or not pictures:
                    pictures += 1
                    if 16 <= kind <= 23:
                        starts |= kind <= _CRA and pictures == 1
                        unsure |= self._begins_anew(kind, unit)
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
            return Kind(sets=True, hidden=True)
        return Kind(
            starts=starts,
            disposable=not referenced,
            layer=layer,
            sets=sets or self._messages.grain,
            unsure=unsure or pictures > 1,
        )

    def _begins_anew(self, kind: int, unit: bytes) -> bool:
        """Whether the decoder may give up frames at this picture: C.5.2.2, 8.1.3.

        Frames not yet shown, where the sequence's parameters change or the picture says so; those
        that lean across it, where it starts a sequence.
        """
        bits = Bits(unescaped(unit[2:_HEAD_BYTES]))
        bits.take()
        drops = bool(bits.take())
        number = self._sps_of.get(bits.golomb(), -1)
        if number not in self._sps:
            raise Unknown
        before, self._active = self._active, self._sps[number]
        ended, self._ended = self._ended, False
        if before is None:
            return False
        anew = ended or kind in _BLA or (drops and kind in _IDR)
        return anew or before != self._active

    def _parameters(self, kind: int, unit: bytes) -> bool:
        """Whether they change what is held. FFmpeg forgets what leans on changed ones."""
        if kind not in (_VPS, _SPS, _PPS):
            return False
        raw = unescaped(unit.rstrip(b"\0"))
        if unit[0] & 1 or unit[1] >> 3:  # of another layer
            return self._held.take((kind, raw[:3]), raw)
        bits = Bits(raw[2:], MOST_BYTES)
        if kind == _VPS:
            changes = self._held.take(("vps", bits.take(4)), raw)
            if changes:
                self._held.drop("sps", "pps")
        elif kind == _SPS:
            number = _sps_number(bits)
            changes = self._held.take(("sps", number), raw)
            self._sps[number] = raw
            if changes:
                self._held.drop("pps")
        else:
            number = bits.golomb()
            self._sps_of[number] = bits.golomb()
            changes = self._held.take(("pps", number), raw)
        return changes


def _sps_number(bits: Bits) -> int:
    """7.3.2.2.1, past profile_tier_level (7.3.3)."""
    bits.take(4)
    sub_layers = bits.take(3)
    bits.take(1 + 96)
    present = [(bits.take(), bits.take()) for _ in range(sub_layers)]
    if sub_layers:
        bits.take(2 * (8 - sub_layers))
    for profile, level in present:
        bits.take(88 * profile + 8 * level)
    return bits.golomb()


def _boxed(extradata: bytes) -> Iterator[bytes]:
    """The units of an hvcC box (ISO/IEC 14496-15, 8.3.3.1)."""
    at = 23
    for _ in range(extradata[22] if len(extradata) > 22 else 0):
        if at + 3 > len(extradata):
            raise Unknown
        units, at = counted(extradata, at + 3, int.from_bytes(extradata[at + 1 : at + 3]))
        yield from units
