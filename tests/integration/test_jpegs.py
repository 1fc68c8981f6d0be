"""JPEGs in a row are a video, whatever they lie in: a file of them, or what a web camera sent."""

import io
from collections.abc import Callable
from fractions import Fraction

import av
import pytest

from clipfleet.errors import ClipUnreadable
from clipfleet_workers.media import decode
from tests.support import clips


def jpegs(count: int, *, pixel_aspect: Fraction | None = None) -> list[bytes]:
    """Frames that begin as JFIF has it where they say how wide their pixels are."""
    data = clips.encode(
        count,
        codec="mjpeg",
        container="mov",
        pixel_format="yuvj420p",
        pixel_aspect=pixel_aspect,
    )
    with av.open(io.BytesIO(data), "r") as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def sent(frames: list[bytes]) -> bytes:
    head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
    return b"".join(head % len(frame) + frame + b"\r\n" for frame in frames)


@pytest.mark.parametrize("pixel_aspect", [None, Fraction(1)], ids=["bare", "JFIF"])
@pytest.mark.parametrize("made", [b"".join, sent], ids=["in a row", "as a web camera sends them"])
def test_each_jpeg_is_a_frame(
    made: Callable[[list[bytes]], bytes], pixel_aspect: Fraction | None
) -> None:
    found = decode.index(io.BytesIO(made(jpegs(30, pixel_aspect=pixel_aspect))))

    assert found.num_frames == 30
    assert found.contents.codec == "mjpeg"


def test_one_jpeg_is_no_video() -> None:
    with pytest.raises(ClipUnreadable, match="not a video file"):
        decode.index(io.BytesIO(jpegs(1)[0]))
