"""What an AV1 packet's own headers say of its frames (the AV1 specification, 5.3 to 5.9).

A frame that refreshes no slot leaves no state behind: its pixels, probabilities, motion vectors and
filter settings are all kept in the slots.
"""

from collections.abc import Iterator
from typing import NamedTuple

from clipfleet_workers.media.bits import Bits, Unknown
from clipfleet_workers.media.kind import Held, Kind, Order

_SEQUENCE, _FRAME_HEADER, _METADATA, _FRAME = 1, 3, 5, 6
# A delimiter, tiles, a repeated header, padding; neither lists of tiles nor reserved types.
_OTHERS = frozenset({2, 4, 7, 15})
_KEY, _INTRA_ONLY, _SWITCH = 0, 2, 3
_SLOTS, _ALL_SLOTS = 8, 0xFF
_MISSING = (-1, -1)
_FREE = 2  # SELECT_SCREEN_CONTENT_TOOLS, SELECT_INTEGER_MV: each frame has its own
_FLEETING = (b"\4", b"\5")  # metadata of one frame, ITU-T T.35 and timecodes; others last
_HEADER_BYTES = 64  # no header that is read here is longer


class _Sequence(NamedTuple):
    """What is needed to read frame headers; lengths in bits."""

    decoder_model: bool
    presentation_time_length: int  # 0 if frames have none
    removal_time_length: int  # 0 if frames have none
    frame_id_length: int
    screen_content_tools: int
    integer_mv: int
    order_hint_length: int


class _Frame(NamedTuple):
    """One frame header: whether its frame is shown, and is a key frame; which slots it refreshes.

    `order`: when it is shown, in low bits. `again`: the slot whose frame is shown now.
    """

    shown: bool
    key: bool
    refreshes: int
    order: int
    again: int | None = None


class Av1:
    """Reads a stream's packets in their order: each a temporal unit, which shows one frame."""

    def __init__(self) -> None:
        self._sequence: _Sequence | None = None
        self._held = Held()
        self._order = Order()
        self._slots: list[_Frame | None] = [None] * _SLOTS
        self._began = False

    def renew(self, extradata: bytes) -> None:
        """The units of an av1C box (version 1), or bare ones. Decoders read none later."""
        if self._began:
            return
        self.read(extradata[4:] if extradata[:1] == b"\x81" else extradata)

    def read(self, data: bytes) -> Kind:
        """What one packet's headers say. One that is not understood counts as needed later."""
        frames: list[_Frame] = []
        sets = lasts = False
        try:
            for kind, content in _units(data):
                if kind == _SEQUENCE:
                    sets |= self._held.take("sequence", 0, content)
                    self._sequence = None
                    self._sequence = _sequence(Bits(content))
                elif kind in (_FRAME_HEADER, _FRAME):
                    if self._sequence is None:
                        raise Unknown
                    frames.append(_frame(Bits(content), self._sequence))
                elif kind == _METADATA:
                    lasts |= content[:1] not in _FLEETING
                elif kind not in _OTHERS:
                    raise Unknown
        except Unknown:
            return Kind(sets=True)
        if not frames:
            return Kind(sets=True, hidden=True, empty=True)
        self._began = True
        assert self._sequence is not None
        length = self._sequence.order_hint_length
        first, orders = frames[0], [self._take(frame, length) for frame in frames]
        shown = sum(frame.shown for frame in frames)
        # A key frame that is shown again refreshes every slot.
        kept = any(frame.refreshes or frame.again is not None for frame in frames)
        return Kind(
            starts=shown == 1 and first.key and first.shown,
            disposable=not (sets or lasts or kept),
            sets=sets,
            unsure=shown > 1 or _MISSING in orders,
            hidden=shown == 0,
            order=orders[-1] if length and frames[-1].shown and orders[-1] != _MISSING else None,
        )

    def _take(self, frame: _Frame, length: int) -> tuple[int, int]:
        """Its place in display order; updates the slots."""
        again = self._slots[frame.again] if frame.again is not None else frame
        if again is None:
            return _MISSING
        refreshes = frame.refreshes
        if frame.again is not None and again.key:
            refreshes = _ALL_SLOTS
        if again.key and frame.shown:
            self._order.start()
        for slot in range(_SLOTS):
            if refreshes >> slot & 1:
                self._slots[slot] = again
        return self._order.of(again.order, length, counts=frame.shown)


def _units(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Each OBU's type and the first bytes of its content."""
    at = 0
    while at < len(data):
        head = data[at]
        at += 1
        if head & 0x80:
            raise Unknown
        if head & 4:
            if at >= len(data) or data[at] & 0x18:  # a spatial layer above the first
                raise Unknown
            at += 1
        size, at = _leb128(data, at) if head & 2 else (len(data) - at, at)
        if at + size > len(data):
            raise Unknown
        yield head >> 3 & 15, data[at : at + min(size, _HEADER_BYTES)]
        at += size


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """The value, and where it ends."""
    value = 0
    for i, byte in enumerate(data[at : at + 8]):
        value |= (byte & 0x7F) << 7 * i
        if not byte & 0x80:
            return value, at + i + 1
    raise Unknown


def _skip_variable(bits: Bits) -> None:
    """uvlc(), 4.10.3."""
    zeros = 0
    while not bits.take():
        zeros += 1
    bits.take(zeros if zeros < 32 else 0)


def _sequence(bits: Bits) -> _Sequence:
    """5.5.1. Stills, and streams of several operating points, are not read."""
    bits.take(3)  # the profile
    if bits.take(2):  # a still, its header reduced
        raise Unknown
    equal_interval = decoder_model = False
    delay_length = removal_time_length = presentation_time_length = 0
    if bits.take():
        bits.take(64)
        equal_interval = bool(bits.take())
        if equal_interval:
            _skip_variable(bits)
        decoder_model = bool(bits.take())
        if decoder_model:
            delay_length = bits.take(5) + 1
            bits.take(32)
            removal_time_length = bits.take(5) + 1
            presentation_time_length = bits.take(5) + 1
    display_delay = bits.take()
    if bits.take(5) or bits.take(12):  # more operating points; a choice of layers
        raise Unknown
    if bits.take(5) > 7:
        bits.take()
    if decoder_model and bits.take():
        bits.take(2 * delay_length + 1)
    else:
        removal_time_length = 0
    if display_delay and bits.take():
        bits.take(4)
    bits.take(bits.take(4) + bits.take(4) + 2)  # the largest width and height
    frame_id_length = bits.take(4) + bits.take(3) + 3 if bits.take() else 0
    bits.take(7)
    order_hints = bits.take()
    if order_hints:
        bits.take(2)
    screen_content_tools = _FREE if bits.take() else bits.take()
    integer_mv = _FREE if not screen_content_tools or bits.take() else bits.take()
    return _Sequence(
        decoder_model=decoder_model,
        presentation_time_length=0 if equal_interval else presentation_time_length,
        removal_time_length=removal_time_length,
        frame_id_length=frame_id_length,
        screen_content_tools=screen_content_tools,
        integer_mv=integer_mv,
        order_hint_length=bits.take(3) + 1 if order_hints else 0,
    )


def _frame(bits: Bits, sequence: _Sequence) -> _Frame:
    """5.9.2, up to refresh_frame_flags."""
    if bits.take():
        return _Frame(shown=True, key=False, refreshes=0, order=0, again=bits.take(3))
    kind, shown = bits.take(2), bool(bits.take())
    if shown:
        bits.take(sequence.presentation_time_length)
    else:
        bits.take()
    whole = kind == _SWITCH or (kind == _KEY and shown)
    error_resilient = whole or bool(bits.take())
    bits.take()
    tools = sequence.screen_content_tools
    if (bits.take() if tools == _FREE else tools) and sequence.integer_mv == _FREE:
        bits.take()
    bits.take(sequence.frame_id_length + (kind != _SWITCH))
    order = bits.take(sequence.order_hint_length)
    if kind not in (_KEY, _INTRA_ONLY) and not error_resilient:
        bits.take(3)
    if sequence.decoder_model and bits.take():
        bits.take(sequence.removal_time_length)
    refreshes = _ALL_SLOTS if whole else bits.take(8)
    return _Frame(shown=shown, key=kind == _KEY, refreshes=refreshes, order=order)
