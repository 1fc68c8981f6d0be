"""What AV1 packets' headers say, on headers written by hand; the corpus has real streams."""

from dataclasses import dataclass

import pytest

from clipfleet_workers.media.bitstream import reader
from clipfleet_workers.media.kind import Kind

DELIMITER = b"\x12\x00"
SEQUENCE, FRAME_HEADER, TILE_GROUP, METADATA, FRAME, REDUNDANT = 1, 3, 4, 5, 6, 7
TILE_LIST, PADDING = 8, 15
KEY, INTER, INTRA_ONLY, SWITCH = 0, 1, 2, 3
NOTHING = Kind()
UNKNOWN = Kind(sets=True)
DISPOSABLE = Kind(disposable=True)


def packed(*fields: tuple[int, int]) -> bytes:
    """Bits from (value, length in bits), then the closing one and zeros up to whole bytes."""
    text = "".join(f"{value:0{length}b}" if length else "" for value, length in fields) + "1"
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))


def unit(kind: int, content: bytes, *, layers: int | None = None, sized: bool = True) -> bytes:
    """One OBU; `layers` is its extension, temporal_id << 5 | spatial_id << 3."""
    head = bytes([kind << 3 | (layers is not None) << 2 | sized << 1])
    extension = b"" if layers is None else bytes([layers])
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return head + extension + (length if sized else b"") + content


@dataclass(frozen=True, kw_only=True)
class Stream:
    """What a stream's sequence header says; lengths in bits, 0 where there is no such field."""

    timing: bool = False
    ticks_a_picture: int = 0  # from 1, where the interval is equal
    decoder_model: bool = False
    model_of_the_point: bool = True
    level: int = 5
    display_delay: bool = False
    frame_ids: bool = False
    order_hints: int = 7
    screen_tools: int = 2  # 2: each frame says
    integer_mv: int = 2
    points: int = 1
    layers: int = 0
    still: bool = False

    def header(self) -> bytes:
        """5.5.1"""
        fields = [(0, 3), (self.still, 1), (0, 1), (self.timing, 1)]
        if self.timing:
            fields += [(1, 32), (30, 32), (self.ticks_a_picture > 0, 1)]
            if self.ticks_a_picture:  # uvlc: as many zeros as bits follow the first one
                fields += [(self.ticks_a_picture, 2 * self.ticks_a_picture.bit_length() - 1)]
            fields += [(self.decoder_model, 1)]
            if self.decoder_model:
                fields += [(9, 5), (1, 32), (10, 5), (11, 5)]
        fields += [(self.display_delay, 1), (self.points - 1, 5)]
        for _ in range(self.points):
            fields += [(self.layers, 12), (self.level, 5)]
            if self.level > 7:
                fields += [(1, 1)]
            if self.decoder_model:
                fields += [(self.model_of_the_point, 1)]
                if self.model_of_the_point:
                    fields += [(777, 10), (333, 10), (1, 1)]
            if self.display_delay:
                fields += [(1, 1), (9, 4)]
        fields += [(10, 4), (9, 4), (1279, 11), (719, 10), (self.frame_ids, 1)]
        if self.frame_ids:
            fields += [(12, 4), (1, 3)]  # differences of 14 bits, ids of 16
        fields += [(0b101, 3), (0b1110, 4), (self.order_hints > 0, 1)]
        if self.order_hints:
            fields += [(0b10, 2)]
        fields += [(1, 1)] if self.screen_tools == 2 else [(0, 1), (self.screen_tools, 1)]
        if self.screen_tools:
            fields += [(1, 1)] if self.integer_mv == 2 else [(0, 1), (self.integer_mv, 1)]
        if self.order_hints:
            fields += [(self.order_hints - 1, 3)]
        return packed(*fields, (0b110, 3), (0, 8))

    def sequence(self) -> bytes:
        """Its OBU."""
        return unit(SEQUENCE, self.header())

    def frame(
        self,
        kind: int,
        refresh: int = 0xFF,
        *,
        shown: bool = True,
        resilient: bool = False,
        uses_tools: bool = False,
        removal_time: bool = True,
    ) -> bytes:
        """5.9.2, up to refresh_frame_flags, and some bytes of content.

        Fields that do not matter have bits that would be read as some slot refreshed.
        """
        fields = [(0, 1), (kind, 2), (shown, 1)]
        if shown and self.decoder_model and not self.ticks_a_picture:
            fields += [(0xABC, 12)]
        if not shown:
            fields += [(1, 1)]
        whole = kind == SWITCH or (kind == KEY and shown)
        if not whole:
            fields += [(resilient, 1)]
        fields += [(1, 1)]
        if self.screen_tools == 2:
            fields += [(uses_tools, 1)]
        tools = uses_tools if self.screen_tools == 2 else self.screen_tools
        if tools and self.integer_mv == 2:
            fields += [(1, 1)]
        if self.frame_ids:
            fields += [(0xBEEF, 16)]
        if kind != SWITCH:
            fields += [(0, 1)]
        fields += [((1 << self.order_hints) - 1, self.order_hints)]
        if kind == INTER and not resilient:
            fields += [(7, 3)]
        if self.decoder_model:
            fields += [(removal_time, 1)]
            if removal_time and self.model_of_the_point:
                fields += [(0x7FF, 11)]
        if not whole:
            fields += [(refresh, 8)]
        return packed(*fields, (0xFFFF, 16))


PLAIN = Stream()
STREAMS = {
    "plain": PLAIN,
    "without order hints": Stream(order_hints=0),
    "with order hints of one bit": Stream(order_hints=1),
    "with frame ids": Stream(frame_ids=True),
    "with timing": Stream(timing=True),
    "at an equal interval": Stream(timing=True, ticks_a_picture=1),
    "at an equal interval of many ticks": Stream(timing=True, ticks_a_picture=1000),
    "with a decoder model": Stream(timing=True, decoder_model=True),
    "with a decoder model, not of its point": Stream(
        timing=True, decoder_model=True, model_of_the_point=False
    ),
    "with a decoder model at an equal interval": Stream(
        timing=True, decoder_model=True, ticks_a_picture=5
    ),
    "of a high level": Stream(level=13),
    "with a display delay": Stream(display_delay=True),
    "without screen content tools": Stream(screen_tools=0),
    "with screen content tools": Stream(screen_tools=1),
    "with screen content tools and whole motion vectors": Stream(screen_tools=1, integer_mv=1),
    "where frames choose tools, not motion vectors": Stream(integer_mv=0),
    "with everything": Stream(
        timing=True, decoder_model=True, display_delay=True, frame_ids=True, level=9
    ),
}


@pytest.fixture(params=STREAMS)
def stream(request: pytest.FixtureRequest) -> Stream:
    """Each stream in turn."""
    return STREAMS[request.param]


def kinds(*packets: bytes, extradata: bytes | None = None) -> list[Kind]:
    """What a new reader says of each packet, but for their order."""
    found, _ = reader("av1", extradata=extradata, intra_only=False)
    return [found.read(packet)._replace(order=None) for packet in packets]


def said(stream: Stream, *frames: bytes) -> Kind:
    """Of one packet with these frames, after one with the sequence header."""
    packet = DELIMITER + b"".join(unit(FRAME, frame) for frame in frames)
    return kinds(DELIMITER + stream.sequence(), packet)[1]


def test_a_shown_key_frame_starts(stream: Stream) -> None:
    assert said(stream, stream.frame(KEY)) == Kind(starts=True)


def test_a_key_frame_with_its_sequence_header_starts_and_sets(stream: Stream) -> None:
    packet = DELIMITER + stream.sequence() + unit(FRAME, stream.frame(KEY))

    assert kinds(packet) == [Kind(starts=True, sets=True)]


@pytest.mark.parametrize("kind", [INTER, INTRA_ONLY])
@pytest.mark.parametrize("resilient", [False, True])
@pytest.mark.parametrize("uses_tools", [False, True])
@pytest.mark.parametrize("removal_time", [False, True])
def test_a_frame_that_refreshes_no_slot_is_disposable_and_others_are_not(
    stream: Stream, kind: int, resilient: bool, uses_tools: bool, removal_time: bool
) -> None:
    found = [
        said(
            stream,
            stream.frame(
                kind,
                refresh,
                resilient=resilient,
                uses_tools=uses_tools,
                removal_time=removal_time,
            ),
        )
        for refresh in (0, *(1 << slot for slot in range(8)))
    ]

    assert found == [DISPOSABLE] + 8 * [NOTHING]


@pytest.mark.parametrize("kind", [KEY, INTER])
def test_hidden_frames_are_read_as_well(stream: Stream, kind: int) -> None:
    hidden = [stream.frame(kind, refresh, shown=False) for refresh in (0, 1)]
    last = stream.frame(INTER, 0)

    assert [said(stream, frame, last) for frame in hidden] == [DISPOSABLE, NOTHING]


def test_a_frame_after_a_hidden_key_frame_does_not_start() -> None:
    assert said(PLAIN, PLAIN.frame(KEY, 1, shown=False), PLAIN.frame(KEY)) == NOTHING


def test_a_key_frame_that_another_shown_one_follows_does_not_start() -> None:
    assert said(PLAIN, PLAIN.frame(KEY), PLAIN.frame(INTER, 0)) == Kind(unsure=True)


def test_a_switch_frame_is_referenced(stream: Stream) -> None:
    assert said(stream, stream.frame(SWITCH)) == NOTHING


def test_an_older_frame_shown_now_is_not_disposable_for_it_may_be_a_key_frame() -> None:
    existing = unit(FRAME_HEADER, packed((1, 1), (0, 3)))
    hidden = unit(FRAME, PLAIN.frame(INTER, 0, shown=False))

    key = PLAIN.sequence() + unit(FRAME, PLAIN.frame(KEY))

    assert kinds(key, existing, hidden + existing)[1:] == [NOTHING, NOTHING]


def test_an_older_frame_that_never_came_may_not_be_shown() -> None:
    existing = unit(FRAME_HEADER, packed((1, 1), (0, 3)))

    assert kinds(PLAIN.sequence(), existing)[1].unsure


def test_a_packet_without_a_shown_frame_gives_none() -> None:
    assert said(PLAIN, PLAIN.frame(INTER, 1, shown=False)) == Kind(hidden=True)


def test_a_sequence_header_that_is_repeated_changes_nothing() -> None:
    packet = DELIMITER + PLAIN.sequence() + unit(FRAME, PLAIN.frame(KEY))

    assert kinds(packet, packet) == [Kind(starts=True, sets=True), Kind(starts=True)]


def test_a_frame_header_and_its_tiles_may_lie_apart() -> None:
    for refresh, kind in ((0, DISPOSABLE), (4, NOTHING)):
        header = unit(FRAME_HEADER, PLAIN.frame(INTER, refresh))
        tiles = unit(TILE_GROUP, b"\xff" * 300) + unit(REDUNDANT, b"\xff" * 9)

        assert kinds(PLAIN.sequence(), DELIMITER + header + tiles)[1] == kind


def test_the_last_unit_may_have_no_size() -> None:
    frame = unit(FRAME, PLAIN.frame(INTER, 0) + b"\xff" * 300, sized=False)

    assert kinds(PLAIN.sequence(), DELIMITER + frame)[1] == DISPOSABLE


def test_a_packet_with_a_sequence_header_is_not_disposable() -> None:
    assert kinds(PLAIN.sequence() + unit(FRAME, PLAIN.frame(INTER, 0))) == [Kind(sets=True)]


def test_a_packet_without_frames_is_not_disposable() -> None:
    assert kinds(PLAIN.sequence(), DELIMITER, b"")[1:] == 2 * [
        Kind(sets=True, hidden=True, empty=True)
    ]


@pytest.mark.parametrize(("metadata", "kind"), [(1, NOTHING), (2, NOTHING), (4, DISPOSABLE)])
def test_metadata_that_holds_on_is_kept(metadata: int, kind: Kind) -> None:
    packet = unit(METADATA, bytes([metadata, 1, 2, 3])) + unit(FRAME, PLAIN.frame(INTER, 0))

    assert kinds(PLAIN.sequence(), packet)[1] == kind


def test_padding_says_nothing() -> None:
    packet = unit(FRAME, PLAIN.frame(INTER, 0)) + unit(PADDING, b"\1")

    assert kinds(PLAIN.sequence(), packet)[1] == DISPOSABLE


def test_the_sequence_header_may_lie_in_the_container(stream: Stream) -> None:
    box = b"\x81\x05\x0c\x00" + stream.sequence()
    packets = [unit(FRAME, stream.frame(kind, 0)) for kind in (KEY, INTER)]

    assert kinds(*packets, extradata=box) == [Kind(starts=True), DISPOSABLE]


def test_frames_are_read_by_the_latest_sequence_header() -> None:
    other = STREAMS["with everything"]
    packets = [
        unit(FRAME, PLAIN.frame(INTER, 0)),
        other.sequence() + unit(FRAME, other.frame(KEY)),
        unit(FRAME, other.frame(INTER, 0)),
    ]

    found = kinds(*packets, extradata=b"\x81\x05\x0c\x00" + PLAIN.sequence())

    assert found == [DISPOSABLE, Kind(starts=True, sets=True), DISPOSABLE]


@pytest.mark.parametrize("extradata", [None, b"", b"\x81", b"\x81\x05\x0c\x00", b"\x0a\x0b\x00"])
def test_without_a_sequence_header_nothing_is_known(extradata: bytes | None) -> None:
    packets = [unit(FRAME, PLAIN.frame(kind, 0)) for kind in (KEY, INTER)]

    assert kinds(*packets, extradata=extradata) == [UNKNOWN, UNKNOWN]


@pytest.mark.parametrize("unread", [Stream(points=2), Stream(layers=0x101), Stream(still=True)])
def test_of_layers_and_stills_nothing_is_known(unread: Stream) -> None:
    packets = [unit(FRAME, unread.frame(kind, 0)) for kind in (KEY, INTER)]

    found = kinds(PLAIN.sequence(), unread.sequence() + packets[0], *packets)

    assert found[1:] == 3 * [UNKNOWN]


def test_of_a_spatial_layer_above_the_first_nothing_is_known() -> None:
    frame = PLAIN.frame(INTER, 0)
    lower, upper = (unit(FRAME, frame, layers=layers) for layers in (1 << 5, 1 << 3))

    assert kinds(PLAIN.sequence(), lower, upper)[1:] == [DISPOSABLE, UNKNOWN]


def test_of_tile_lists_nothing_is_known() -> None:
    packet = unit(FRAME, PLAIN.frame(INTER, 0)) + unit(TILE_LIST, b"\0" * 4)

    assert kinds(PLAIN.sequence(), packet)[1] == UNKNOWN


@pytest.mark.parametrize("kind", [KEY, INTER])
@pytest.mark.parametrize("sized", [False, True])
def test_a_packet_that_ends_early_is_no_error_and_is_never_passed_over(
    stream: Stream, kind: int, sized: bool
) -> None:
    head = stream.frame(kind, 0)
    packet = DELIMITER + stream.sequence() + unit(FRAME, head, sized=sized)
    until = len(packet) if sized else len(packet) - len(head)

    for end in range(until):
        (found,) = kinds(packet[:end])
        assert (found.starts, found.disposable) == (False, False)
        kinds(packet[2:], extradata=b"\x81\x05\x0c\x00" + packet[2:end])


@pytest.mark.parametrize("sized", [False, True])
def test_a_frame_that_ends_early_is_no_error(stream: Stream, sized: bool) -> None:
    packet = unit(FRAME, stream.frame(INTER, 1), sized=sized)

    for end in range(len(packet)):
        found = kinds(stream.sequence(), packet[:end])[1]
        assert (found.starts, found.disposable) == (False, False)


@pytest.mark.parametrize(
    "data", [b"\xff" * 9, b"\x80", b"\x0a" + b"\xff" * 20, b"\x0a\x40", b"\x36", b"\0" * 40]
)
def test_bytes_that_are_no_packet_are_no_error(data: bytes) -> None:
    (found,) = kinds(data)

    assert (found.starts, found.disposable) == (False, False)
