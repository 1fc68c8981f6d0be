"""Cases about a picture's geometry: turns, pixel shapes, fields, sizes."""

import functools
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from tests.integration.reference import Look
from tests.support import clips, ebml, mp4_boxes
from tests.support.corpus.case import CODEC_OF, HEIGHT, MPEG2, VP9, WIDTH, X264, Case, h264
from tests.support.corpus.planes import Image
from tests.support.corpus.remux import remux, shifted


def stored(move: Callable[[Image], Image], size: tuple[int, int]) -> Callable[[int], Image]:
    """What draws a frame as it lies in a file: of `size` upright, then moved."""

    def draw(number: int) -> Image:
        return np.ascontiguousarray(move(clips.picture(number, width=size[0], height=size[1])))

    return draw


# How a frame lies in the file, and what `set_display_rotation` takes to undo it: degrees
# counter-clockwise, then flips. Found: clockwise degrees, and whether mirrored before.
TURNS: dict[str, tuple[Callable[[Image], Image], tuple[int, bool, bool], int, bool]] = {
    "turned by 90": (lambda i: np.rot90(i, 1), (-90, False, False), 90, False),
    "turned by 180": (lambda i: np.rot90(i, 2), (180, False, False), 180, False),
    "turned by 270": (lambda i: np.rot90(i, 3), (90, False, False), 270, False),
    "mirrored left to right": (np.fliplr, (0, True, False), 0, True),
    "mirrored top to bottom": (np.flipud, (0, False, True), 180, True),
    # Mirrored and turned clockwise, undone: turned counter-clockwise, then mirrored.
    "transposed": (lambda i: np.transpose(i, (1, 0, 2)), (-90, True, False), 270, True),
    "transversed": (
        lambda i: np.rot90(np.transpose(i, (1, 0, 2)), 2),
        (90, True, False),
        90,
        True,
    ),
}


def turned(turn: str, container: str = "mp4", /, **more: Any) -> Case:
    """A clip that says how its frames are to be turned."""
    move, display, degrees, mirrored = TURNS[turn]
    size = more.pop("size", (WIDTH, HEIGHT))
    how: dict[str, Any] = {"container": container, "options": X264, "display": display}
    how |= more.pop("how", {})
    lies = stored(move, size)(0).shape
    return Case(
        name=more.pop("name", f"{turn} ({container})"),
        make=lambda: clips.encode(60, size=(lies[1], lies[0]), draw=stored(move, size), **how),
        size=size,
        turned=degrees,
        mirrored=mirrored,
        **more,
    )


def by_message(filter_options: str, move: Callable[[Image], Image]) -> bytes:
    """A clip whose stream itself, not its container, says how frames are to be turned (SEI)."""
    shape = stored(move, (WIDTH, HEIGHT))(0).shape
    data = clips.encode(
        60,
        container="h264",
        size=(shape[1], shape[0]),
        draw=stored(move, (WIDTH, HEIGHT)),
        options={**X264, "g": "60"},
    )
    return remux(
        data, "h264", filters=[f"h264_metadata=display_orientation=insert:{filter_options}"]
    )


ORIENTATIONS = [
    *[turned(name) for name in TURNS],
    turned("turned by 90", "mov"),
    turned("turned by 90", "matroska", name="turned by 90 (mkv)"),
    Case(
        name="turned by 90, said in the H.264 stream alone",
        make=lambda: by_message("rotate=-90", lambda i: np.rot90(i, 1)),
        turned=90,
    ),
]

WIDE = Fraction(4, 3)  # 192 stored columns are shown as 256
NARROW = Fraction(8, 9)


def shaped(name: str, aspect: Fraction, **how: Any) -> Case:
    """A clip whose pixels are not square, which its stream and its container say."""
    codec = how.pop("decoded_as", "h264")
    return Case(
        name=f"{name}, pixels {aspect}",
        make=lambda: clips.encode(60, **{"options": X264, "pixel_aspect": aspect, **how}),
        codec=codec,
        look=Look(aspect=float(aspect)),
    )


def shaped_by_filter(container: str, aspect: str) -> bytes:
    """A clip whose H.264 stream alone says the pixels' shape."""
    data = h264(container="h264")
    return remux(data, container, filters=[f"h264_metadata=sample_aspect_ratio={aspect}"])


ASPECTS = [
    shaped("mp4", WIDE),
    shaped("mp4", NARROW),
    shaped("mkv", WIDE, container="matroska"),
    shaped("ts", WIDE, container="mpegts"),
    shaped(
        "MPEG-2 in ts",
        Fraction(32, 27),
        container="mpegts",
        codec="mpeg2video",
        options=MPEG2,
        decoded_as="mpeg2video",
    ),
    Case(
        name="raw H.264, pixels 4/3 by its stream alone",
        make=lambda: shaped_by_filter("h264", "4/3"),
        look=Look(aspect=4 / 3),
    ),
    Case(
        name="mp4, pixels 4/3 by its container alone",
        make=lambda: mp4_boxes.with_pixel_aspect(h264(), 4, 3),
        look=Look(aspect=4 / 3),
    ),
    Case(
        name="mp4, pixels 4/3 by its container, square by its stream",
        make=lambda: mp4_boxes.with_pixel_aspect(
            clips.encode(60, options=X264, pixel_aspect=Fraction(1)), 4, 3
        ),
        look=Look(aspect=4 / 3),
    ),
    Case(
        name="webm, pixels 4/3 by its container alone (VP9)",
        make=lambda: ebml.with_display_size(
            clips.encode(
                60,
                codec="libvpx-vp9",
                container="webm",
                options=VP9,
                container_options={"live": "1"},
            ),
            256,
            128,
        ),
        codec="vp9",
        look=Look(aspect=4 / 3),
    ),
    turned(
        "turned by 90",
        name="turned by 90, stored pixels 4/3: upright they are 3/4",
        how={"pixel_aspect": WIDE},
        look=Look(aspect=3 / 4),
    ),
]

FIELDS = Look(interlaced=True)
INTERLACED = [
    Case(
        name="interlaced H.264 (MBAFF), top field first",
        make=lambda: clips.encode(60, interlaced=True, options={**X264, "flags": "+ildct+ilme"}),
        numbers=range(0, 120, 2),
        look=FIELDS,
    ),
    Case(
        name="interlaced MPEG-2",
        make=lambda: clips.encode(
            60,
            interlaced=True,
            codec="mpeg2video",
            container="mpegts",
            options={**MPEG2, "flags": "+ildct+ilme"},
        ),
        numbers=range(0, 120, 2),
        codec="mpeg2video",
        look=FIELDS,
    ),
    Case(
        name="interlaced H.264, pixels 4/3",
        make=lambda: clips.encode(
            60,
            interlaced=True,
            pixel_aspect=WIDE,
            options={**X264, "flags": "+ildct+ilme"},
        ),
        numbers=range(0, 120, 2),
        look=Look(interlaced=True, aspect=4 / 3),
    ),
]


def flat(number: int, *, size: tuple[int, int] = (1, 1)) -> Image:
    """A picture with room for nothing but brightness."""
    return np.full((size[1], size[0], 3), 40 + 5 * number, np.uint8)


def sized(
    name: str, width: int, height: int, encoder: str, options: dict[str, str], **how: Any
) -> Case:
    """Frames of this size; small ones are told apart by their brightness."""
    small = min(width, height) < 16
    draw = functools.partial(flat, size=(width, height)) if small else None
    num_frames = 40 if small else 60
    return Case(
        name=name,
        make=lambda: clips.encode(
            num_frames, codec=encoder, size=(width, height), options=options, draw=draw, **how
        ),
        numbers=range(num_frames),
        codec=CODEC_OF.get(encoder, encoder),
        size=(width, height),
        pixel_format=how.get("pixel_format", "yuv420p"),
        colours=not small,
    )


@functools.cache
def two_sizes(container: str, second: tuple[int, int]) -> bytes:
    """30 frames of one size, then 30 of another, in one stream."""
    one = h264(30, container)
    other = clips.encode(30, container=container, size=second, options=X264, first_number=30)
    if container == "mpegts":
        other = remux(other, container, change=shifted(1))
    return one + other


def resized(name: str, container: str, second: tuple[int, int]) -> Case:
    return Case(
        name=f"{name}: {WIDTH}×{HEIGHT}, then {second[0]}×{second[1]}",
        make=lambda: two_sizes(container, second),
        size_of=lambda number: (WIDTH, HEIGHT) if number < 30 else second,
        warnings=[r"(?i)size|resolution|\d+×\d+"],
        may_warn=True,  # where two transport streams are joined, packets are missing by their count
    )


def huge() -> bytes:
    """Four frames of 8K, drawn small."""
    options = {"preset": "ultrafast", "crf": "20", "threads": "1"}
    return clips.encode(4, size=(7680, 4320), zoom=40, coded_as="bt709", options=options)


SIZES = [
    sized("odd size, VP9 4:2:0", 191, 127, "libvpx-vp9", VP9, container="webm"),
    sized("odd size, H.264 4:4:4", 191, 127, "libx264", X264, pixel_format="yuv444p"),
    sized("odd size, FFV1 4:2:0", 191, 127, "ffv1", {}, container="matroska"),
    sized("1×1, VP9", 1, 1, "libvpx-vp9", VP9, container="webm"),
    sized("1×1, H.264 4:4:4", 1, 1, "libx264", X264, pixel_format="yuv444p"),
    sized("2×2, H.264", 2, 2, "libx264", X264),
    sized("wide strip, 1024×32", 1024, 32, "libx264", X264),
    Case(
        name="8K, four frames",
        make=huge,
        numbers=range(4),
        size=(7680, 4320),
        look=Look(matrix="bt709"),
        at_source_size=False,
    ),
    resized("size changes, raw H.264", "h264", (96, 64)),
    resized("size changes, ts", "mpegts", (96, 64)),
    resized("size grows, ts", "mpegts", (384, 256)),
]
