"""Streams whose parameters change on the way: what is wanted finds the decoder as it should be.

Two stretches of one size, from encoders of other settings, joined packet by packet. What a
decoder keeps from packets that no wanted frame references must be kept as well.
"""

import functools
import io
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

from clipfleet.grid import QWEN2_5_VL
from clipfleet.options import PrepareOptions, PreviewOptions
from clipfleet_workers.media import onepass
from tests.support import clips
from tests.support.corpus.case import X264, X265
from tests.support.corpus.remux import Packets, remux
from tests.support.fuzz.exact import check, full_decode
from tests.support.fuzz.joining import alone, join, write
from tests.support.fuzz.jpeg_tables import without
from tests.support.fuzz.mpeg2_headers import with_matrices
from tests.support.fuzz.parts import Encoding, Options, Part

H264 = "ref=1:bframes=0:keyint=5:scenecut=0:weightp=0"
HIGH = f"{H264}:8x8dct=1"
# Settings of one size and profile: of others, decoders begin anew.
H264_PAIRS = {
    "quantizers": (f"{H264}:qp=16", f"{H264}:qp=34"),
    "chroma quantizers": (f"{H264}:chroma-qp-offset=-8", f"{H264}:chroma-qp-offset=8"),
    "entropy coding": (f"{HIGH}:cabac=0", f"{HIGH}:cabac=1"),
    "transforms": (f"{H264}:cqm=jvt:8x8dct=0", f"{H264}:cqm=jvt:8x8dct=1"),
    "scaling matrices": (f"{HIGH}:cqm=flat", f"{HIGH}:cqm=jvt"),
    "weights": (f"{HIGH}:cabac=0", f"{HIGH}:cabac=0:weightp=2"),
}
H265 = X265["x265-params"] + ":keyint=5:min-keyint=5:bframes=0:scenecut=0:info=0"
H265_PAIRS = {
    "chroma quantizers": (H265, f"{H265}:cbqpoffs=6:crqpoffs=-6"),
    "loop filters": (H265, f"{H265}:no-deblock=1"),
    "sign hiding": (f"{H265}:signhide=0", f"{H265}:signhide=1:tskip=1"),
    "scaling lists": (H265, f"{H265}:scaling-list=default"),
}
# Where a stretch says its parameters: see `joining.join`.
WAYS = {
    "by the container, mp4": ("said", "mp4"),
    "by the container, mov": ("said", "mov"),
    "by the container, flv": ("said", "flv"),
    "in each key frame, ts": ("each", "mpegts"),
    "once, mkv": ("first", "matroska"),
    "behind the frame before, mkv": ("ahead", "matroska"),
}


class Never(random.Random):
    """Nothing is left to chance."""

    def random(self) -> float:
        return 1.0


@functools.cache
def part(encoder: str, options: tuple[tuple[str, str], ...], first: int, **more: Any) -> Part:
    """30 frames."""

    def fixed(_: random.Random) -> Options:
        return dict(options)

    encoding = Encoding(
        encoder=encoder,
        options=fixed,
        containers=(),
        frames=(30, 30),
        sizes=((96, 64),),
        **{"in_band": True, **more},
    )
    return encoding.part(random.Random(first))


def joined(
    encoder: str, one: dict[str, str], other: dict[str, str], way: str, container: str, **more: Any
) -> bytes:
    """Stretches of 30 frames of each setting, the last again of the first one's."""
    parts = [
        part(encoder, tuple(options.items()), number, **more)
        for number, options in enumerate((one, other, one))
    ]

    return write(join(parts, way, Never(), careful=True), container)


def changed(
    encoder: str, options: Options, pair: tuple[str, str], way: str, container: str
) -> bytes:
    """Of x264 or x265, by their own settings."""
    name = encoder.replace("lib", "") + "-params"
    one, other = ({**options, name: settings} for settings in pair)
    return joined(encoder, one, other, way, container)


CHANGED: dict[str, Callable[[], bytes]] = {
    f"{codec}: {name}, {kind}": functools.partial(changed, encoder, options, pair, *way)
    for codec, encoder, options, pairs in (
        ("H.264", "libx264", {}, H264_PAIRS),
        ("HEVC", "libx265", {"preset": "ultrafast"}, H265_PAIRS),
    )
    for name, pair in pairs.items()
    for kind, way in WAYS.items()
}


def palettes(encoder: str, container: str) -> bytes:
    """60 frames, those from the 30th on in other colours; the palette comes once."""
    with clips.written(container, {}) as (file, result):
        stream = file.add_stream(encoder, rate=30)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "pal8"
        for number in range(60):
            frame = av.VideoFrame(32, 24, "pal8")
            picture = np.full((24, frame.planes[0].line_size), number % 4, np.uint8)
            picture[:, 16:] = 1
            frame.planes[0].update(picture.tobytes())
            colours = np.zeros(256, np.uint32)
            first = [0xFFFF0000, 0xFF00FF00, 0xFF0000FF, 0xFFFFFFFF]
            colours[:4] = first if number < 30 else [0xFF00FFFF, 0xFFFF00FF, 0xFFFFFF00, 0xFF202020]
            frame.planes[1].update(colours.tobytes())
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return result()


def tables_once() -> bytes:
    """Motion JPEG whose first picture alone has the tables (ITU-T T.81, B.5)."""
    found = part("mjpeg", (("huffman", "default"),), 0, in_band=False, pixel_formats=("yuvj420p",))
    tables = {0xDB, 0xC4}
    chunks = [replace(each, data=without(each.data, tables)) for each in found.chunks[1:]]
    whole = replace(found, chunks=[found.chunks[0], *chunks])
    return write(alone(whole), "avi")


def matrices(container: str) -> bytes:
    """MPEG-2 whose quantizer matrices change on the way, in sequence headers and in pictures."""
    options = (("g", "6"), ("bf", "2"), ("q", "3"))
    found = [part("mpeg2video", options, number, in_band=False) for number in range(3)]
    edited = [
        with_matrices(each, random.Random(seed))
        for each, seed in zip(found, (9, 10, 11), strict=True)
    ]
    return write(join(edited, "never", Never(), careful=True), container)


OTHERS: dict[str, Callable[[], bytes]] = {
    "a palette, raw avi": lambda: palettes("rawvideo", "avi"),
    "a palette, raw mov": lambda: palettes("rawvideo", "mov"),
    "a palette, raw nut": lambda: palettes("rawvideo", "nut"),
    "a palette, gif": lambda: palettes("gif", "gif"),
    "a palette, Microsoft RLE": lambda: palettes("msrle", "avi"),
    "a palette, PNG": lambda: palettes("png", "mov"),
    "JPEG tables once, avi": tables_once,
    "MPEG-2 matrices, ts": lambda: matrices("mpegts"),
    "MPEG-2 matrices, mkv": lambda: matrices("matroska"),
    "MPEG-2 matrices, mp4": lambda: matrices("mp4"),
}
CLIPS = CHANGED | OTHERS


def colour_ranges(container: str) -> bytes:
    """H.264 of 30 frames of limited range and 30 of full range, as each half says."""
    halves = [
        clips.encode(
            30,
            container="h264",
            full_range=full,
            first_number=30 * full,
            matrix=5,  # else x264 leaves out that a range is limited
            options={**X264, "bf": "0", "g": "30"},
        )
        for full in (False, True)
    ]
    return remux(halves[0] + halves[1], container, change=evenly)


def evenly(packets: Packets) -> Packets:
    """Packets without times, at 30 a second."""
    for number, packet in enumerate(packets):
        packet.pts = packet.dts = round(number / 30 / packet.time_base)
    return packets


SHARE = 0.11  # of the frames: not the first of any stretch


@functools.cache
def clip(name: str) -> bytes:
    return CLIPS[name]()


@pytest.mark.parametrize("name", CLIPS)
def test_frames_are_those_of_a_full_decode(name: str) -> None:
    """Of the whole, and of a span that starts in the second stretch or ends in the third."""
    for span in ((0.4, 0.6), (0.5, 0.9)):
        verdict = check(clip(name), SHARE, span)
        assert (verdict.end, verdict.fault) == ("exact", "")


# Decoders of these begin anew, or no packet of theirs says where decoding can start.
WHOLE = ("HEVC: scaling lists", "a palette, gif", "a palette, Microsoft", "a palette, PNG")


@pytest.mark.parametrize("name", [name for name in CLIPS if not name.startswith(WHOLE)])
def test_packets_are_skipped_all_the_same(name: str) -> None:
    assert check(clip(name), SHARE, (0.5, 0.9)).skipped > len(full_decode(clip(name))) / 2


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
@pytest.mark.parametrize("span_s", [None, (1.2, 2.0)])
def test_each_frame_has_the_colours_of_its_own_range(
    container: str, span_s: tuple[float, float] | None
) -> None:
    """Not so after full range: FFmpeg's decoder gives all later frames in a layout of that."""
    made: list[onepass.Window] = []
    onepass.cut(
        io.BytesIO(colour_ranges(container)),
        prepare=PrepareOptions(model_does_preprocess=True, sampling_fps=5),
        preview=PreviewOptions(),
        grid=QWEN2_5_VL,
        write=made.append,
        span_s=span_s,
    )

    for window in made:
        for image in window.frames.frames:
            assert np.abs(np.array(clips.colours_in(image)) - clips.COLOURS).max() < 6
