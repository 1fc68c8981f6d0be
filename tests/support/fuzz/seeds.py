"""The clips that fuzzing starts from: small, short, one of each kind that a fleet may be given.

They come out the same, byte for byte, each time: nothing in them is random.
"""

import functools
import io
from collections.abc import Callable
from typing import Any

import av
import numpy as np

from tests.integration.test_hostile import KINDS
from tests.support import clips, mp4_boxes
from tests.support.corpus.case import AV1, MPEG2, VP9, X264, X265

FRAMES = 16
SIZE = (64, 64)

# Small, and with several key frames. Headers are then most of what is changed.
_SMALL = {"crf": "34", "g": "6", "b": "200k"}
_H264 = {"options": X264}
_MJPEG = {"codec": "mjpeg", "pixel_format": "yuvj420p"}
_MP4 = {"movflags": "frag_keyframe+empty_moov"}
_DASH = {"movflags": "frag_every_frame+empty_moov+default_base_moof+dash+global_sidx"}

_MORE: dict[str, dict[str, Any]] = {
    "H.264 in fragmented mp4": _H264 | {"container_options": _MP4},
    "H.264 in DASH segments": _H264 | {"container_options": _DASH},
    "H.264 in mp4, turned": _H264 | {"turn_clockwise": 90},
    "H.264 in mp4, with sound": _H264 | {"sound": True},
    "H.264 in ts, interlaced": {
        "container": "mpegts",
        "options": {**X264, "flags": "+ilme+ildct"},
        "interlaced": True,
    },
    "H.264 in flv": _H264 | {"container": "flv"},
    "H.264 in nut": _H264 | {"container": "nut"},
    "H.264 alone": _H264 | {"container": "h264"},
    "HEVC of 10 bits in mkv": {
        "codec": "libx265",
        "container": "matroska",
        "options": X265,
        "pixel_format": "yuv420p10le",
    },
    "HEVC in ts": {"codec": "libx265", "container": "mpegts", "options": X265},
    "HEVC alone": {"codec": "libx265", "container": "hevc", "options": X265},
    "AV1 in ivf": {"codec": "libsvtav1", "container": "ivf", "options": AV1},
    "AV1 alone": {"codec": "libsvtav1", "container": "obu", "options": AV1},
    "VP8 in webm": {"codec": "libvpx", "container": "webm", "options": VP9},
    "VP8 in ogg": {"codec": "libvpx", "container": "ogg", "options": VP9},
    "VP9 in mp4": {"codec": "libvpx-vp9", "options": VP9},
    "MPEG-1 in a program stream": {"codec": "mpeg1video", "container": "mpeg", "options": MPEG2},
    "MPEG-2 alone": {"codec": "mpeg2video", "container": "mpeg2video", "options": MPEG2},
    "MPEG-2 in mxf": {"codec": "mpeg2video", "container": "mxf", "options": MPEG2},
    "MPEG-4 alone": {"codec": "mpeg4", "container": "m4v", "options": MPEG2},
    "H.263 in 3gp": {"codec": "h263", "container": "3gp", "size": (176, 144)},
    "motion JPEG in avi": _MJPEG | {"container": "avi"},
    "motion JPEG alone": _MJPEG | {"container": "mjpeg"},
    "WMV in asf": {"codec": "wmv2", "container": "asf"},
    "FFV1 in mkv": {"codec": "ffv1", "container": "matroska", "size": (32, 32)},
    "PNG in mov": {"codec": "png", "container": "mov", "pixel_format": "rgb24", "size": (32, 32)},
    "DV alone": {"codec": "dvvideo", "container": "dv", "size": (720, 576), "rate": 25},
    "raw in y4m": {"codec": "wrapped_avframe", "container": "yuv4mpegpipe", "size": (32, 32)},
    "raw in avi": {"codec": "rawvideo", "container": "avi", "size": (32, 32)},
}


def encoded(how: dict[str, Any]) -> bytes:
    """A clip as `clips.encode` makes it, but small."""
    given = {"size": SIZE, "container": "mp4", "options": {}, "container_options": {}, **how}
    asked = given["options"]
    small = {name: value for name, value in _SMALL.items() if name in asked}
    exact = "+bitexact"  # else muxers write the day and random names
    flags = asked.get("flags", "") + exact
    if how.get("codec", "libx264") == "libx264":
        small["mbtree"] = "0"  # with it, small clips come out in several ways
    given["options"] = asked | small | {"flags": flags}
    given["container_options"] = given["container_options"] | {"fflags": exact}
    return clips.encode(FRAMES, **given)


def with_edit_list() -> bytes:
    """An mp4 whose edit list shows nothing, then some, then the same again."""
    data = encoded(_H264)
    movie, media = mp4_boxes.timescales(data)
    third = movie // 6
    return mp4_boxes.with_edits(data, [(third, -1), (third, media // 10), (third, media // 10)])


def with_attachments() -> bytes:
    """A Matroska file with two files in it."""
    source = encoded(_H264)
    out = io.BytesIO()
    options = {"fflags": "+bitexact"}
    with (
        av.open(io.BytesIO(source), "r") as clip,
        av.open(out, "w", format="matroska", options=options) as file,
    ):
        stream = file.add_stream_from_template(clip.streams.video[0])
        file.add_attachment("a.txt", "text/plain", b"text")
        file.add_attachment("a.ttf", "application/x-truetype-font", bytes(100))
        for packet in clip.demux(video=0):
            if packet.size:
                packet.stream = stream
                file.mux(packet)
    return out.getvalue()


def gif() -> bytes:
    """An animated GIF."""
    out = io.BytesIO()
    with av.open(out, "w", format="gif") as file:
        stream = file.add_stream("gif", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "rgb8"
        for number in range(FRAMES):
            image = clips.picture(number, width=32, height=32)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame = frame.reformat(format="rgb8")
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


MAKERS: dict[str, Callable[[], bytes]] = {
    **{kind: functools.partial(encoded, how) for kind, how in {**KINDS, **_MORE}.items()},
    "H.264 in mp4, with an edit list": with_edit_list,
    "H.264 in mkv, with attachments": with_attachments,
    "GIF": gif,
}


def make_seeds() -> dict[str, bytes]:
    """A clip of each kind."""
    return {kind: make() for kind, make in MAKERS.items()}
