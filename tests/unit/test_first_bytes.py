"""Whether a file of an ambiguous ending is a video, by its first bytes."""

import io
import struct

import pytest
from PIL import Image

from clipfleet_producer.sources.endings import AMBIGUOUS, DEMUXERS
from clipfleet_producer.sources.first_bytes import LOOKED_AT_BYTES, holds_video


def transport_stream(*, before: bytes = b"", around: tuple[bytes, bytes] = (b"", b"")) -> bytes:
    packet = around[0] + b"G" + bytes(187) + around[1]
    return before + packet * 40


def ogg(*begins: bytes) -> bytes:
    """The pages that begin as many streams."""
    return b"".join(
        b"OggS\0\2" + struct.pack("<QIII", 0, serial, serial, 0) + bytes([1, len(first)]) + first
        for serial, first in enumerate(begins)
    )


def gif(images: int, *, size: int = 8, **how: object) -> bytes:
    file = io.BytesIO()
    made = [Image.effect_noise((size, size), 90 + number) for number in range(images)]
    made[0].save(file, "GIF", save_all=True, append_images=made[1:], **how)
    return file.getvalue()


def with_comment(data: bytes, sign: bytes) -> bytes:
    """The GIF with a block of some program before its first image."""
    palette = 13 + (3 << (data[10] & 7) + 1)
    return data[:palette] + b"!\xff\x0b" + sign + b"\3abc\0" + data[palette:]


MPEG1_PACK = bytes.fromhex("000001ba 21 00010001 80 0df9")
MPEG1_PACK += b"\1" * (12 - len(MPEG1_PACK))
MPEG2_PACK = bytes.fromhex("000001ba 44 0004000401 01893c f8")
MPEG2_PACK = MPEG2_PACK[:13] + b"\xf8"

VIDEOS = {
    "a transport stream": (".ts", transport_stream()),
    "one that begins within a packet": (".ts", transport_stream(before=b"G" * 7 + bytes(90))),
    "one of a Blu-ray": (".mts", transport_stream(around=(b"\1\2\3G", b""))),
    "one with checksums": (".ts", transport_stream(around=(b"", bytes(16)))),
    "one by a recorder's name": (".dat", transport_stream()),
    "a program stream of a camera": (".mod", MPEG2_PACK + b"\0\0\1\xbb"),
    "one with stuffing": (".mod", MPEG2_PACK[:-1] + b"\xfa\xff\xff\0\0\1\xe0"),
    "a Video CD": (".dat", b"RIFF\0\0\0\0CDXAfmt " + bytes(52) + MPEG1_PACK + b"\0\0\1\xbb"),
    "Theora behind Vorbis": (".ogg", ogg(b"\1vorbis", b"\x80theora\3\2\1")),
    "VP8": (".ogx", ogg(b"OVP80\1\1\0")),
    "an OGM": (".ogg", ogg(b"\1video\0\0\0DIVX")),
    "a GIF of two images": (".gif", gif(2)),
    "a GIF that shows large images in turn": (".gif", gif(2, size=400, duration=40)),
    "a GIF in a loop, of large images": (".gif", gif(2, size=400, loop=0)),
}

OTHERS = {
    "TypeScript": (".ts", b"export const G: string = 'GGGG';\n" * 3000),
    "a TypeScript module": (".mts", b"import G from './G.mjs';\n"),
    "a Go module": (".mod", b"module example.org/G\n\ngo 1.26\n"),
    "music for trackers": (".mod", b"song".ljust(1080, b"\0") + b"M.K." + bytes(4096)),
    "sound": (".ogg", ogg(b"\1vorbis\0\0\0\0")),
    "speech": (".ogg", ogg(b"OpusHead\1")),
    "a still": (".gif", gif(1)),
    "a still of over 64 KiB": (".gif", gif(1, size=400)),
    "a still that a program looped": (".gif", gif(1, loop=0)),
    "a still with a colour profile": (".gif", with_comment(gif(1, size=400), b"ICCRGBG1012")),
    "numbers": (".dat", b"".join(number.to_bytes(4, "big") for number in range(2000))),
    "data": (".dat", bytes(range(256)) * 256),
    "nothing": (".dat", b""),
    "a text that is called a GIF": (".gif", b"not found"),
    "the first letters of one": (".gif", b"GIF89a"),
}


@pytest.mark.parametrize("what", VIDEOS)
def test_a_video_is_known_by_its_first_bytes(what: str) -> None:
    ending, data = VIDEOS[what]

    assert holds_video(ending, data[:LOOKED_AT_BYTES])


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_no_video_is_not_taken_for_one(what: str) -> None:
    ending, data = OTHERS[what]

    assert not holds_video(ending, data[:LOOKED_AT_BYTES])


@pytest.mark.parametrize("ending", sorted(AMBIGUOUS))
@pytest.mark.parametrize(
    "data", [b"", b"\0" * LOOKED_AT_BYTES, b"G" * 500, b"GIF89a" + b"\xff" * 9]
)
def test_every_ambiguous_ending_is_looked_into_whatever_the_bytes(ending: str, data: bytes) -> None:
    assert ending in DEMUXERS
    assert holds_video(ending, data) in (True, False)
