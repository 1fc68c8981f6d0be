"""Real clips to decode: every frame carries its own number, and flat patches of known colours.

The upper half of a frame is 6 × 3 blocks, bright or dark: its number in binary, lowest bit first.
Below are three patches, `COLOURS` from left to right, and in the last quarter a texture that moves
with the number: a neighbour's pixels, or those of a frame whose references are gone, differ there.
"""

import contextlib
import functools
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream
from numpy.typing import NDArray

from tests.support.corpus.planes import TAGS, Planes, to_planes, write_planes

COLUMNS, ROWS = 6, 3
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
    below = half + height // 4
    image[below:] = np.roll(_texture(width, height - below), (3 * number, 5 * number), axis=(0, 1))
    return image


@functools.cache
def _texture(width: int, height: int) -> Image:
    """Grey noise, coarse enough to outlive a codec."""
    grain = max(1, width // 48)
    high, wide = -(-height // grain), -(-width // grain)
    noise = np.random.default_rng(0).integers(60, 196, (high, wide, 1), np.uint8)
    return noise.repeat(grain, axis=0).repeat(grain, axis=1)[:height, :width].repeat(3, axis=2)


def number_in(image: Image) -> int:
    """The number that a frame carries, at whatever size."""
    rows, columns = _middles(*image.shape[:2])
    patches = image[rows[:, None], columns].reshape(ROWS, 3, COLUMNS, -1)
    bright = patches.mean(axis=(1, 3)) > (DARK + BRIGHT) / 2
    return sum(1 << int(bit) for bit in np.nonzero(bright.ravel())[0])


@functools.cache
def _middles(height: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The three rows, and the three columns, in the middle of each field of a number."""
    around = np.arange(-1, 2)
    found = []
    for count, part, length in ((ROWS, height / 2, height), (COLUMNS, width, width)):
        middles = [round(part * (place + 0.5) / count) for place in range(count)]
        found.append(np.clip(np.add.outer(middles, around), 0, length - 1).ravel())
    return found[0], found[1]


def numbers_in(frames: Image) -> list[int]:
    """The numbers that frames carry, time × height × width × 3."""
    return [number_in(frame) for frame in frames]


def colours_in(image: Image) -> list[tuple[float, ...]]:
    """The three patches' mean colours, their borders left out."""
    height, width = image.shape[:2]
    rows = slice(height * 9 // 16, height * 11 // 16)
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
    draw: Callable[[int], Image] | None = None,
    coded_as: str = "",
    interlaced: bool = False,
    display: tuple[int, bool, bool] | None = None,
    pixel_aspect: Fraction | None = None,
    tags: dict[str, int] | None = None,
    first_number: int = 0,
    zoom: int = 1,
) -> bytes:
    """A clip of `num_frames` frames of `size` (width, height), numbered from `first_number`.

    `times_ms` makes the rate vary. With `turn_clockwise` the frames lie on their side in the file
    (mp4 only), which says how many degrees to turn them: shown upright, they have `size`.
    `matrix` tags the colours (1: BT.709, 5: BT.601) and encodes them so; `coded_as` encodes them
    by that matrix whatever the tag. `draw` gives each frame as it lies in the file, in place of
    `picture`. Interlaced, frame n is woven from pictures 2n (the top field, first) and 2n + 1.
    `display` is what `set_display_rotation` takes, `tags` are further fields of the encoder. With
    `zoom` a frame is drawn that much smaller than `size`, and its samples are repeated.
    """
    width, height = size if turn_clockwise % 180 == 0 else size[::-1]
    time_base = Fraction(1, 1000) if times_ms else 1 / Fraction(rate)
    full_range = full_range or pixel_format.startswith("yuvj")
    colours = coded_as or _MATRICES.get(matrix or 5, "bt601")
    code = functools.partial(
        to_planes, pixel_format=pixel_format, matrix=colours, full_range=full_range
    )
    if turn_clockwise:
        draw = functools.partial(_on_its_side, size=size, turns=turn_clockwise // 90)
    if interlaced:
        paint = _weaver(width, height, pixel_format, code)
    else:
        paint = _painter(width, height, pixel_format, code, draw, zoom)
    fields = dict(tags or {})
    if matrix is not None:
        fields["colorspace"] = matrix
    if full_range:
        fields["color_range"] = ColorRange.JPEG
    with written(container, container_options or {}) as (file, result):
        stream = file.add_stream(codec, rate=Fraction(rate), options=options or {})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.time_base = time_base
        if display is not None:
            stream.set_display_rotation(display[0], hflip=display[1], vflip=display[2])
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        _set(stream.codec_context, fields)
        audio = file.add_stream("aac", rate=16_000) if sound else None
        for n in range(num_frames):
            frame = paint(first_number + n)
            frame.pts, frame.time_base = times_ms[n] if times_ms else n, time_base
            _set(frame, fields)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if audio is not None:
            _encode_silence(file, audio, seconds=num_frames / Fraction(rate))
    return _turned(result(), turn_clockwise) if turn_clockwise else result()


_MATRICES = {number: name for name, number in TAGS.items()}


def _on_its_side(number: int, size: tuple[int, int], turns: int) -> Image:
    """The picture turned counter-clockwise by so many quarters."""
    return np.ascontiguousarray(np.rot90(picture(number, width=size[0], height=size[1]), turns))


def _set(target: Any, fields: dict[str, int]) -> None:
    for name, value in fields.items():
        setattr(target, name, value)


def _painter(
    width: int,
    height: int,
    pixel_format: str,
    code: "functools.partial[Planes]",
    draw: Callable[[int], Image] | None,
    zoom: int,
) -> Callable[[int], av.VideoFrame]:
    """What gives a frame by its number."""

    def paint(number: int) -> av.VideoFrame:
        if draw is not None:
            return write_planes(code(draw(number)), pixel_format)
        how = tuple(code.keywords.items())
        planes = _planes(number, width // zoom, height // zoom, how)
        if zoom > 1:
            planes = [plane.repeat(zoom, axis=0).repeat(zoom, axis=1) for plane in planes]
        return write_planes(planes, pixel_format)

    return paint


@functools.lru_cache(maxsize=1024)
def _planes(number: int, width: int, height: int, how: tuple[tuple[str, Any], ...]) -> Planes:
    """A picture's planes. Kept, since most clips begin with the same ones."""
    return to_planes(picture(number, width=width, height=height), **dict(how))


def _weaver(
    width: int, height: int, pixel_format: str, code: "functools.partial[Planes]"
) -> Callable[[int], av.VideoFrame]:
    """What gives frame n woven from pictures 2n and 2n + 1, marked as top field first."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=width,
        height=height,
        format=av.VideoFormat(pixel_format, width, height),
        time_base=Fraction(1, 1000),
    )
    mark, sink = graph.add("setfield", "tff"), graph.add("buffersink")
    source.link_to(mark)
    mark.link_to(sink)
    graph.configure()

    def weave(number: int) -> av.VideoFrame:
        fields = [code(picture(2 * number + i, width=width, height=height)[i::2]) for i in (0, 1)]
        planes = []
        for top, bottom in zip(*fields, strict=True):
            plane = np.empty((2 * top.shape[0], top.shape[1]), top.dtype)
            plane[0::2], plane[1::2] = top, bottom
            planes.append(plane)
        graph.vpush(write_planes(planes, pixel_format))
        return graph.vpull()

    return weave


def encode_sound(*, container: str = "mp4") -> bytes:
    """A second of sound, and nothing to see."""
    with written(container, {}) as (file, result):
        _encode_silence(file, file.add_stream("aac", rate=16_000), seconds=Fraction(1))
    return result()


@contextlib.contextmanager
def written(
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
