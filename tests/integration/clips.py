"""Real clips to decode: every frame carries its own number, and flat patches of known colours.

The upper half of a frame is 6 × 2 blocks, bright or dark: its number in binary, lowest bit first.
The lower half is three patches, `COLOURS` from left to right.
"""

import contextlib
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream
from numpy.typing import NDArray

COLUMNS, ROWS = 6, 2
DARK, BRIGHT = 40, 215
COLOURS = ((200, 40, 40), (40, 160, 60), (50, 70, 200))

Image = NDArray[np.uint8]


def picture(number: int, *, width: int, height: int) -> Image:
    """Frame `number`, uint8 RGB, height × width × 3."""
    image = np.empty((height, width, 3), np.uint8)
    half = height // 2
    for bit in range(COLUMNS * ROWS):
        row, column = divmod(bit, COLUMNS)
        rows = slice(half * row // ROWS, half * (row + 1) // ROWS)
        columns = slice(width * column // COLUMNS, width * (column + 1) // COLUMNS)
        image[rows, columns] = BRIGHT if number >> bit & 1 else DARK
    for i, colour in enumerate(COLOURS):
        image[half:, width * i // 3 : width * (i + 1) // 3] = colour
    return image


def number_in(image: Image) -> int:
    """The number that a frame carries, at whatever size."""
    height, width = image.shape[:2]
    grey = image.mean(axis=2)
    number = 0
    for bit in range(COLUMNS * ROWS):
        row, column = divmod(bit, COLUMNS)
        y = round(height / 2 * (row + 0.5) / ROWS)
        x = round(width * (column + 0.5) / COLUMNS)
        number |= int(grey[y - 1 : y + 2, x - 1 : x + 2].mean() > (DARK + BRIGHT) / 2) << bit
    return number


def numbers_in(frames: Image) -> list[int]:
    """The numbers that frames carry, time × height × width × 3."""
    return [number_in(frame) for frame in frames]


def colours_in(image: Image) -> list[tuple[float, ...]]:
    """The three patches' mean colours, their borders left out."""
    height, width = image.shape[:2]
    rows = slice(height * 5 // 8, height * 7 // 8)
    return [
        tuple(image[rows, width * (6 * i + 1) // 18 : width * (6 * i + 5) // 18].mean(axis=(0, 1)))
        for i in range(len(COLOURS))
    ]


def encode(
    num_frames: int,
    *,
    codec: str = "libx264",
    container: str = "mp4",
    rate: Fraction | int = 30,
    size: tuple[int, int] = (192, 128),
    pixel_format: str = "yuv420p",
    times_ms: Sequence[int] | None = None,
    turn_clockwise: int = 0,
    matrix: int | None = None,
    full_range: bool = False,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    sound: bool = False,
) -> bytes:
    """A clip of `num_frames` frames of `size` (width, height).

    `times_ms` makes the rate vary. With `turn_clockwise` the frames lie on their side in the file
    (mp4 only), which says how many degrees to turn them: shown upright, they have `size`.
    `matrix` tags the colours (1: BT.709, 5: BT.601) and encodes them so.
    """
    width, height = size if turn_clockwise % 180 == 0 else size[::-1]
    time_base = Fraction(1, 1000) if times_ms else 1 / Fraction(rate)
    with _written(container, container_options or {}) as (file, written):
        stream = file.add_stream(codec, rate=Fraction(rate), options=options or {})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.time_base = time_base
        if matrix is not None:
            stream.codec_context.colorspace = matrix
        if full_range:
            stream.codec_context.color_range = ColorRange.JPEG
        audio = file.add_stream("aac", rate=16_000) if sound else None
        for n in range(num_frames):
            image = np.rot90(picture(n, width=size[0], height=size[1]), turn_clockwise // 90)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24").reformat(
                format=pixel_format,
                dst_colorspace=matrix,
                dst_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
            )
            frame.pts, frame.time_base = times_ms[n] if times_ms else n, time_base
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if audio is not None:
            _encode_silence(file, audio, seconds=num_frames / Fraction(rate))
    return _turned(written(), turn_clockwise) if turn_clockwise else written()


def encode_sound(*, container: str = "mp4") -> bytes:
    """A second of sound, and nothing to see."""
    with _written(container, {}) as (file, written):
        _encode_silence(file, file.add_stream("aac", rate=16_000), seconds=Fraction(1))
    return written()


@contextlib.contextmanager
def _written(
    container: str, options: dict[str, str]
) -> Iterator[tuple[OutputContainer, Callable[[], bytes]]]:
    """A container to write to, and what gives its bytes once it is closed."""
    # Some muxers go back to what they wrote and open it again, by name.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip"
        data = b""
        with av.open(str(path), "w", format=container, options=options) as file:
            yield file, lambda: data
        data = path.read_bytes()


def _encode_silence(file: OutputContainer, stream: AudioStream, *, seconds: Fraction) -> None:
    silence = np.zeros((1, 1024), np.float32)
    for i in range(int(seconds * 16_000 / 1024)):
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16_000, i * 1024
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def _turned(data: bytes, clockwise: int) -> bytes:
    """The mp4 with the matrix in its track's header set as the QuickTime specification has it."""
    cosine, sine = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[clockwise]
    one, unit = 1 << 16, 1 << 30
    matrix = (cosine * one, sine * one, 0, -sine * one, cosine * one, 0, 0, 0, unit)
    at = data.index(b"tkhd") + 44
    return data[:at] + struct.pack(">9i", *matrix) + data[at + 36 :]


def boxes(data: bytes) -> list[tuple[str, int, int]]:
    """(name, start, end) of an mp4's outermost boxes."""
    found, at = [], 0
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        found.append((data[at + 4 : at + 8].decode("latin1"), at, at + length))
        at += max(length, 8)
    return found
