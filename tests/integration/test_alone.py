"""Of which codecs every packet can be decoded by itself: shown for each that is taken so."""

import io

import av
import pytest
from av.video.frame import VideoFrame

from clipfleet_workers.media.bitstream import ALONE
from tests.support import clips

FRAMES = 12
# By what the decoder is called: the encoder where it has another name, a container, pixels, a size.
CODECS = {
    "asv1": ("asv1", "avi", "yuv420p", (192, 128)),
    "asv2": ("asv2", "avi", "yuv420p", (192, 128)),
    "dnxhd": ("dnxhd", "mov", "yuv422p", (1920, 1080)),
    "dpx": ("dpx", "nut", "rgb24", (192, 128)),
    "dvvideo": ("dvvideo", "avi", "yuv420p", (720, 576)),
    "ffvhuff": ("ffvhuff", "avi", "yuv420p", (192, 128)),
    "huffyuv": ("huffyuv", "avi", "yuv422p", (192, 128)),
    "jpeg2000": ("jpeg2000", "mov", "yuv420p", (192, 128)),
    "jpegls": ("jpegls", "avi", "rgb24", (192, 128)),
    "magicyuv": ("magicyuv", "avi", "yuv420p", (192, 128)),
    "prores": ("prores_ks", "mov", "yuv422p10le", (192, 128)),
    "r10k": ("r10k", "mov", "gbrp10le", (192, 128)),
    "r210": ("r210", "mov", "gbrp10le", (192, 128)),
    "rawvideo": ("rawvideo", "avi", "yuv420p", (192, 128)),
    "speedhq": ("speedhq", "nut", "yuv422p", (192, 128)),
    "targa": ("targa", "avi", "bgr24", (192, 128)),
    "tiff": ("tiff", "mov", "rgb24", (192, 128)),
    "utvideo": ("utvideo", "avi", "yuv420p", (192, 128)),
    "v210": ("v210", "mov", "yuv422p10le", (192, 128)),
    "yuv4": ("yuv4", "mov", "yuv420p", (192, 128)),
}


def test_each_that_is_taken_so_is_shown() -> None:
    assert set(CODECS) == ALONE


@pytest.mark.parametrize("codec", CODECS)
def test_a_packet_decodes_to_the_same_alone(codec: str) -> None:
    encoder, container, pixels, size = CODECS[codec]
    options = {"b": "36M"} if codec == "dnxhd" else {}
    data = clips.encode(
        FRAMES,
        codec=encoder,
        container=container,
        pixel_format=pixels,
        size=size,
        options=options,
        rate=25,
    )

    whole = decoded(data, codec, range(FRAMES))

    assert len({picture.tobytes() for picture in whole}) == FRAMES
    for place in (0, 5, FRAMES - 1):
        (alone,) = decoded(data, codec, range(place, place + 1))
        assert alone.tobytes() == whole[place].tobytes()


def decoded(data: bytes, codec: str, places: range) -> list[memoryview]:
    """The pixels of frames from these packets alone, by a new decoder."""
    found: list[VideoFrame] = []
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.video[0]
        assert stream.codec_context.codec.canonical_name == codec
        assert stream.codec_context.codec.intra_only
        stream.thread_type = "NONE"  # as ours: with slices FFmpeg 8 writes beyond one into the next
        packets = [packet for packet in container.demux(stream) if packet.size]
        for place in places:
            found += stream.decode(packets[place])
        found += stream.decode(None)
    return [memoryview(frame.to_ndarray(format="rgb48le").tobytes()) for frame in found]
