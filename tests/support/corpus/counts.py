"""Cases about number: files without timestamps, without counts, with wrong ones, short and long."""

import functools
import struct

from tests.support import clips, mp4_boxes
from tests.support.corpus.case import AV1, MPEG2, VP9, X264, X265, Case, coded, h264

UNTIMED = [
    Case(name="no timestamps: raw H.264 with B-frames", make=lambda: h264(container="h264")),
    coded(
        "no timestamps: raw H.264 without B-frames",
        "libx264",
        {**X264, "bf": "0"},
        container="h264",
    ),
    coded("no timestamps: raw HEVC", "libx265", X265, container="hevc"),
    Case(name="no timestamps: H.264 with B-frames in avi", make=lambda: h264(container="avi")),
    coded("no timestamps: MPEG-4 part 2 with B-frames in avi", "mpeg4", MPEG2, container="avi"),
    coded("no timestamps: raw MPEG-4 part 2", "mpeg4", MPEG2, container="m4v"),
    coded("no timestamps: raw MPEG-2", "mpeg2video", MPEG2, container="mpeg2video"),
    coded(
        "no timestamps and no rate: raw motion JPEG",
        "mjpeg",
        {"b": "20M"},
        container="mjpeg",
        pixel_format="yuvj420p",
        guessed=False,
        rate=None,
        sampling=None,
    ),
    coded(
        "no timestamps and no rate: raw AV1 (obu)",
        "libsvtav1",
        AV1,
        container="obu",
        rate=None,
        sampling=None,
    ),
]


def miscounted_mp4(factor: float) -> bytes:
    """A mp4 whose headers give `factor` times its length, and no edit list that would cut it."""
    data = mp4_boxes.edited(h264(), "moov/trak/edts", lambda _: None)
    for path, at in (("moov/mvhd", 16), ("moov/trak/tkhd", 20), ("moov/trak/mdia/mdhd", 16)):
        (old,) = struct.unpack_from(">I", mp4_boxes.content(data, path), at)
        data = mp4_boxes.edited(data, path, mp4_boxes.overwritten(at, round(old * factor)))
    return data


def miscounted_avi(number: int) -> bytes:
    """An avi whose two headers say `number` frames."""
    data = bytearray(h264(container="avi"))
    struct.pack_into("<I", data, data.index(b"avih") + 8 + 16, number)
    struct.pack_into("<I", data, data.index(b"strh") + 8 + 32, number)
    return bytes(data)


COUNTS = [
    *[
        Case(name=f"no frame count: {name}", make=functools.partial(h264, 60, container))
        for name, container in (
            ("mkv", "matroska"),
            ("ts", "mpegts"),
            ("flv", "flv"),
            ("asf", "asf"),
        )
    ],
    Case(
        name="no frame count: fragmented mp4",
        make=lambda: h264(muxer=(("movflags", "frag_keyframe+empty_moov"),)),
    ),
    coded("no frame count: webm, VP9", "libvpx-vp9", VP9, container="webm"),
    Case(
        name="no frame count: mkv written as a live stream",
        make=lambda: h264(container="matroska", muxer=(("live", "1"),)),
    ),
    coded("no frame count: MPEG-2 program stream", "mpeg2video", MPEG2, container="mpeg"),
    Case(name="frame count in the header: mov", make=lambda: h264(container="mov")),
    Case(
        name="wrong length in the headers: mp4, three times too long",
        make=lambda: miscounted_mp4(3),
    ),
    Case(name="wrong length in the headers: mp4, a third", make=lambda: miscounted_mp4(1 / 3)),
    Case(name="wrong count in the headers: avi, 1000", make=lambda: miscounted_avi(1000)),
    Case(name="wrong count in the headers: avi, 10", make=lambda: miscounted_avi(10)),
    Case(name="wrong count in the headers: avi, 0", make=lambda: miscounted_avi(0)),
    Case(name="one frame", make=lambda: h264(1), numbers=range(1), windows=[]),
    Case(name="three frames", make=lambda: h264(3), numbers=range(3), windows=[]),
    Case(name="four frames", make=lambda: h264(4), numbers=range(4)),
    Case(
        name="an hour long: 7,200 frames at 2 fps",
        make=lambda: clips.encode(
            7200, rate=2, size=(48, 32), options={"preset": "ultrafast", "crf": "12", "g": "250"}
        ),
        numbers=range(7200),
        rate=2.0,
        size=(48, 32),
        windows=[*((i * 256, i * 256 + 255) for i in range(27)), (27 * 256, 7199)],
        prepare={"sampling_fps": 1 / 16},
    ),
]
