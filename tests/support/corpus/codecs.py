"""Cases about codecs: their depths and samplings, and how frames reference each other."""

from typing import Any

from tests.support import clips, mp4_boxes
from tests.support.corpus.case import AV1, MPEG2, VP9, X264, X265, Case, coded, h264

TEMPORAL_LAYERS = {**X265, "x265-params": X265["x265-params"] + ":temporal-layers=3:bframes=3"}
HIDDEN = {"deadline": "good", "cpu-used": "5", "auto-alt-ref": "1", "lag-in-frames": "16"}
HIDDEN |= {"crf": "12", "b": "0", "threads": "1"}


JPEG: dict[str, Any] = {"container": "mov", "guessed": False}
PRORES: dict[str, Any] = {"container": "mov"}
FFV1: dict[str, Any] = {"container": "matroska"}
VP8: dict[str, Any] = {"guessed": False}  # by its own definition BT.601
WEBM: dict[str, Any] = {"container": "webm"}

CODECS = [
    coded("H.264, 8 bits 4:2:0", "libx264", X264),
    *[
        coded(f"H.264, {name}", "libx264", X264, pixel_format=pixel_format)
        for name, pixel_format in (
            ("10 bits 4:2:0", "yuv420p10le"),
            ("8 bits 4:2:2", "yuv422p"),
            ("10 bits 4:2:2", "yuv422p10le"),
            ("8 bits 4:4:4", "yuv444p"),
            ("10 bits 4:4:4", "yuv444p10le"),
        )
    ],
    *[
        coded(f"HEVC, {name}", "libx265", X265, pixel_format=pixel_format)
        for name, pixel_format in (
            ("8 bits 4:2:0", "yuv420p"),
            ("10 bits 4:2:0", "yuv420p10le"),
            ("12 bits 4:2:0", "yuv420p12le"),
            ("10 bits 4:2:2", "yuv422p10le"),
            ("8 bits 4:4:4", "yuv444p"),
        )
    ],
    coded("VP8 in webm", "libvpx", {**VP9, "b": "5M"}, **WEBM | VP8),
    coded("VP9 in webm, 4:2:0", "libvpx-vp9", VP9, **WEBM),
    coded("VP9 in webm, 4:2:2", "libvpx-vp9", VP9, pixel_format="yuv422p", **WEBM),
    coded("VP9 in webm, 4:4:4", "libvpx-vp9", VP9, pixel_format="yuv444p", **WEBM),
    coded("VP9 in mp4", "libvpx-vp9", VP9),
    coded("VP9 with frames that are never shown", "libvpx-vp9", HIDDEN, **WEBM),
    coded("AV1 in mp4, 8 bits", "libsvtav1", AV1),
    coded("AV1 in mp4, 10 bits", "libsvtav1", AV1, pixel_format="yuv420p10le"),
    coded("AV1 in mkv", "libsvtav1", AV1, container="matroska"),
    coded("MPEG-2 in ts", "mpeg2video", MPEG2, container="mpegts"),
    coded(
        "MPEG-2 4:2:2 in ts",
        "mpeg2video",
        MPEG2,
        container="mpegts",
        pixel_format="yuv422p",
    ),
    coded("MPEG-4 part 2 in mp4", "mpeg4", MPEG2),
    coded("MPEG-4 part 2 in avi", "mpeg4", {"b": "8M"}, container="avi"),
    *[
        coded(f"motion JPEG, {name}", "mjpeg", {"b": "20M"}, pixel_format=pixel_format, **JPEG)
        for name, pixel_format in (
            ("4:2:0", "yuvj420p"),
            ("4:2:2", "yuvj422p"),
            ("4:4:4", "yuvj444p"),
        )
    ],
    coded("ProRes 422", "prores_ks", {}, pixel_format="yuv422p10le", **PRORES),
    coded(
        "ProRes 4444",
        "prores_ks",
        {},
        pixel_format="yuv444p10le",
        decoded="yuv444p12le",
        **PRORES,
    ),
    coded(
        "ProRes 4444 with alpha, which is ignored",
        "prores_ks",
        {},
        pixel_format="yuva444p10le",
        decoded="yuva444p12le",
        **PRORES,
    ),
    *[
        coded(f"FFV1, {name}", "ffv1", {}, pixel_format=pixel_format, **FFV1)
        for name, pixel_format in (
            ("8 bits 4:2:0", "yuv420p"),
            ("10 bits 4:2:2", "yuv422p10le"),
            ("16 bits 4:4:4", "yuv444p16le"),
            ("alpha, which is ignored", "yuva420p"),
        )
    ],
    coded("intra only H.264", "libx264", {**X264, "g": "1"}),
    coded("intra only FFV1", "ffv1", {"g": "1"}, **FFV1),
]

STRUCTURE = [
    coded(
        "B-frames, H.264 pyramid",
        "libx264",
        {**X264, "bf": "7", "b-pyramid": "normal"},
    ),
    # Here the deblocking filter, whose output later frames reference, changes many pixels.
    coded("strongly compressed H.264", "libx264", {**X264, "crf": "38"}, lossy=True),
    coded(
        "strongly compressed HEVC",
        "libx265",
        {**X265, "x265-params": X265["x265-params"].replace("crf=12", "crf=38")},
        lossy=True,
    ),
    coded("no B-frames, H.264", "libx264", {**X264, "bf": "0"}),
    coded("one GOP of 60 frames, H.264", "libx264", {**X264, "g": "600"}),
    coded(
        "intra refresh without key frames, H.264",
        "libx264",
        {**X264, "bf": "0", "intra-refresh": "1"},
    ),
    coded("HEVC with three temporal layers", "libx265", TEMPORAL_LAYERS),
    coded(
        "HEVC with three temporal layers in ts",
        "libx265",
        TEMPORAL_LAYERS,
        container="mpegts",
    ),
    Case(
        name="mp4 without stss: every sample claims to be a key frame",
        make=lambda: mp4_boxes.edited(h264(), "moov/trak/mdia/minf/stbl/stss", lambda _: None),
    ),
    Case(
        name="HEVC mp4 without stss",
        make=lambda: mp4_boxes.edited(
            clips.encode(60, codec="libx265", options=X265),
            "moov/trak/mdia/minf/stbl/stss",
            lambda _: None,
        ),
        codec="hevc",
    ),
]
