"""Frames with side data that PyAV has no name for are as good as others; a turn in it holds."""

import struct
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type

from clipfleet_workers.media.side_data import display_matrix
from tests.integration.test_media import cut
from tests.support import clips
from tests.support.corpus.remux import Packets, like, remux

MJPEG: dict[str, Any] = {
    "codec": "mjpeg",
    "container": "avi",
    "pixel_format": "yuvj420p",
    "options": {"qmin": "1"},
}
Move = Callable[[clips.Image], clips.Image]

# TIFF 6.0 and EXIF 2.3: how the picture lies in the file, by the number of its orientation.
LIES: dict[int, Move] = {
    1: lambda i: i,
    2: np.fliplr,
    3: lambda i: np.rot90(i, 2),
    4: np.flipud,
    5: lambda i: np.transpose(i, (1, 0, 2)),
    6: lambda i: np.rot90(i, 1),
    7: lambda i: np.rot90(np.transpose(i, (1, 0, 2)), 2),
    8: lambda i: np.rot90(i, 3),
}


def exif(orientation: int) -> bytes:
    """A JPEG segment with one tag."""
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x112, 3, 1, orientation, 0)
    return b"\xff\xe1" + struct.pack(">H", 8 + len(tiff)) + b"Exif\0\0" + tiff


def photos(orientations: list[int]) -> bytes:
    """A motion JPEG whose pictures carry EXIF, each with its number drawn upright."""

    def draw(number: int) -> clips.Image:
        move = LIES[orientations[number]]
        lies = move(np.zeros((128, 192, 3), np.uint8)).shape
        upright = (192, 128) if lies[:2] == (128, 192) else (128, 192)
        # All lie in the file at 192×128, so a turned one is 128×192 once upright.
        return np.ascontiguousarray(
            move(clips.picture(number, width=upright[0], height=upright[1]))
        )

    data = clips.encode(len(orientations), draw=draw, **MJPEG)

    def with_exif(packets: Packets) -> Packets:
        changed = []
        for packet, orientation in zip(packets, orientations, strict=True):
            old = bytes(packet)
            changed.append(like(old[:2] + exif(orientation) + old[2:], packet))
        return changed

    return remux(data, "avi", change=with_exif)


@pytest.mark.parametrize("orientation", LIES)
def test_a_photo_is_shown_as_its_exif_says(orientation: int) -> None:
    clip, (window,) = cut(photos([orientation] * 8))

    assert clips.numbers_in(window.frames.frames) == window.plan.frame_indices
    sideways = orientation > 4
    assert (clip.source.width, clip.source.height) == ((128, 192) if sideways else (192, 128))


def test_each_photo_of_a_series_is_turned_for_itself() -> None:
    clip, (window,) = cut(photos([1, 3, 6, 2, 8, 4]))

    assert clips.numbers_in(window.frames.frames) == window.plan.frame_indices
    assert clip.warnings == [
        "its frames change size (192×128 and 128×192): all are shown at the first's"
    ]


def enhanced() -> bytes:
    """H.264 whose packets carry LCEVC's layer (a message of ITU-T T.35, United Kingdom, V-Nova)."""
    data = clips.encode(12, options={"preset": "veryfast", "bf": "0"})
    payload = b"\xb4\x00\x50\x00" + bytes(range(1, 17))
    message = b"\x06\x04" + bytes([len(payload)]) + payload + b"\x80"

    def with_message(packets: Packets) -> Packets:
        changed = []
        for packet in packets:
            length = struct.pack(">I", len(message))
            changed.append(like(length + message + bytes(packet), packet))
        return changed

    return remux(data, "mp4", change=with_message)


def test_a_layer_that_adds_detail_is_left_alone() -> None:
    clip, (window,) = cut(enhanced())

    assert clips.numbers_in(window.frames.frames) == window.plan.frame_indices
    assert clip.warnings == []


@pytest.mark.parametrize("number", range(64))
def test_any_number_of_side_data_has_a_name(number: int) -> None:
    kind: Any = Type(number)

    assert kind.value == number


def test_a_frame_without_side_data_has_no_display_matrix() -> None:
    assert display_matrix(av.VideoFrame(16, 16, "yuv420p")) is None
