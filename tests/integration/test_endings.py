"""Every kind of file that is listed as a video can be read by workers."""

import io
from typing import Any

import pytest

from clipfleet.grid import QWEN2_5_VL
from clipfleet.options import PrepareOptions, PreviewOptions
from clipfleet_producer.sources.endings import AMBIGUOUS, DEMUXERS
from clipfleet_producer.sources.first_bytes import LOOKED_AT_BYTES, holds_video
from clipfleet_workers.media import onepass
from tests.support import clips

# By FFmpeg's name of the demuxer: how a file for it is made.
MADE: dict[str, dict[str, Any]] = {
    "mov": {"container": "mov"},
    "matroska": {"container": "matroska"},
    "avi": {"container": "avi", "codec": "mpeg4"},
    "mpegts": {"container": "mpegts"},
    "mpeg": {"container": "vob", "codec": "mpeg2video"},
    "mpegvideo": {"container": "mpeg2video", "codec": "mpeg2video"},
    "flv": {"container": "flv"},
    "asf": {"container": "asf", "codec": "wmv2"},
    "ogg": {"container": "ogg", "codec": "libvpx"},
    "mxf": {"container": "mxf", "codec": "mpeg2video"},
    "gif": {"container": "gif", "codec": "gif", "pixel_format": "gray"},
    "nut": {"container": "nut", "codec": "mpeg4"},
    "ivf": {"container": "ivf", "codec": "libvpx"},
    "obu": {"container": "obu", "codec": "libsvtav1", "options": {"preset": "12"}},
    "h264": {"container": "h264"},
    "hevc": {"container": "hevc", "codec": "libx265", "options": {"x265-params": "log-level=none"}},
    "mjpeg": {"container": "mjpeg", "codec": "mjpeg", "pixel_format": "yuvj420p"},
    "dv": {"container": "dv", "codec": "dvvideo", "size": (720, 576), "rate": 25},
    "yuv4mpegpipe": {"container": "yuv4mpegpipe", "codec": "wrapped_avframe"},
}


def test_each_kind_of_the_table_is_tried() -> None:
    assert set(MADE) == set(DEMUXERS.values())


@pytest.mark.parametrize("demuxer", MADE)
def test_a_file_of_each_kind_gives_its_frames(demuxer: str) -> None:
    data = clips.encode(24, **MADE[demuxer])
    windows: list[onepass.Window] = []

    clip = onepass.cut(
        io.BytesIO(data),
        prepare=PrepareOptions(),
        preview=PreviewOptions(),
        grid=QWEN2_5_VL,
        write=windows.append,
    )

    (window,) = windows
    assert (clip.source.num_frames, clip.warnings) == (24, [])
    assert clips.numbers_in(window.frames.frames) == list(window.frames.indices)


@pytest.mark.parametrize("ending", sorted(AMBIGUOUS))
def test_a_video_of_an_ambiguous_ending_is_known_by_its_first_bytes(ending: str) -> None:
    data = clips.encode(24, **MADE[DEMUXERS[ending]])

    assert holds_video(ending, data[:LOOKED_AT_BYTES])
