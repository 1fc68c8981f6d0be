"""What packets' own headers say, on headers made by hand; the corpus has real streams."""

from typing import Any

import av
import pytest
from av.packet import PacketSideData, packet_sidedata_type_from_literal

from clipfleet_workers.media.bitstream import brings_parameters, reader
from clipfleet_workers.media.kind import Alone, Kind
from tests.unit.bits import packed


def kinds(
    codec: str, *packets: bytes, intra_only: bool = False, extradata: bytes = b""
) -> list[Kind]:
    """What is said of each packet of a stream, but for their order."""
    found, _ = reader(codec, extradata=extradata, intra_only=intra_only)
    return [found.read(data)._replace(order=None) for data in packets]


SEQUENCE = b"\0\0\1\xb3\x0b\x00\x80\x13..."
OTHER_SIZE = b"\0\0\1\xb3\x16\x00\x80\x13..."
MATRICES = b"\0\0\1\xb5\x38matrices"


def mpeg2(*pictures: tuple[int, int]) -> bytes:
    """(coding type, structure) of pictures: 1, 2, 3 for I, P, B; 1, 2 for fields, 3 for frames."""
    return b"".join(
        b"\0\0\1\0"
        + bytes((0, kind << 3, 0xFF))
        + b"\0\0\1\xb5\x8f\xff"
        + bytes([0xFC | structure])
        for kind, structure in pictures
    )


I_FRAME, P_FRAME, B_FRAME = mpeg2((1, 3)), mpeg2((2, 3)), mpeg2((3, 3))
MPEG2 = {
    "frames": ([I_FRAME, P_FRAME, B_FRAME], [Kind(starts=True), Kind(), Kind(disposable=True)]),
    "MPEG-1, without structures": ([b"\0\0\1\0\0\x08..."], [Kind(starts=True)]),
    "the sequence's header repeated": ([SEQUENCE + I_FRAME], [Kind(starts=True)]),
    "both fields in one": ([mpeg2((1, 1), (2, 2)), P_FRAME], [Kind(starts=True), Kind()]),
    "fields apart": (
        [mpeg2((1, 1)), mpeg2((2, 2)), mpeg2((3, 2)), mpeg2((3, 1))],
        [
            Kind(starts=True),
            Kind(joins=True),
            Kind(disposable=True),
            Kind(disposable=True, joins=True),
        ],
    ),
    "a field without its other": ([mpeg2((2, 1)), P_FRAME], [Kind(), Kind(unsure=True)]),
    "matrices that change": (
        [MATRICES + I_FRAME, MATRICES + P_FRAME],
        [Kind(starts=True, sets=True), Kind()],
    ),
    "matrices that the sequence's header takes back": (
        [MATRICES + I_FRAME, SEQUENCE + I_FRAME],
        [Kind(starts=True, sets=True), Kind(starts=True, sets=True)],
    ),
    "another size": (
        [I_FRAME, OTHER_SIZE + I_FRAME],
        [Kind(starts=True), Kind(starts=True, sets=True, anew=True)],
    ),
    "the end of the sequence": (
        [I_FRAME, b"\0\0\1\xb7"],
        [Kind(starts=True), Kind(sets=True, hidden=True, empty=True, anew=True)],
    ),
}


@pytest.mark.parametrize("name", MPEG2)
def test_mpeg2(name: str) -> None:
    packets, expected = MPEG2[name]

    assert kinds("mpeg2video", *packets, extradata=SEQUENCE) == expected


def layer(*, ticks: int = 30, interlaced: int = 0, more: int = 0) -> bytes:
    """An MPEG-4 layer's header (6.2.3) up to its fields, and a little more."""
    clock = ((0, 9), (0, 1), (1, 4), (0, 1), (0, 2), (1, 1), (ticks, 16), (1, 1), (0, 1))
    return b"\0\0\1\x20" + packed(*clock, (0, 29), (interlaced, 1), (more, 8))


def vop(kind: int, *, coded: int = 1) -> bytes:
    """A plane's header (6.2.5) with a time of 5 bits; 0, 1, 2 for I, P, B."""
    return b"\0\0\1\xb6" + packed((kind, 2), (0, 1), (1, 1), (3, 5), (1, 1), (coded, 1))


MPEG4 = {
    "planes": ([vop(0), vop(1), vop(2)], [Kind(starts=True), Kind(), Kind(disposable=True)]),
    "an empty plane": ([vop(0), vop(1, coded=0)], [Kind(starts=True), Kind(hidden=True)]),
    "the layer's header repeated": ([layer() + vop(0)], [Kind(starts=True)]),
    "another layer's header": (
        [vop(0), layer(more=1) + vop(0)],
        [Kind(starts=True), Kind(starts=True, sets=True, anew=True)],
    ),
    "fields, whose distance the first B plane says": (
        [layer(interlaced=1) + vop(0), vop(1), vop(2), vop(2)],
        [
            Kind(starts=True, sets=True),
            Kind(),
            Kind(disposable=True, sets=True),
            Kind(disposable=True),
        ],
    ),
    "an encoder's name": ([b"\0\0\1\xb2XviD0050" + vop(0)], [Kind(starts=True, sets=True)]),
    "somebody's words": ([b"\0\0\1\xb2words" + vop(0)], [Kind(starts=True)]),
    "two planes packed": (
        [vop(0), vop(1) + vop(2), vop(2), vop(1, coded=0), vop(1, coded=0)],
        [Kind(starts=True), *3 * [Kind(sets=True)], Kind(hidden=True)],
    ),
}


@pytest.mark.parametrize("name", MPEG4)
def test_mpeg4(name: str) -> None:
    packets, expected = MPEG4[name]

    assert kinds("mpeg4", *packets, extradata=layer()) == expected


def superframe(*frames: bytes) -> bytes:
    """The VP9 specification, annex B: sizes of one byte."""
    mark = bytes([0xC0 | len(frames) - 1])
    return b"".join(frames) + mark + bytes(len(frame) for frame in frames) + mark


KEY, SHOWN, HIDDEN, ANEW = b"\x82data", b"\x86data", b"\x84data", b"\x88"
OTHERS = [
    ("vp8", b"\x10", Kind(starts=True)),
    ("vp8", b"\x11", Kind()),
    ("vp8", b"\x01", Kind(hidden=True)),
    ("vp9", KEY, Kind(starts=True)),
    ("vp9", b"\xb1\x00", Kind(starts=True)),  # profile 3, whose header has a bit more
    ("vp9", SHOWN, Kind()),
    ("vp9", HIDDEN, Kind(hidden=True)),
    ("vp9", ANEW, Kind()),  # an older frame shown now
    ("vp9", superframe(HIDDEN, SHOWN), Kind()),
    ("vp9", superframe(KEY, HIDDEN), Kind(starts=True)),
    ("vp9", superframe(SHOWN, SHOWN), Kind(unsure=True)),
    ("vp9", b"anything", Kind(sets=True)),
    ("av1", b"\x12\x00", Kind(sets=True, hidden=True, empty=True)),
    ("unheard of", b"anything", Kind()),
]


@pytest.mark.parametrize(("codec", "data", "kind"), OTHERS)
def test_other_codecs(codec: str, data: bytes, kind: Kind) -> None:
    assert kinds(codec, data) == [kind]


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2) + content


QUANTIZERS = segment(0xDB, bytes(65))
CODES = segment(0xC4, bytes([0]) + bytes(16)) + segment(0xC4, bytes([0x10]) + bytes(16))
PICTURE = segment(0xC0, bytes([8, 0, 16, 0, 16, 1, 1, 0x11, 0])) + segment(
    0xDA, bytes([1, 1, 0, 0, 63, 0])
)
START = b"\xff\xd8"
JPEG = {
    "pictures that bring their tables": (
        [START + QUANTIZERS + CODES + PICTURE] * 2,
        [Kind(starts=True)] * 2,
    ),
    "tables in the first alone": (
        [START + QUANTIZERS + CODES + PICTURE, START + PICTURE],
        [Kind(starts=True), Kind(disposable=True)],
    ),
    "codes in the first alone": (
        [START + QUANTIZERS + CODES + PICTURE, START + QUANTIZERS + PICTURE],
        [Kind(starts=True), Kind()],
    ),
    "codes nowhere: the usual ones": ([START + QUANTIZERS + PICTURE] * 2, [Kind(starts=True)] * 2),
    "a mark that holds on": (
        [START + segment(0xE0, b"AVI1....") + QUANTIZERS + CODES + PICTURE] * 2,
        [Kind(starts=True, sets=True), Kind(starts=True)],
    ),
    "something else": ([b"anything", b"\xff"], [Kind(disposable=True)] * 2),
}


@pytest.mark.parametrize("name", JPEG)
def test_motion_jpeg(name: str) -> None:
    packets, expected = JPEG[name]

    assert kinds("mjpeg", *packets, intra_only=True) == expected


EXTENSION, IMAGE = b"\x21\xf9\x04\0\1\0\0\0", b"\x2c\0\0\0\0data"
COMMENT, TRAILER = b"\x21\xfe\x02hi\x01!\0", b"\x3b"
HEADER = b"GIF89a\x10\0\x10\0\x81\0\0" + bytes(12)  # four colours


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (HEADER + EXTENSION + IMAGE, True),
        (EXTENSION + COMMENT + IMAGE, True),
        (IMAGE, True),
        (TRAILER, False),
        (COMMENT + TRAILER, False),
        (COMMENT[:4], False),
        (HEADER[:9], False),
    ],
)
def test_a_gif_s_trailer_is_no_frame(data: bytes, shown: bool) -> None:
    expected = Kind() if shown else Kind(hidden=True, empty=True)

    assert kinds("gif", data) == [expected]


def test_only_codecs_known_to_be_so_are_taken_picture_by_picture() -> None:
    assert kinds("prores", b"anything", intra_only=True) == [Kind(starts=True)]
    assert kinds("ffv1", b"anything", intra_only=True) == [Kind()]


SHORT = [b"\0", b"\0\0\1", b"\0\0\1\0", b"\xff" * 9, b"\0\0\1\xb6", b"\0" * 5, b"\0\0\1\xb3"]


@pytest.mark.parametrize("codec", ["mpeg2video", "mpeg4", "vp8", "vp9", "av1"])
@pytest.mark.parametrize("extradata", [b"", b"\1", b"\0\0\1\x20", b"\0\0\1\xb3"])
@pytest.mark.parametrize("data", SHORT)
def test_bytes_that_end_early_are_no_error(codec: str, extradata: bytes, data: bytes) -> None:
    assert not kinds(codec, data, extradata=extradata)[0].disposable


@pytest.mark.parametrize(
    ("codec", "packets"),
    [
        ("mpeg2video", [I_FRAME, P_FRAME, B_FRAME, B_FRAME, I_FRAME, B_FRAME]),
        ("mpeg4", [vop(0), vop(1), vop(2), vop(2), vop(0), vop(2)]),
    ],
)
def test_pictures_that_lean_both_ways_come_before_what_they_follow(
    codec: str, packets: list[bytes]
) -> None:
    found, _ = reader(codec, extradata=layer(), intra_only=False)

    orders = [found.read(data).order or (0, 0) for data in packets]

    assert sorted(range(6), key=lambda place: orders[place]) == [0, 2, 3, 1, 5, 4]


class Renewed(Alone):
    """A reader that keeps what came beside packets."""

    def __init__(self) -> None:
        super().__init__(lambda _: Kind())
        self.extradata: list[bytes] = []

    def renew(self, extradata: bytes) -> None:
        self.extradata.append(extradata)


UNNAMED = 40  # the first number that PyAV 18.1 has no name for: EXIF of FFmpeg 8.1


@pytest.mark.parametrize("others", [[], [UNNAMED], [packet_sidedata_type_from_literal("prft")]])
def test_parameters_beside_a_packet_are_read_whatever_stands_before_them(others: list[int]) -> None:
    packet: av.Packet[Any] = av.Packet(b"sample")
    made: Any = PacketSideData  # typed as if it took nothing
    for kind in [*others, packet_sidedata_type_from_literal("new_extradata")]:
        side = made(kind, 4)
        side.update(b"sets")
        side.to_packet(packet)
    found = Renewed()

    assert brings_parameters(packet, found)
    assert found.extradata == [b"sets"]
