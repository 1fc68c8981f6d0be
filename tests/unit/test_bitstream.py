"""What packets' own headers say, on headers made by hand; the corpus has real streams."""

import pytest

from workers.media.bitstream import reader
from workers.media.kind import Kind

AVCC = bytes((1, 100, 0, 31, 0xFF, 0xE1))  # lengths of 4 bytes
HVCC = bytes((1, *(20 * [0]), 0xFF))
IDR, P, B, SPS = b"\x65", b"\x41", b"\x01", b"\x67"  # H.264: nal_ref_idc 3, 2, 0; a parameter set
IRAP, TRAIL_R, TRAIL_N = b"\x26\x01", b"\x02\x01", b"\x00\x01"  # HEVC, temporal layer 0
TRAIL_N_2 = b"\x00\x03"  # layer 2


def prefixed(*units: bytes) -> bytes:
    """NAL units as in mp4, with some bytes of content."""
    return b"".join(len(unit + b"data").to_bytes(4) + unit + b"data" for unit in units)


def started(*units: bytes) -> bytes:
    """NAL units as in transport streams."""
    return b"".join(b"\0\0\1" + unit + b"data" for unit in units)


H264 = {
    "an IDR frame": ([IDR], Kind(starts=True)),
    "an IDR frame with its parameters": ([SPS, IDR], Kind(starts=True, sets=True)),
    "a P frame": ([P], Kind()),
    "a B frame that none leans on": ([B], Kind(disposable=True)),
    "two slices of one": ([B, B], Kind(disposable=True)),
    "a pair of fields, the second a reference": ([B, P], Kind()),
    "parameters alone": ([SPS], Kind(sets=True)),
    "a data partition": ([b"\x02"], Kind()),
}


@pytest.mark.parametrize("name", H264)
@pytest.mark.parametrize(("extradata", "pack"), [(AVCC, prefixed), (None, started)])
def test_h264(name: str, extradata: bytes | None, pack: object) -> None:
    units, kind = H264[name]
    assert callable(pack)

    assert reader("h264", extradata=extradata, intra_only=False)(pack(*units)) == kind


HEVC = {
    "an IDR frame": ([IRAP], Kind(starts=True)),
    "a frame that others lean on": ([TRAIL_R], Kind()),
    "one that none of its layer leans on": ([TRAIL_N], Kind(disposable=True)),
    "one of a higher layer": ([TRAIL_N_2], Kind(disposable=True, layer=2)),
    "a CRA frame": ([b"\x2a\x01"], Kind(starts=True)),
    "parameters": ([b"\x40\x01", b"\x42\x01", b"\x44\x01"], Kind(sets=True)),
}


@pytest.mark.parametrize("name", HEVC)
@pytest.mark.parametrize(("extradata", "pack"), [(HVCC, prefixed), (None, started)])
def test_hevc(name: str, extradata: bytes | None, pack: object) -> None:
    units, kind = HEVC[name]
    assert callable(pack)

    assert reader("hevc", extradata=extradata, intra_only=False)(pack(*units)) == kind


def mpeg2(*kinds: int, sequence: bool = False) -> bytes:
    """Picture headers of these coding types."""
    pictures = b"".join(b"\0\0\1\0" + bytes((0, kind << 3, 0xFF)) for kind in kinds)
    return (b"\0\0\1\xb3rest" if sequence else b"") + pictures


OTHERS = [
    ("mpeg2video", mpeg2(1, sequence=True), Kind(starts=True, sets=True)),
    ("mpeg2video", mpeg2(2), Kind()),
    ("mpeg2video", mpeg2(3), Kind(disposable=True)),
    ("mpeg2video", mpeg2(3, 3), Kind(disposable=True)),  # a pair of fields
    ("mpeg2video", mpeg2(1, 2), Kind(starts=True)),
    ("mpeg4", b"\0\0\1\xb6\x10", Kind(starts=True)),
    ("mpeg4", b"\0\0\1\xb6\x50", Kind()),
    ("mpeg4", b"\0\0\1\xb6\x90", Kind(disposable=True)),
    ("mpeg4", b"\0\0\1\xb6\x50..\0\0\1\xb6\x90", Kind()),  # packed
    ("vp8", b"\x10", Kind(starts=True)),
    ("vp8", b"\x11", Kind()),
    ("vp8", b"\x01", Kind(hidden=True)),
    ("vp9", b"\x80", Kind(starts=True)),
    ("vp9", b"\x84", Kind()),  # not a key frame
    ("vp9", b"\x88", Kind()),  # an older frame shown anew
    ("av1", b"\x12\x00", Kind()),
    ("unheard of", b"anything", Kind()),
]


@pytest.mark.parametrize(("codec", "data", "kind"), OTHERS)
def test_other_codecs(codec: str, data: bytes, kind: Kind) -> None:
    assert reader(codec, extradata=None, intra_only=False)(data) == kind


def test_every_frame_of_a_codec_without_others_is_a_start() -> None:
    assert reader("mjpeg", extradata=None, intra_only=True)(b"\xff\xd8") == Kind(starts=True)


SHORT = [b"\0", b"\0\0\1", b"\0\0\1\0", b"\xff" * 9, b"\0\0\1\xb6", b"\0" * 5]


@pytest.mark.parametrize("codec", ["h264", "hevc", "mpeg2video", "mpeg4", "vp8", "vp9"])
@pytest.mark.parametrize("extradata", [None, b"", b"\1"])
@pytest.mark.parametrize("data", SHORT)
def test_bytes_that_end_early_are_no_error(
    codec: str, extradata: bytes | None, data: bytes
) -> None:
    assert not reader(codec, extradata=extradata, intra_only=False)(data).disposable
