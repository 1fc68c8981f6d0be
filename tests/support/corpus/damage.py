"""Cases about files that are cut short or overwritten, and about what else lies in a file."""

import contextlib
import functools
import io
from collections.abc import Callable
from typing import Any

import av
import numpy as np

from tests.integration.reference import Look
from tests.support import clips, mp4_boxes
from tests.support.corpus.case import MPEG2, X264, X265, Case, h264
from tests.support.corpus.remux import packet_places

GOP_OF_30 = {**X264, "g": "30"}
SHORT = r"(?i)cut short|truncat|missing|ends early|incomplete"
LOST = r"(?i)lost|damag|corrupt|could not|conceal"


@functools.cache
def whole(container: str, muxer: tuple[tuple[str, str], ...] = ()) -> bytes:
    """120 frames of H.264 with B-frames, in four GOPs."""
    return clips.encode(120, container=container, options=GOP_OF_30, container_options=dict(muxer))


@functools.cache
def numbers_as_decoded() -> list[int]:
    """The number of each packet's frame, in the order in which packets lie in a file."""
    with av.open(io.BytesIO(whole("mp4")), "r") as source:
        times = [packet.pts or 0 for packet in source.demux(video=0) if packet.size]
    return [sorted(times).index(time) for time in times]


def cut_in(data: bytes, place: int) -> bytes:
    """The file up to the middle of a packet, counted in the order in which they lie."""
    at, length, _ = packet_places(data)[place]
    return data[: at + length // 2]


def overwritten(data: bytes, places: range, *, header: bool = False) -> bytes:
    """The file with the pixels of some packets zeroed, their first bytes kept but for `header`.

    Zeros alone decode to something in HEVC, without a word from FFmpeg 8.1: there, a lost frame
    can be known of only where its header is gone.
    """
    changed = bytearray(data)
    for at, length, _ in [packet_places(data)[place] for place in places]:
        kept = 4 if header else length // 4  # a mp4 sample starts with its length
        changed[at + kept : at + length] = bytes(length - kept)
    return bytes(changed)


SHORTENED = [
    Case(
        name=f"tail missing: {name}",
        make=functools.partial(lambda c, m: cut_in(whole(c, m), 84), container, muxer),
        numbers=lambda: sorted(numbers_as_decoded()[:84]),
        sampling=None,
        rate=None,
        warnings=[SHORT] if known else [],
        may_warn=True,
    )
    for name, container, muxer, known in (
        ("mp4, index first", "mp4", (("movflags", "+faststart"),), True),
        ("fragmented mp4", "mp4", (("movflags", "frag_keyframe+empty_moov"),), True),
        ("mkv", "matroska", (), True),
        ("ts", "mpegts", (), False),
        ("avi", "avi", (), True),
        ("flv", "flv", (), True),
    )
]


def without_index() -> bytes:
    (start,) = (start for name, start, _ in clips.boxes(whole("mp4")) if name == "moov")
    return whole("mp4")[:start]


def with_tail_of_zeros() -> bytes:
    """A download that was given its size at once, and broke off after 84 packets."""
    data = whole("mp4", (("movflags", "+faststart"),))
    at, length, _ = packet_places(data)[84]
    kept = at + length // 2
    return data[:kept] + bytes(len(data) - kept)


def transport_packets(first: int, number: int, change: Callable[[bytes], bytes]) -> bytes:
    """A transport stream with some of its packets changed, from a frame's first one on."""
    data = whole("mpegts")
    start = packet_places(data)[first][0] // 188 * 188
    end = start + 188 * number
    return data[:start] + change(data[start:end]) + data[end:]


def noise(old: bytes) -> bytes:
    return np.random.default_rng(1).integers(0, 256, len(old), np.uint8).tobytes()


def damaged(name: str, make: Callable[[], bytes], *, at_least: int = 90, **more: Any) -> Case:
    """120 frames, some of which are lost."""
    how: dict[str, Any] = {"numbers": range(120), "sampling": None, "rate": None}
    how |= {"warnings": [LOST], "may_warn": True}
    return Case(name=f"damage: {name}", make=make, at_least=at_least, **{**how, **more})


def hevc() -> bytes:
    options = {**X265, "x265-params": X265["x265-params"] + ":keyint=30:min-keyint=30"}
    return clips.encode(120, codec="libx265", options=options)


def mjpeg() -> bytes:
    options = {"b": "20M"}
    return clips.encode(
        120, codec="mjpeg", container="mov", pixel_format="yuvj420p", options=options
    )


def mpeg2() -> bytes:
    return clips.encode(120, codec="mpeg2video", container="mpeg", options=MPEG2)


def mid_gop() -> bytes:
    """A transport stream that was tuned into after its first key frame."""
    data = whole("mpegts")
    tables = data[: 188 * 3]  # which streams there are
    return tables + data[packet_places(data)[10][0] // 188 * 188 :]


# Packet 36 holds frame 34, which a clip of 120 frames is sampled at, and others reference it.
OVERWRITTEN = [
    damaged("one frame overwritten (mp4)", lambda: overwritten(whole("mp4"), range(36, 37))),
    damaged("three frames overwritten (mp4)", lambda: overwritten(whole("mp4"), range(36, 39))),
    damaged(
        "three frames overwritten (mkv)", lambda: overwritten(whole("matroska"), range(36, 39))
    ),
    damaged("a key frame overwritten (mp4)", lambda: overwritten(whole("mp4"), range(60, 61))),
    damaged(
        "HEVC, three frames overwritten, header and all (mp4)",
        lambda: overwritten(hevc(), range(36, 39), header=True),
        codec="hevc",
    ),
    damaged(
        "intra only, one frame overwritten (motion JPEG)",
        lambda: overwritten(mjpeg(), range(34, 35)),
        at_least=119,
        codec="mjpeg",
        pixel_format="yuvj420p",
        look=Look(full_range=True),
        guessed=False,
    ),
    damaged(
        "MPEG-2, three frames overwritten (program stream)",
        lambda: overwritten(mpeg2(), range(36, 39)),
        codec="mpeg2video",
    ),
    damaged("packets zeroed (ts)", lambda: transport_packets(36, 6, lambda old: bytes(len(old)))),
    damaged("packets lost (ts)", lambda: transport_packets(36, 6, lambda _: b"")),
    damaged("5 KB of noise (ts)", lambda: transport_packets(36, 26, noise)),
    damaged("begins after its key frame (ts)", mid_gop, numbers=range(30, 120)),
    damaged(
        "tail of zeros (mp4)",
        with_tail_of_zeros,
        numbers=lambda: sorted(numbers_as_decoded()[:84]),
        at_least=80,
    ),
]


def beside(*files: bytes, container: str = "mp4", cover: bool = False) -> bytes:
    """The first video streams of these files in one; with `cover` the last is a cover picture."""
    with contextlib.ExitStack() as stack:
        sources = [stack.enter_context(av.open(io.BytesIO(data), "r")) for data in files]
        file, result = stack.enter_context(clips.written(container, {}))
        streams = [source.streams.video[0] for source in sources]
        copies = [file.add_stream_from_template(stream) for stream in streams]
        if cover:
            copies[-1].disposition = av.stream.Disposition.attached_pic
        for source, stream, copy in zip(sources, streams, copies, strict=True):
            for packet in source.demux(stream):
                if packet.size:
                    packet.stream = copy
                    file.mux(packet)
    return result()


def cover_picture() -> bytes:
    return clips.encode(
        1, codec="png", container="mov", pixel_format="rgb24", size=(64, 64), first_number=99
    )


def cover_first() -> bytes:
    """A mp4 with a cover picture that lies before the video, so that it is stream 0."""

    def cover_before_track(moov: bytes) -> bytes:
        parts = {name: moov[start:end] for name, start, end in clips.boxes(moov)}
        return parts.pop("mvhd") + parts.pop("udta") + b"".join(parts.values())

    return mp4_boxes.edited(beside(h264(), cover_picture(), cover=True), "moov", cover_before_track)


OTHERS = [
    Case(
        name="two video streams: the first is taken (mp4)",
        make=lambda: beside(
            h264(), clips.encode(30, size=(64, 48), options=X264, first_number=500)
        ),
        video_streams=2,
    ),
    Case(
        name="two video streams: the first is taken, though smaller (mkv)",
        make=lambda: beside(
            h264(),
            clips.encode(90, size=(384, 256), options=X264, first_number=500),
            container="matroska",
        ),
        video_streams=2,
        warnings=[r"2 video tracks"],
    ),
    Case(
        name="cover picture after the video (mp4)",
        make=lambda: beside(h264(), cover_picture(), cover=True),
    ),
    Case(name="cover picture before the video (mp4)", make=cover_first),
    Case(name="sound beside the picture (mp4)", make=lambda: h264(sound=True)),
    Case(
        name="sound beside the picture (mkv)", make=lambda: h264(container="matroska", sound=True)
    ),
    Case(
        name="sound alone (mp4)",
        make=clips.encode_sound,
        unreadable=r"no video stream",
    ),
    Case(
        name="sound that comes up in mid-file (ts)",
        make=lambda: (
            h264(30, container="mpegts") + h264(30, container="mpegts", first_number=30, sound=True)
        ),
        may_warn=True,
    ),
    Case(
        name="a codec that nobody knows (mp4)",
        make=lambda: h264().replace(b"avc1", b"zzz9"),
        unreadable=r"in a format that FFmpeg does not know",
    ),
    Case(
        name="mp4 whose index is missing",
        make=without_index,
        unreadable=r"not a video file that can be read",
    ),
]
