"""Packets that no wanted frame references are not decoded, and those that are decoded suffice.

That frames come out right is the corpus's to say; here, that skipping happens at all, and that
it is given up where it would not be exact.
"""

import io
from typing import Any

import numpy as np
import pytest

from clipfleet_workers.media import decode
from tests.support import clips
from tests.support.corpus.case import AV1, MPEG2, VP9, X264, X265

WANTED = [0, 40, 79, 119]


def share_decoded(data: bytes, wanted: list[int] = WANTED) -> float:
    """How many of a clip's packets are decoded for the wanted frames, of 1."""
    needed = decode.needed_packets(decode.index(io.BytesIO(data)), wanted)
    return sum(needed) / len(needed)


H265_IN_30 = {**X265, "x265-params": X265["x265-params"] + ":keyint=30:min-keyint=30"}
# How much is decoded at most for 4 frames of 120, in GOPs of 24 or 30.
SKIPPED: dict[str, tuple[dict[str, Any], float]] = {
    "H.264 with B-frames": ({"options": X264}, 0.6),
    "H.264 without, in short GOPs": ({"options": {**X264, "bf": "0"}}, 0.8),
    "HEVC with B-frames": ({"codec": "libx265", "options": H265_IN_30}, 0.6),
    "MPEG-2 in ts": ({"codec": "mpeg2video", "container": "mpegts", "options": MPEG2}, 0.5),
    "MPEG-4 in mp4": ({"codec": "mpeg4", "options": MPEG2}, 0.5),
    "VP9 in short GOPs": (
        {"codec": "libvpx-vp9", "container": "webm", "options": {**VP9, "g": "24"}},
        0.8,
    ),
    "AV1 in short GOPs": (
        {"codec": "libsvtav1", "container": "mp4", "options": {**AV1, "g": "32"}},
        0.7,
    ),
    "motion JPEG": (
        {"codec": "mjpeg", "container": "mov", "pixel_format": "yuvj420p"},
        4 / 120,
    ),
    "ProRes": (
        {"codec": "prores_ks", "container": "mov", "pixel_format": "yuv422p10le"},
        4 / 120,
    ),
}


@pytest.mark.parametrize("kind", SKIPPED)
def test_not_all_packets_are_decoded(kind: str) -> None:
    how, most = SKIPPED[kind]

    assert share_decoded(clips.encode(120, **how)) <= most


@pytest.mark.parametrize("kind", SKIPPED)
def test_what_is_decoded_is_enough_for_any_frame(kind: str) -> None:
    """Each frame alone, so that nothing else that is wanted brings its references."""
    how, _ = SKIPPED[kind]
    data = clips.encode(120, **how)
    index = decode.index(io.BytesIO(data))

    for number in range(0, 120, 7):
        (found,) = decode.frames(io.BytesIO(data), index, [number])
        image = found.picture.to_ndarray(format="rgb24").astype(np.uint8)
        assert (found.number, clips.number_in(image)) == (number, number)


def test_every_packet_is_decoded_where_only_the_decoder_knows_the_order() -> None:
    data = clips.encode(120, container="avi", options=X264)

    assert share_decoded(data) == 1


def test_every_packet_is_decoded_of_a_damaged_clip() -> None:
    data = clips.encode(120, container="mp4", options=X264)
    index = decode.index(io.BytesIO(data))

    settled = decode.settle(io.BytesIO(data), index)

    assert settled.num_frames == 120
    assert all(decode.needed_packets(settled, WANTED))


def test_a_wrong_index_is_noticed() -> None:
    index = decode.index(io.BytesIO(clips.encode(60, options=X264)))
    other = clips.encode(50, options={**X264, "bf": "0"})

    with pytest.raises(decode.FramesDiffer):
        list(decode.frames(io.BytesIO(other), index, [0, 20, 39, 59]))
