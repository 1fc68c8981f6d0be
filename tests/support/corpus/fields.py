"""Pictures coded field by field, as camcorders and broadcasts write them, and no encoder here.

H.264 is written bit by bit (ITU-T H.264): macroblocks are samples as they are (I_PCM), or skipped
where the field that they reference has the same. MPEG-2 is flat grey, by DC alone.
"""

import functools
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
from av.packet import Packet
from av.video.stream import VideoStream

from tests.integration.reference import Look
from tests.support import clips
from tests.support.clips import written
from tests.support.corpus.case import HEIGHT, WIDTH, Case
from tests.support.corpus.planes import Planes, to_planes

RATE, FRAMES, GOP = 25, 60, 12


@dataclass(frozen=True, kw_only=True)
class Fields:
    """How a stream of fields is coded.

    `second` is the type of a key frame's second field. Every other frame is no reference where
    not `all_referenced`.
    """

    second: str = "P"
    bottom_first: bool = False
    all_referenced: bool = True


@dataclass(frozen=True, kw_only=True)
class Field:
    """One coded field of the frame of this number."""

    number: int
    first: bool
    key: bool
    data: bytes


class _Bits:
    """Bits one after the other."""

    def __init__(self) -> None:
        self._whole, self._text = bytearray(), ""

    def put(self, value: int, length: int) -> None:
        """A number of so many bits."""
        self._text += f"{value:0{length}b}" if length else ""

    def golomb(self, *values: int) -> None:
        """Numbers as ue(v) has them: 9.1."""
        for value in values:
            code = f"{value + 1:b}"
            self._text += "0" * (len(code) - 1) + code

    def samples(self, data: bytes) -> None:
        """Whole bytes, from the next whole byte on."""
        self._text += "0" * (-len(self._text) % 8)
        self._flush()
        self._whole += data

    def closed(self) -> bytes:
        """All of it, after it a 1 and zeros to the byte."""
        self._text += "1"
        self.samples(b"")
        return bytes(self._whole)

    def _flush(self) -> None:
        self._whole += bytes(int(self._text[i : i + 8], 2) for i in range(0, len(self._text), 8))
        self._text = ""


def _unit(header: int, content: bytes) -> bytes:
    """7.4.1: with a byte between two zeros and what might be taken for a start code."""
    escaped, zeros = bytearray(), 0
    for byte in content:
        if zeros >= 2 and byte <= 3:
            escaped.append(3)
            zeros = 0
        escaped.append(byte)
        zeros = 0 if byte else zeros + 1
    return b"\0\0\0\1" + bytes([header]) + bytes(escaped)


def _parameters() -> bytes:
    """The sequence's and the picture's: main profile, fields, 25 frames a second."""
    sequence = _Bits()
    sequence.put(77 << 16 | 30, 24)
    sequence.golomb(0, 0, 0, 4, 4)
    sequence.put(0, 1)
    sequence.golomb(WIDTH // 16 - 1, HEIGHT // 32 - 1)
    sequence.put(0b00101, 5)  # fields, direct_8x8_inference, no crop, and more of use:
    sequence.put(0b00001, 5)  # only the rate
    sequence.put(1, 32)
    sequence.put(2 * RATE, 32)
    sequence.put(0b10000, 5)
    picture = _Bits()
    picture.golomb(0, 0)
    picture.put(0, 2)
    picture.golomb(0, 0, 0)
    picture.put(0, 3)
    picture.golomb(0, 0, 0)
    picture.put(0b100, 3)  # slices say that they are not to be deblocked
    return _unit(0x67, sequence.closed()) + _unit(0x68, picture.closed())


def _blocks(planes: Planes) -> list[bytes]:
    """A field's macroblocks: 16×16 luma, then 8×8 of each chroma."""
    high, wide = planes[0].shape[0] // 16, planes[0].shape[1] // 16
    cut = [plane.reshape(high, len(plane) // high, wide, -1).swapaxes(1, 2) for plane in planes]
    return [
        b"".join(plane[row, column].tobytes() for plane in cut)
        for row in range(high)
        for column in range(wide)
    ]


@functools.lru_cache(maxsize=256)
def _field_blocks(number: int, bottom: bool) -> list[bytes]:
    image = clips.picture(2 * number + bottom, width=WIDTH, height=HEIGHT)[int(bottom) :: 2]
    return _blocks(to_planes(image, pixel_format="yuv420p", matrix="bt601", full_range=False))


@functools.cache
def h264(how: Fields) -> Sequence[Field]:
    """60 frames, frame n of the top field of picture 2n and the bottom one of 2n + 1."""
    return [*_h264(how)]


def _h264(how: Fields) -> Iterator[Field]:
    held: dict[bool, list[bytes]] = {}  # the last reference of each parity
    frame_num = 0
    for number in range(FRAMES):
        in_gop = number % GOP
        if not in_gop:
            held, frame_num = {}, 0
        referenced = how.all_referenced or in_gop % 2 == 0
        coded = {}
        for second in (False, True):
            bottom = second != how.bottom_first
            key = not in_gop and not second
            intra = key or (not in_gop and how.second == "I")
            blocks = coded[bottom] = _field_blocks(number, bottom)
            bits = _Bits()
            bits.golomb(0, 7 if intra else 5, 0)
            bits.put(frame_num % 16, 4)
            bits.put(2 | bottom, 2)
            if key:
                bits.golomb(number // GOP % 2)
            bits.put(2 * in_gop + second, 8)
            bits.put(0, 0 if intra else 2)
            bits.put(0, 2 if key else int(referenced))
            bits.golomb(0, 1)
            _put_blocks(bits, blocks, None if intra else held.get(bottom, []))
            start = b"\0\0\0\1\x09\xf0" + (_parameters() if key else b"")
            unit = _unit((0x60 if referenced else 0) | (5 if key else 1), bits.closed())
            yield Field(number=number, first=not second, key=key, data=start + unit)
        if referenced:
            held, frame_num = coded, frame_num + 1


def _put_blocks(bits: _Bits, blocks: list[bytes], leans_on: list[bytes] | None) -> None:
    """7.3.4: in a P field, runs of blocks that are as in the field of its parity are skipped."""
    skipped = 0
    for place, block in enumerate(blocks):
        if leans_on and leans_on[place] == block:
            skipped += 1
            continue
        if leans_on is not None:
            bits.golomb(skipped)
        bits.golomb(25 if leans_on is None else 30)
        bits.samples(block)
        skipped = 0
    if skipped:
        bits.golomb(skipped)


# ISO/IEC 13818-2, table B.12: how many bits the difference of a luma DC has.
_DC_BITS = ("100", "00", "01", "101", "110", "1110", "11110", "111110", "1111110")
MPEG2_SIZE, MPEG2_FRAMES = (32, 32), 40


@functools.cache
def mpeg2() -> Sequence[Field]:
    """I fields, flat: of frame n, 40 + 5n bright as `pictures.flat` has it."""
    return [
        Field(number=number, first=not second, key=not second, data=_mpeg2(number, second))
        for number in range(MPEG2_FRAMES)
        for second in (False, True)
    ]


def _mpeg2(number: int, second: bool) -> bytes:
    width, height = MPEG2_SIZE
    data = b""
    if not second:
        size = (width << 12 | height).to_bytes(3)
        data += b"\0\0\1\xb3" + size + b"\x13\xff\xff\xe0\x18"  # square pixels, 25 a second
        data += b"\0\0\1\xb5\x14\x82\0\1\0\0"  # of fields, 4:2:0
    # temporal_reference, an I picture, no vbv_delay; in its extension picture_structure
    data += b"\0\0\1\0" + (number << 22 | 1 << 19 | 0xFFFF << 3).to_bytes(4)
    structure = 2 if second else 1
    data += b"\0\0\1\xb5\x8f\xff" + bytes([0xF0 | structure, 0, 0])
    level = round(16 + (40 + 5 * number) * 219 / 255) - 128
    length = abs(level).bit_length()
    code = level if level > 0 else level + (1 << length) - 1
    first = _DC_BITS[length] + (f"{code:0{length}b}" if length else "") + "10"
    same, chroma = _DC_BITS[0] + "10", "0010"
    blocks = "11" + first + 3 * same + 2 * chroma
    blocks += (width // 16 - 1) * ("11" + 4 * same + 2 * chroma)
    bits = "000010" + blocks  # quantiser_scale_code 1
    bits += "0" * (-len(bits) % 8)
    for row in range(height // 32):
        data += b"\0\0\1" + bytes([row + 1])
        data += bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    return data


def muxed(
    fields: Sequence[Field], codec: str, container: str, *, apart: bool, **options: str
) -> bytes:
    """The fields in a container: each in a packet of its own where `apart`, else both in one."""
    raw = b"".join(field.data for field in fields)
    base = Fraction(1, 90_000)
    with (
        av.open(io.BytesIO(raw), "r", format=codec) as source,
        written(container, options) as (file, result),
    ):
        copy = file.add_stream_from_template(source.streams.video[0], opaque=True)
        packets: list[tuple[Field, bytes]] = []
        for field in fields:
            if field.first or apart:
                packets.append((field, field.data))
            else:
                packets[-1] = (packets[-1][0], packets[-1][1] + field.data)
        for field, data in packets:
            packet = cast("Packet[VideoStream]", Packet(data))
            halves = 2 * field.number + (not field.first)
            packet.pts = packet.dts = 90_000 * halves // (2 * RATE)
            packet.time_base, packet.duration = base, 90_000 // RATE // (2 if apart else 1)
            packet.is_keyframe, packet.stream = field.key, copy
            file.mux(packet)
    return result()


def _case(name: str, how: Fields, container: str, *, apart: bool, **options: str) -> Case:
    return Case(
        name=f"H.264 fields: {name}",
        make=lambda: muxed(h264(how), "h264", container, apart=apart, **options),
        numbers=range(0, 2 * FRAMES, 2),
        rate=float(RATE),
        look=Look(interlaced=True),
    )


IP, II = Fields(), Fields(second="I")
BOTTOM = Fields(bottom_first=True)
SPARE = Fields(all_referenced=False)
PICTURES = [
    *[
        _case(f"both in a packet ({name})", IP, container, apart=False)
        for name, container in (("ts", "mpegts"), ("mkv", "matroska"), ("mp4", "mp4"))
    ],
    *[
        _case(f"each in a packet ({name})", IP, container, apart=True, **options)
        for name, container, options in (
            ("ts", "mpegts", {}),
            ("m2ts", "mpegts", {"mpegts_m2ts_mode": "1"}),
            ("mkv", "matroska", {}),
            ("mp4", "mp4", {}),
        )
    ],
    _case("both of a key frame by themselves (mp4)", II, "mp4", apart=True),
    _case("the bottom one first (mkv)", BOTTOM, "matroska", apart=True),
    _case("every other frame no reference (ts)", SPARE, "mpegts", apart=True),
    *[
        Case(
            name=f"MPEG-2 fields: each in a packet ({name})",
            make=functools.partial(muxed, mpeg2(), "mpegvideo", container, apart=True),
            numbers=range(MPEG2_FRAMES),
            rate=float(RATE),
            size=MPEG2_SIZE,
            codec="mpeg2video",
            look=Look(interlaced=True),
            colours=False,
        )
        for name, container in (("ts", "mpegts"), ("mkv", "matroska"), ("mp4", "mp4"))
    ],
]
