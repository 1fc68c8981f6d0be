"""What HEVC packets' headers say, on headers made by hand; the corpus has real streams."""

import pytest

from clipfleet_workers.media.hevc import Hevc
from clipfleet_workers.media.kind import Kind
from tests.unit.bits import Field, by_length, by_start_code, packed

TRAIL_N, TRAIL_R, BLA, IDR, CRA, VPS, SPS, PPS, END, MESSAGE = 0, 1, 16, 19, 21, 32, 33, 34, 36, 39


def unit(kind: int, content: bytes, *, layer: int = 0, sublayer: int = 0) -> bytes:
    """7.3.1.2: type, nuh_layer_id, TemporalId + 1."""
    return bytes([kind << 1 | layer >> 5, (layer & 31) << 3 | sublayer + 1]) + content


def vps(*, more: int = 0) -> bytes:
    return unit(VPS, packed((0, 4), (more, 8)))


def sps(*, number: int = 0, sublayers: int = 0, more: int = 0) -> bytes:
    """7.3.2.2.1: counts of 4 bits; references one set, the picture before."""
    present: list[Field] = [(3, 2)] * sublayers
    rest: list[Field] = [(0, 2 * (8 - sublayers))] if sublayers else []
    profiles: list[Field] = [(0, 96)] * sublayers
    fields = [(0, 4), (sublayers, 3), (1, 1), (0, 96), *present, *rest, *profiles, number]
    size: list[Field] = [1, 64, 64, (0, 1), 0, 0, 0]  # 4:2:0
    buffers: list[Field] = [(0, 1), 4, 2, 0]
    blocks: list[Field] = [0, 3, 0, 3, 0, 0, (0, 1), (0, 2), (0, 1)]
    references: list[Field] = [1, 1, 0, 0, (1, 1), (0, 1)]
    return unit(SPS, packed(*fields, *size, *buffers, *blocks, *references, more))


def pps(*, number: int = 0, of: int = 0, more: int = 0, says_output: int = 0) -> bytes:
    """7.3.2.3.1"""
    return unit(PPS, packed(number, of, (0, 1), (says_output, 1), (0, 3), more))


def piece(
    kind: int,
    *,
    order: int = 1,
    drops: int = 0,
    of: int = 0,
    first: int = 1,
    sublayer: int = 0,
    shown: int | None = None,
) -> bytes:
    """A slice segment's header (7.3.6.1), its references those of its sequence."""
    irap: list[Field] = [(drops, 1)] if kind >= BLA else []
    output: list[Field] = [] if shown is None else [(shown, 1)]
    counts: list[Field] = [] if kind == IDR else [(order, 4), (1, 1)]
    fields = [(first, 1), *irap, of, 1, *output, *counts, (0, 20)]
    return unit(kind, packed(*fields), sublayer=sublayer)


def kinds(*packets: list[bytes], boxed: bool = False) -> list[Kind]:
    """What is said of each packet, in a stream whose parameters and first picture come before."""
    reader, pack = Hevc(), by_start_code
    sets = [vps(), sps(), pps()]
    if boxed:
        pack = by_length
        arrays = b"".join(
            bytes([each[0] >> 1, 0, 1]) + len(each).to_bytes(2) + each for each in sets
        )
        reader.renew(bytes([1, *(20 * [0]), 0xFF, len(sets)]) + arrays)
    else:
        reader.renew(by_start_code(*sets))
    reader.read(pack(piece(IDR)))
    return [reader.read(pack(*units))._replace(order=None) for units in packets]


@pytest.mark.parametrize("boxed", [False, True])
@pytest.mark.parametrize(
    ("units", "kind"),
    [
        ([piece(IDR)], Kind(starts=True)),
        ([piece(CRA)], Kind(starts=True)),
        ([piece(TRAIL_R)], Kind()),
        ([piece(TRAIL_N)], Kind(disposable=True)),
        ([piece(TRAIL_N), piece(TRAIL_N, first=0)], Kind(disposable=True)),
        ([piece(TRAIL_N, sublayer=2)], Kind(disposable=True, layer=2)),
        ([piece(TRAIL_R), unit(TRAIL_R, b"\x80..", layer=1)], Kind()),  # another view
        ([vps(), sps(), pps(), piece(IDR)], Kind(starts=True)),  # repeated
        ([pps(more=5), piece(IDR)], Kind(starts=True, sets=True)),
        ([vps(more=5), sps(), pps(), piece(IDR)], Kind(starts=True, sets=True)),
        ([sps(number=3, sublayers=2), piece(IDR)], Kind(starts=True, sets=True)),
        ([pps()], Kind(sets=True, hidden=True, empty=True)),
        ([piece(CRA, of=7)], Kind(sets=True)),  # by parameters that never came
        ([sps(number=15), pps(number=63), piece(IDR)], Kind(starts=True, sets=True)),
        ([sps(number=16), piece(IDR)], Kind(sets=True)),  # of a number that there is not
        ([pps(number=64), piece(IDR)], Kind(sets=True)),
        ([unit(MESSAGE, b"\x2f\x01t\x80"), piece(IDR)], Kind(starts=True, sets=True)),
        ([unit(MESSAGE, b"\x84\x01t\x80"), piece(IDR)], Kind(starts=True)),
        ([piece(TRAIL_R), piece(TRAIL_R, order=2)], Kind(unsure=True)),
        ([piece(TRAIL_R, order=3)], Kind(unsure=True)),  # what it references never came
        ([piece(TRAIL_R, first=0)], Kind(sets=True)),  # its first slice is lost
        ([pps(says_output=1), piece(TRAIL_R, shown=0)], Kind(sets=True, hidden=True)),
        ([pps(says_output=1), piece(TRAIL_R, shown=1)], Kind(sets=True)),
    ],
)
def test_a_packet_is_read(units: list[bytes], kind: Kind, boxed: bool) -> None:
    assert kinds(units, boxed=boxed) == [kind]


@pytest.mark.parametrize("boxed", [False, True])
def test_parameters_are_compared_to_their_end(boxed: bool) -> None:
    def long_pps(last: int) -> bytes:
        lists: Field = ((1 << 12_000) - 1, 12_000)
        return unit(PPS, packed(0, 0, (0, 1), (0, 1), (0, 3), lists, (last, 8)))

    packets = [[long_pps(last), piece(TRAIL_R, order=1 + n)] for n, last in enumerate((1, 1, 2))]

    assert [kind.sets for kind in kinds(*packets, boxed=boxed)] == [True, False, True]


@pytest.mark.parametrize(
    ("second", "unsure"),
    [
        ([piece(IDR)], False),
        ([piece(CRA)], False),
        ([piece(IDR, drops=1)], True),
        ([piece(BLA)], True),
        ([sps(more=1), pps(), piece(IDR)], True),
        ([sps(number=1), pps(number=1, of=1), piece(IDR)], False),
        ([sps(number=1), pps(number=1, of=1), piece(IDR, of=1)], True),
        ([sps(number=1, more=1), pps(number=1, of=1), piece(TRAIL_R, of=1)], True),
    ],
)
def test_where_a_sequence_changes_frames_may_be_given_up(second: list[bytes], unsure: bool) -> None:
    found = kinds([piece(IDR)], second)[1]
    assert (found.anew or found.unsure) == unsure


def test_after_the_end_of_a_sequence_leading_frames_are_given_up() -> None:
    packets = [piece(IDR)], [piece(TRAIL_R), unit(END, b"")], [piece(CRA)], [piece(CRA)]
    found = kinds(*packets)

    assert [kind.anew for kind in found] == [False, False, True, False]
    assert found[1].sets


@pytest.mark.parametrize("data", [b"\0", b"\0\0\1", b"\xff" * 9, b"\0" * 5, b"\0\0\1\x42\1", b""])
@pytest.mark.parametrize("extradata", [b"", b"\1", b"\1" * 23, b"\1" * 40])
def test_bytes_that_end_early_are_never_passed_over(data: bytes, extradata: bytes) -> None:
    reader = Hevc()
    reader.renew(extradata)

    assert reader.read(data).sets


def test_the_order_of_pictures_is_that_of_their_counts() -> None:
    """In counts of 4 bits, which begin anew at each IDR picture and go on beyond 15."""
    reader = Hevc()
    reader.renew(by_start_code(vps(), sps(), pps()))
    counts = [(IDR, 0), (TRAIL_R, 6), (TRAIL_N, 4), (TRAIL_R, 13), (TRAIL_R, 3), (CRA, 8), (IDR, 0)]
    units = [piece(kind, order=count) for kind, count in counts]

    orders = [reader.read(by_start_code(unit)).order for unit in units]

    assert orders == [(1, 0), (1, 6), (1, 4), (1, 13), (1, 19), (1, 24), (2, 0)]
