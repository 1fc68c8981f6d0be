"""Of several video tracks the one that its file has on is taken, and a choice is not silent."""

import io
import struct
from collections.abc import Callable

import av
import pytest

from tests.integration.test_media import cut
from tests.support import clips, ebml, mp4_boxes
from tests.support.clips import written
from tests.support.mp4_boxes import box

X264 = {"preset": "veryfast", "bf": "0"}
FIRST, SECOND = (192, 128), (128, 96)
DEFAULT = av.stream.Disposition.default


def both(
    container: str,
    *,
    default: tuple[bool, bool] = (True, True),
    options: dict[str, str] | None = None,
) -> bytes:
    """Two tracks; the second one's frames are numbered from 500."""
    parts = [
        clips.encode(48, size=FIRST, options=X264),
        clips.encode(48, size=SECOND, options=X264, first_number=500),
    ]
    with written(container, options or {}) as (file, result):
        sources = [av.open(io.BytesIO(part), "r") for part in parts]
        copies = [file.add_stream_from_template(source.streams.video[0]) for source in sources]
        for copy, on in zip(copies, default, strict=True):
            copy.disposition = DEFAULT if on else av.stream.Disposition(0)
        packets = [
            (packet.dts * packet.time_base, place, packet)
            for place, source in enumerate(sources)
            for packet in source.demux(video=0)
            if packet.size and packet.dts is not None
        ]
        for _, place, packet in sorted(packets, key=lambda each: each[:2]):
            packet.stream = copies[place]
            file.mux(packet)
        for source in sources:
            source.close()
    return result()


def enabled(data: bytes, *on: bool) -> bytes:
    """An mp4 whose tracks' headers say that they are enabled, or not (14496-12, 8.3.2)."""
    at = 0
    out = bytearray(data)
    for each in on:
        at = out.index(b"tkhd", at) + 4
        out[at + 3] = out[at + 3] & ~1 | each
    return bytes(out)


def with_first_track(data: bytes, added: bytes) -> bytes:
    return mp4_boxes.edited(data, "moov/trak", lambda old: old + added)


def depth_first(kind: str) -> bytes:
    reference = box("tref", box(kind, struct.pack(">I", 2)))
    return with_first_track(enabled(both("mp4"), True, True), reference)


def not_enabled(*, default: tuple[bool, bool]) -> bytes:
    """A Matroska file whose first track is not to be played (RFC 9559, 5.1.4.1.4)."""
    data = both("matroska", default=default, options={"live": "1"})
    return ebml.in_track(data, ebml.element("b9", 0))


TAKEN_ALONE: dict[str, tuple[Callable[[], bytes], tuple[int, int]]] = {
    "mp4, the first is disabled": (lambda: enabled(both("mp4"), False, True), SECOND),
    "mp4, the second is disabled": (lambda: enabled(both("mp4"), True, False), FIRST),
    "mov, the first is disabled": (lambda: enabled(both("mov"), False, True), SECOND),
    "mkv, the second is the default": (lambda: both("matroska", default=(False, True)), SECOND),
    "mkv, the first is the default": (lambda: both("matroska", default=(True, False)), FIRST),
    "mkv, the first is not enabled": (lambda: not_enabled(default=(True, True)), SECOND),
    "mkv, the first is not enabled but the default": (
        lambda: not_enabled(default=(True, False)),
        SECOND,
    ),
    "mp4, the first is a depth map": (lambda: depth_first("vdep"), SECOND),
    "mp4, the first is a layer of the second": (lambda: depth_first("sbas"), SECOND),
}


@pytest.mark.parametrize("kind", TAKEN_ALONE)
def test_the_track_that_is_on_and_stands_for_itself_is_taken(kind: str) -> None:
    make, size = TAKEN_ALONE[kind]

    clip, (window,) = cut(make())

    first = 500 if size == SECOND else 0
    assert (clip.source.width, clip.source.height) == size
    assert clips.numbers_in(window.frames.frames) == [
        first + number for number in window.plan.frame_indices
    ]
    assert clip.warnings == []
    assert clip.source.video_streams == 2


AMBIGUOUS: dict[str, Callable[[], bytes]] = {
    "mp4, both enabled": lambda: enabled(both("mp4"), True, True),
    "mp4, none enabled": lambda: enabled(both("mp4"), False, False),
    "mkv, both the default": lambda: both("matroska"),
    "mkv, none the default": lambda: both("matroska", default=(False, False)),
    "ts": lambda: both("mpegts"),
}


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_where_another_may_be_meant_the_first_is_taken_with_a_warning(kind: str) -> None:
    clip, _ = cut(AMBIGUOUS[kind]())

    assert (clip.source.width, clip.source.height) == FIRST
    assert clip.warnings == [
        "it has 2 video tracks that may be meant: number 1 of 2 (192×128) is taken"
    ]
