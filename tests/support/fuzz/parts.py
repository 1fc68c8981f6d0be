"""Encoded stretches of video, to be cut and joined packet by packet."""

import io
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import av
import numpy as np
from av.video.stream import VideoStream

from tests.support import clips

TICKS = 8  # of a packet's time, to a frame: a hidden frame may lie between two that are shown
RATE = 30
NEW = 0.15  # of the settings differ between parts that are alike
PALETTE_FRAMES = 9  # that one palette holds for
Options = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a part looks like: pixels of (width, height), and FFmpeg's name of their format."""

    size: tuple[int, int]
    pixel_format: str


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """One packet. Times in ticks from the part's first frame; `headers` is what it sets anew."""

    data: bytes
    pts: int
    key: bool
    headers: bytes = b""
    palette: bytes = b""

    def later(self, ticks: int) -> "Chunk":
        """The same, later."""
        return replace(self, pts=self.pts + ticks)


@dataclass(frozen=True, kw_only=True)
class Part:
    """Packets of one encoder in the order in which they are decoded.

    `headers` is what the container says of them: where `in_band`, packets may say it as well.
    `file` is a whole file that says what codec it is.
    """

    chunks: Sequence[Chunk]
    headers: bytes
    in_band: bool
    look: Look
    options: Options
    file: bytes
    how: str

    @property
    def ticks(self) -> int:
        """How long it lasts."""
        return max((chunk.pts for chunk in self.chunks), default=0) + TICKS


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """An encoder, what it may be told, and what its packets may lie in."""

    encoder: str
    options: Callable[[random.Random], Options]
    containers: Sequence[str]
    pixel_formats: Sequence[str] = ("yuv420p",)
    sizes: Sequence[tuple[int, int]] = ((64, 48), (80, 48), (48, 64))
    frames: tuple[int, int] = (8, 28)
    wrapped: str = "nut"  # the container of the file that says what codec it is
    in_band: bool = False  # whether packets may say what the container says
    edit: Callable[[Part, random.Random], Part] = lambda part, _: part

    def look(self, chance: random.Random) -> Look:
        """Mostly the first, else any."""
        usual = chance.random() < 0.7
        return Look(
            size=self.sizes[0] if usual else chance.choice(self.sizes),
            pixel_format=self.pixel_formats[0] if usual else chance.choice(self.pixel_formats),
        )

    def part(self, chance: random.Random, *, like: Part | None = None) -> Part:
        """One stretch, its settings by chance; `like` another's, but for few of them.

        What the encoder refuses is drawn anew.
        """
        while True:
            look, options = self.look(chance), self.options(chance)
            if like is not None:
                look, options = like.look, _mostly(like.options, options, chance)
            count, first = chance.randint(*self.frames), chance.randrange(4000)
            try:
                file, headers, chunks = self._encode(look, options, count, first=first)
                break
            except av.FFmpegError:
                continue
        said = " ".join(f"{name}={value}" for name, value in options.items())
        part = Part(
            chunks=chunks,
            headers=headers,
            in_band=self.in_band,
            look=look,
            options=options,
            file=file,
            how=f"{look.size[0]}x{look.size[1]} {look.pixel_format} {said}",
        )
        return self.edit(part, chance)

    def _encode(
        self, look: Look, options: Options, count: int, *, first: int
    ) -> tuple[bytes, bytes, list[Chunk]]:
        out, (width, height) = io.BytesIO(), look.size
        packets: list[Chunk] = []
        with av.open(out, "w", format=self.wrapped, options={"fflags": "+bitexact"}) as file:
            stream = file.add_stream(self.encoder, rate=RATE, options={"threads": "1", **options})
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = width, height, look.pixel_format
            for number in [*range(count), None]:
                frame = None if number is None else paint(first + number, look)
                if frame is not None:
                    frame.pts, frame.time_base = number, Fraction(1, RATE)
                for packet in stream.encode(frame):
                    packets.append(_chunk(packet))
                    file.mux(packet)
            headers = stream.codec_context.extradata or b""
        earliest = min(chunk.pts for chunk in packets)
        return out.getvalue(), headers, [chunk.later(-earliest) for chunk in packets]


def _mostly(old: Options, new: Options, chance: random.Random) -> Options:
    """The old options, some of them as the new ones have them."""
    mixed: Options = {}
    for name in old | new:
        if ":" in old.get(name, "") and ":" in new.get(name, ""):
            mixed[name] = joined(_mostly(_split(old[name]), _split(new[name]), chance))
            continue
        chosen = new if chance.random() < NEW else old
        if name in chosen:
            mixed[name] = chosen[name]
    return mixed


def _split(options: str) -> Options:
    return dict(option.split("=", 1) for option in options.split(":"))


def joined(options: Options) -> str:
    """Settings as x264 and its like take them in one of FFmpeg's."""
    return ":".join(f"{name}={value}" for name, value in options.items())


def paint(number: int, look: Look) -> av.VideoFrame:
    """The picture of this number. Where colours lie in a palette, it changes now and then."""
    width, height = look.size
    image = clips.picture(number, width=width, height=height)
    if look.pixel_format != "pal8":
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        return frame.reformat(format=look.pixel_format)
    frame = av.VideoFrame(width, height, "pal8")
    padding = frame.planes[0].line_size - width
    frame.planes[0].update(np.pad(image[..., 0] // 4, ((0, 0), (0, padding))).tobytes())
    colours = np.random.default_rng(number // PALETTE_FRAMES).integers(0, 1 << 24, 256, np.uint32)
    frame.planes[1].update((colours | 0xFF000000).astype(np.uint32).tobytes())
    return frame


def _chunk(packet: "av.Packet[VideoStream]") -> Chunk:
    palette = packet.has_sidedata("palette")
    return Chunk(
        data=bytes(packet),
        pts=round((packet.pts or 0) * packet.time_base * RATE * TICKS),
        key=packet.is_keyframe,
        palette=bytes(packet.get_sidedata("palette")) if palette else b"",
    )
