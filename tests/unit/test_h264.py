"""What H.264 packets' headers say, on headers made by hand; the corpus has real streams."""

import pytest

from clipfleet_workers.media.h264 import H264
from clipfleet_workers.media.kind import Kind
from tests.unit.bits import Field, by_length, by_start_code, packed

IDR, PLAIN, MESSAGE, SPS, PPS = 5, 1, 6, 7, 8


def sps(
    *, number: int = 0, width: int = 11, frames_only: int = 1, level: int = 31, order_type: int = 2
) -> bytes:
    """The main profile's (7.3.2.1.1): frame_num of 4 bits; width in macroblocks."""
    fields: list[Field] = [
        (77, 8),
        (0, 8),
        (level, 8),
        number,
        0,
        order_type,
        *([] if order_type else [0]),
        1,
        (0, 1),
        width,
        7,
        (frames_only, 1),
    ]
    if not frames_only:
        fields.append((0, 1))
    return bytes([0x60 | SPS]) + packed(*fields, (1, 1), (0, 1), (0, 1))


def pps(*, number: int = 0, of: int = 0, quantizer: int = 0) -> bytes:
    """7.3.2.2"""
    fields: list[Field] = [
        number,
        of,
        (0, 2),
        0,
        0,
        0,
        (0, 3),
        quantizer,
        0,
        0,
        (0, 3),
    ]
    return bytes([0x60 | PPS]) + packed(*fields)


def piece(
    kind: int,
    *,
    importance: int = 3,
    first: int = 0,
    frame_num: int | None = None,
    field: int | None = None,
    frames_only: bool = True,
    drops: int = 0,
    of: int = 0,
    order: int | None = None,
) -> bytes:
    """A slice's header (7.3.3), the first after an IDR frame's; `field`: 0 or 1, the bottom."""
    if frame_num is None:
        frame_num = 0 if kind == IDR else 1
    fields: list[Field] = [first, 7 if kind == IDR else 5, of, (frame_num, 4)]
    if not frames_only:
        fields.append((field is not None, 1))
        if field is not None:
            fields.append((field, 1))
    fields += [0] if kind == IDR else []
    fields += [] if order is None else [(order, 4)]
    fields += [(drops, 1), (0, 1)] if kind == IDR else []
    return bytes([importance << 5 | kind]) + packed(*fields, (0, 40))


def message(kind: int, payload: bytes) -> bytes:
    return bytes([MESSAGE, kind, len(payload)]) + payload + b"\x80"


def kinds(*packets: list[bytes], boxed: bool = False, interlaced: bool = False) -> list[Kind]:
    """What is said of each packet, in a stream whose parameters and first frame come before."""
    sets = [sps(frames_only=0 if interlaced else 1), pps()]
    reader = H264()
    pack = by_start_code
    if boxed:
        pack = by_length
        one, other = (len(unit).to_bytes(2) + unit for unit in sets)
        reader.renew(bytes([1, 77, 0, 31, 0xFF, 0xE1]) + one + b"\1" + other)
    else:
        reader.renew(by_start_code(*sets))
    reader.read(pack(piece(IDR, frames_only=not interlaced)))
    return [reader.read(pack(*units)) for units in packets]


@pytest.mark.parametrize("boxed", [False, True])
@pytest.mark.parametrize(
    ("units", "kind"),
    [
        ([piece(IDR)], Kind(starts=True)),
        ([sps(), pps(), piece(IDR)], Kind(starts=True)),  # repeated
        ([sps(level=40), pps(), piece(IDR)], Kind(starts=True, sets=True)),
        ([pps(quantizer=2), piece(PLAIN)], Kind(sets=True)),
        ([piece(PLAIN)], Kind()),
        ([piece(PLAIN, importance=0)], Kind(disposable=True)),
        ([piece(PLAIN, importance=0), piece(PLAIN, importance=0, first=40)], Kind(disposable=True)),
        ([pps(number=1)], Kind(sets=True, hidden=True, empty=True)),
        ([pps()], Kind(sets=True, hidden=True, empty=True)),
        ([b"\x02data"], Kind(sets=True)),  # a data partition
        ([piece(PLAIN, of=3)], Kind(sets=True)),  # by parameters that never came
        ([sps(number=31), pps(number=255), piece(IDR)], Kind(starts=True, sets=True)),
        ([sps(number=32), piece(IDR)], Kind(sets=True)),  # of a number that there is not
        ([pps(number=256), piece(IDR)], Kind(sets=True)),
        ([message(5, b"x" * 16 + b"x264 - core 164"), piece(IDR)], Kind(starts=True, sets=True)),
        ([message(5, b"x" * 16 + b"a camera's words"), piece(IDR)], Kind(starts=True)),
        ([message(47, b"turned"), piece(IDR)], Kind(starts=True, sets=True)),
        ([piece(PLAIN), piece(PLAIN, frame_num=2)], Kind(unsure=True)),  # two frames
        ([piece(PLAIN, frame_num=2)], Kind(unsure=True)),  # one is missing before
        ([piece(PLAIN, frame_num=0)], Kind(unsure=True)),
        ([b"\0", b"\0"], Kind(sets=True)),
        ([b"\x0a"], Kind(sets=True, hidden=True, empty=True)),  # the end of a sequence
    ],
)
def test_a_packet_is_read(units: list[bytes], kind: Kind, boxed: bool) -> None:
    assert kinds(units, boxed=boxed) == [kind]


def test_grain_goes_by_what_was_decoded_so_that_nothing_is_skipped() -> None:
    assert kinds([message(19, b"grain"), piece(IDR)], [piece(PLAIN)])[1].sets


def test_parameters_of_pictures_must_come_again_after_the_sequences_change() -> None:
    packets = [sps(level=40), piece(IDR)], [pps(), piece(PLAIN)], [pps(), piece(PLAIN, frame_num=2)]
    found = kinds(*packets)

    assert [kind.sets for kind in found] == [True, True, False]


def test_parameters_that_come_beside_a_packet_hold_from_there() -> None:
    reader = H264()
    reader.renew(by_start_code(sps(), pps()))
    reader.renew(by_start_code(sps(level=40), pps()))

    assert not reader.read(by_start_code(sps(level=40), pps(), piece(IDR))).sets


@pytest.mark.parametrize(
    ("first", "second", "unsure"),
    [
        ([piece(IDR)], [piece(IDR)], False),
        ([piece(IDR)], [piece(IDR, drops=1)], True),
        ([piece(IDR)], [sps(width=21), pps(), piece(IDR)], True),
        ([piece(IDR)], [sps(level=40), pps(), piece(IDR)], False),
        ([piece(IDR)], [sps(width=21, number=1), pps(number=1, of=1), piece(IDR)], False),
        ([piece(IDR)], [sps(width=21, number=1), pps(number=1, of=1), piece(IDR, of=1)], True),
        ([piece(IDR)], [sps(width=21, number=1), pps(number=1, of=1), piece(PLAIN, of=1)], True),
    ],
)
def test_where_size_changes_frames_may_be_given_up(
    first: list[bytes], second: list[bytes], unsure: bool
) -> None:
    found = kinds(first, second)[1]
    assert (found.anew or found.unsure) == unsure


def test_the_first_frame_of_all_gives_up_none() -> None:
    reader = H264()
    reader.renew(by_start_code(sps(), pps()))

    assert not reader.read(by_start_code(piece(IDR, drops=1))).unsure


def half(kind: int, field: int | None, frame_num: int | None = None) -> bytes:
    return piece(kind, field=field, frame_num=frame_num, frames_only=False)


@pytest.mark.parametrize(
    ("packets", "joins", "unsure"),
    [
        ([[half(IDR, 0)], [half(PLAIN, 1, 0)]], [0, 1], [0, 0]),
        ([[half(IDR, 0), half(PLAIN, 1, 0)], [half(PLAIN, 1)]], [0, 0], [0, 0]),
        ([[half(PLAIN, 1)], [half(PLAIN, 0)], [half(PLAIN, 1, 2)]], [0, 1, 0], [0, 0, 0]),
        ([[half(PLAIN, 0)], [half(PLAIN, 0, 2)]], [0, 0], [0, 1]),  # without its other
        ([[half(PLAIN, 0)], [half(PLAIN, 1, 2)]], [0, 0], [0, 1]),
        ([[half(PLAIN, 0)], [half(PLAIN, None, 2)]], [0, 0], [0, 1]),
    ],
)
def test_fields_join_in_pairs(
    packets: list[list[bytes]], joins: list[int], unsure: list[int]
) -> None:
    found = kinds(*packets, interlaced=True)

    assert [kind.joins for kind in found] == joins
    assert [kind.unsure for kind in found] == unsure


@pytest.mark.parametrize("data", [b"\0", b"\0\0\1", b"\xff" * 9, b"\0" * 5, b"\0\0\1\x67", b""])
@pytest.mark.parametrize("extradata", [b"", b"\1", b"\1" * 6, b"\1" * 30])
def test_bytes_that_end_early_are_never_passed_over(data: bytes, extradata: bytes) -> None:
    reader = H264()
    reader.renew(extradata)

    assert reader.read(data).sets


def test_the_order_of_pictures_is_that_of_their_counts() -> None:
    """In counts of 4 bits, which begin anew at each IDR frame and go on beyond 15."""
    counts = [0, 8, 4, 14, 12, 6, 0, 2]
    kinds_ = [IDR, *6 * [PLAIN], IDR]
    reader = H264()
    reader.renew(by_start_code(sps(order_type=0), pps()))
    orders = []
    for place, (kind, count) in enumerate(zip(kinds_, counts, strict=True)):
        importance = 0 if place in (2, 4) else 3
        unit = piece(kind, importance=importance, order=count)
        orders.append(reader.read(by_start_code(unit)).order)

    assert orders == [(1, 0), (1, 8), (1, 4), (1, 14), (1, 12), (1, 22), (1, 16), (2, 2)]
