"""Cases about where a clip starts: edit lists, offsets, stream copies, open GOPs."""

import functools
import struct
from fractions import Fraction

from tests.support import clips, mp4_boxes
from tests.support.corpus.case import X264, X265, Case, h264
from tests.support.corpus.remux import Packets, copied_from, remux, shifted

OPEN_X264 = {
    **X264,
    "x264-params": "open-gop=1:keyint=24:min-keyint=24:scenecut=0:b-adapt=0",
}
OPEN_X265 = {
    **X265,
    "x265-params": X265["x265-params"]
    + ":open-gop=1:keyint=24:min-keyint=24:scenecut=0:bframes=3:b-adapt=0:repeat-headers=1",
}


def from_second_key(packets: Packets) -> Packets:
    """A stream copy from the second key frame on, which is shown a second after the start."""
    keys = [i for i, packet in enumerate(packets) if packet.is_keyframe]
    first = packets[keys[1]]
    return shifted(1 - (first.pts or 0) * first.time_base)(packets[keys[1] :])


@functools.cache
def open_gop(encoder: str) -> bytes:
    """72 frames in three open GOPs, their headers repeated."""
    options = {"libx264": OPEN_X264, "libx265": OPEN_X265}[encoder]
    return clips.encode(72, codec=encoder, container="mpegts", options=options)


def open_start(encoder: str, container: str) -> bytes:
    """Its last two GOPs; their first frames reference one that is gone, and are not shown."""
    return remux(open_gop(encoder), container, change=from_second_key)


def negative_start() -> bytes:
    """A mp4 without edit list, whose composition offsets put the first frame before zero."""

    def early(ctts: bytes) -> bytes:
        (count,) = struct.unpack_from(">I", ctts, 4)
        entries = struct.iter_unpack(">Ii", ctts[8:])
        moved = b"".join(struct.pack(">Ii", n, offset - 4096) for n, offset in entries)
        return struct.pack(">II", 1 << 24, count) + moved  # version 1: offsets are signed

    data = mp4_boxes.edited(h264(), "moov/trak/mdia/minf/stbl/ctts", early)
    return mp4_boxes.edited(data, "moov/trak/edts", lambda _: None)


def edited(*edits: tuple[int, int], data: bytes | None = None) -> bytes:
    """A clip whose edit list shows these stretches of frames (first, number); -1: nothing."""
    data = data or h264()
    movie, media = mp4_boxes.timescales(data)
    (delay,) = struct.unpack_from(">i", mp4_boxes.content(data, "moov/trak/edts/elst"), 12)
    return mp4_boxes.with_edits(
        data,
        [
            (number * movie // 30, -1 if first < 0 else delay + first * media // 30)
            for first, number in edits
        ],
    )


STARTS = [
    Case(
        name="edit list from mid-GOP, as a stream copy with -ss writes it",
        make=lambda: remux(h264(), "mp4", change=copied_from(Fraction(35, 30))),
        numbers=range(35, 60),
    ),
    Case(name="edit list of frames 10 to 49", make=lambda: edited((10, 40)), numbers=range(10, 50)),
    Case(
        name="edit list of two stretches",
        make=lambda: edited((0, 20), (40, 20), data=clips.encode(60, options={**X264, "bf": "0"})),
        numbers=[*range(20), *range(40, 60)],
    ),
    Case(
        # FFmpeg 8.1 gives the frames, but shows the second stretch as many frames late as
        # B-frames delay the first, which the edit itself should take off: times are not asked.
        name="edit list of two stretches, with B-frames",
        make=lambda: edited((0, 20), (40, 20)),
        numbers=[*range(20), *range(40, 60)],
        rate=None,
        sampling=None,
    ),
    Case(name="edit list with an empty edit of 1 s first", make=lambda: edited((-1, 30), (0, 60))),
    Case(name="start at 10 h (ts)", make=lambda: remux(h264(), "mpegts", change=shifted(36_000))),
    Case(name="start at 5 s (mkv)", make=lambda: remux(h264(), "matroska", change=shifted(5))),
    Case(name="negative start (mp4)", make=negative_start),
    Case(
        name="sound starts half a second before the picture (mp4)",
        make=lambda: mp4_boxes.with_edits(h264(sound=True), [(500, -1), (2000, 1024)]),
    ),
    Case(
        name="mkv cut by stream copy at a key frame",
        make=lambda: remux(h264(), "matroska", change=copied_from(Fraction(24, 30))),
        numbers=range(24, 60),
    ),
    *[
        Case(
            name=f"open GOP in the middle ({name})",
            make=functools.partial(open_gop, f"lib{name}"),
            numbers=range(72),
            codec=codec,
        )
        for name, codec in (("x264", "h264"), ("x265", "hevc"))
    ],
]


OPEN_STARTS = [
    Case(
        name=f"open GOP at the start, after a stream copy ({encoder[3:]}, {suffix})",
        make=functools.partial(open_start, encoder, container),
        numbers=range(24, 72),
        codec=codec,
        may_warn=True,
    )
    for encoder, codec in (("libx264", "h264"), ("libx265", "hevc"))
    for suffix, container in (
        ("mp4", "mp4"),
        ("mkv", "matroska"),
        ("ts", "mpegts"),
        ("raw", codec),
    )
]
