"""Cases about colours: matrices, ranges, what is not said, HDR, RGB and grey."""

import functools
from typing import Any

from tests.integration.reference import Look
from tests.support import clips
from tests.support.corpus.case import CODEC_OF, MPEG2, VP9, X264, X265, Case
from tests.support.corpus.planes import TAGS

ENCODERS: dict[str, tuple[str, dict[str, str], str]] = {
    "H.264": ("libx264", X264, "mp4"),
    "HEVC": ("libx265", X265, "mp4"),
    "VP9": ("libvpx-vp9", VP9, "webm"),
}


def tagged(kind: str, matrix: str, *, full: bool = False, pixel_format: str = "yuv420p") -> Case:
    """A clip that says its matrix and range."""
    encoder, options, container = ENCODERS[kind]
    # x265 alone writes no range unless told; limited is then what the standard says.
    return Case(
        name=f"{kind}, {matrix}, {'full' if full else 'limited'} range"
        + (", 10 bits" if "10" in pixel_format else ""),
        make=functools.partial(
            clips.encode,
            20,
            codec=encoder,
            container=container,
            options=options,
            pixel_format=pixel_format,
            matrix=TAGS[matrix],
            full_range=full,
        ),
        numbers=range(20),
        codec=CODEC_OF[encoder],
        # FFmpeg calls full-range 8-bit 4:2:0 of H.264 by a name of its own.
        pixel_format="yuvj420p"
        if full and kind != "VP9" and "10" not in pixel_format
        else pixel_format,
        look=Look(matrix=matrix, full_range=full),
        guessed=False,
    )


def unsaid(width: int, height: int, matrix: str) -> Case:
    """A clip of a size that lets its matrix be guessed."""
    return Case(
        name=f"matrix not said, {width}×{height}",
        make=lambda: clips.encode(6, size=(width, height), coded_as=matrix, options=X264),
        numbers=range(6),
        size=(width, height),
        look=Look(matrix=matrix),
    )


def high_dynamic_range(name: str, transfer: str, number: int) -> Case:
    """Ten bits of BT.2020 with a transfer that wants tone mapping."""
    return Case(
        name=f"HDR, {name}: shown without tone mapping",
        make=lambda: clips.encode(
            20,
            codec="libx265",
            options=X265,
            pixel_format="yuv420p10le",
            matrix=TAGS["bt2020"],
            tags={"color_primaries": 9, "color_trc": number},
        ),
        numbers=range(20),
        codec="hevc",
        pixel_format="yuv420p10le",
        look=Look(matrix="bt2020"),
        guessed=False,
        transfer=transfer,
        warnings=[r"(?i)tone|hdr"],
    )


def uncoloured(
    name: str, encoder: str, options: dict[str, str], *, look: Look | None = None, **how: Any
) -> Case:
    """RGB or grey: no matrix to choose."""
    decoded = how.pop("decoded", how["pixel_format"])
    grey = how["pixel_format"].startswith("gray")
    return Case(
        name=name,
        make=functools.partial(clips.encode, 20, codec=encoder, options=options, **how),
        numbers=range(20),
        codec=CODEC_OF.get(encoder, encoder),
        pixel_format=decoded,
        look=look or Look(full_range=True),
        matrix=None if grey else "rgb",
        guessed=None if grey else False,
        grey=grey,
    )


COLOURS = [
    *[
        tagged(kind, matrix, full=full)
        for kind in ENCODERS
        for matrix in ("bt601", "bt709", "bt2020")
        for full in (False, True)
    ],
    tagged("H.264", "smpte240m"),
    tagged("H.264", "bt709", pixel_format="yuv420p10le"),
    tagged("H.264", "bt709", full=True, pixel_format="yuv420p10le"),
    tagged("HEVC", "bt2020", pixel_format="yuv420p10le"),
    Case(
        name="MPEG-2, bt709, limited range",
        make=lambda: clips.encode(
            20, codec="mpeg2video", container="mpegts", options=MPEG2, matrix=TAGS["bt709"]
        ),
        numbers=range(20),
        codec="mpeg2video",
        look=Look(matrix="bt709"),
        guessed=False,
    ),
    Case(
        name="ProRes, bt709, limited range",
        make=lambda: clips.encode(
            20,
            codec="prores_ks",
            container="mov",
            pixel_format="yuv422p10le",
            matrix=TAGS["bt709"],
        ),
        numbers=range(20),
        codec="prores",
        pixel_format="yuv422p10le",
        look=Look(matrix="bt709"),
        guessed=False,
    ),
    unsaid(192, 128, "bt601"),
    unsaid(720, 576, "bt601"),
    unsaid(1278, 576, "bt601"),
    unsaid(1280, 534, "bt709"),
    unsaid(720, 578, "bt709"),
    unsaid(1280, 720, "bt709"),
    unsaid(360, 640, "bt709"),
    high_dynamic_range("PQ", "smpte2084", 16),
    high_dynamic_range("HLG", "arib-std-b67", 18),
    uncoloured("RGB in H.264", "libx264rgb", X264, pixel_format="rgb24", decoded="gbrp"),
    uncoloured("RGB in HEVC", "libx265", X265, pixel_format="gbrp"),
    uncoloured("RGB in FFV1, 8 bits", "ffv1", {}, container="matroska", pixel_format="bgr0"),
    uncoloured("RGB in FFV1, 10 bits", "ffv1", {}, container="matroska", pixel_format="gbrp10le"),
    uncoloured("RGB in PNG (mov)", "png", {}, container="mov", pixel_format="rgb24"),
    uncoloured("RGB with alpha in PNG (mov)", "png", {}, container="mov", pixel_format="rgba"),
    uncoloured(
        "grey in PNG (mov)", "png", {}, container="mov", pixel_format="gray", full_range=True
    ),
    uncoloured(
        "grey in HEVC, limited range",
        "libx265",
        X265,
        look=Look(),
        pixel_format="gray",
        tags={"color_range": 1},
    ),
    uncoloured("grey in HEVC, full range", "libx265", X265, pixel_format="gray", full_range=True),
    uncoloured(
        "grey in H.264, limited range",
        "libx264",
        X264,
        look=Look(),
        pixel_format="gray",
        decoded="yuv420p",
    ),
    uncoloured(
        "grey in FFV1, 10 bits, full range",
        "ffv1",
        {},
        container="matroska",
        pixel_format="gray10le",
        full_range=True,
    ),
]
