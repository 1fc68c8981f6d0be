"""Parts cut anywhere, joined, and written into a container as any muxer would write them."""

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import av
from av.packet import Packet, PacketSideData
from av.video.stream import VideoStream

from tests.support.clips import written
from tests.support.fuzz.parts import RATE, TICKS, Chunk, Part

_PALETTE, _NEW_EXTRADATA = 0, 1  # AVPacketSideDataType
_REORDERED = 8  # frames at most that a packet lies ahead of its time
# In these a container says each packet's time to be decoded at, and headers may be said anew.
SAYS_ANEW = frozenset({"mp4", "mov", "flv"})
# A keyframe flag is the container's word, which may be false, as it is where a cut is careless.
LIES = 0.1


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Packets ready to be written, the first of which the file's own headers hold for."""

    chunks: Sequence[Chunk]
    part: Part
    how: str


def cut(part: Part, chance: random.Random, *, careful: bool) -> tuple[list[Chunk], str]:
    """Some of a part's packets, and what was done to them; with care, from a key frame on."""
    chunks, done = list(part.chunks), ""
    keys = [place for place, chunk in enumerate(chunks) if chunk.key]
    if chance.random() < 0.3:
        first = chance.choice(keys) if careful and keys else chance.randrange(len(chunks))
        chunks, done = chunks[first:], f" from its packet {first}"
    if chance.random() < 0.4 and len(chunks) > 1:
        kept = chance.randint(1, len(chunks))
        chunks, done = chunks[:kept], f"{done}, {kept} packets"
    if not careful and chance.random() < 0.2 and len(chunks) > 3:
        gone = chance.randrange(1, len(chunks))
        del chunks[gone : gone + chance.choice((1, 1, 2))]
        done += f", without {gone}"
    return chunks, done


def alone(part: Part) -> Joined:
    """A part as it is, its headers in every key packet."""
    headers = part.headers if part.in_band else b""
    chunks = [_begun(chunk, headers) if chunk.key else chunk for chunk in part.chunks]
    return Joined(chunks=chunks, part=part, how=f"alone: {part.how}")


def join(parts: Sequence[Part], way: str, chance: random.Random, *, careful: bool) -> Joined:
    """The parts after one another. `way` is where each says its headers.

    "each": in every key packet; "first": in its first packet; "ahead": at the end of the packet
    before it; "said": in the container alone; "never": nowhere, where the first part's hold.
    """
    chunks: list[Chunk] = []
    told, ends = [], 0
    for number, part in enumerate(parts):
        new, done = cut(part, chance, careful=careful)
        told.append(f"{part.how}{done}")
        earliest = min(chunk.pts for chunk in new)
        new = [chunk.later(ends - earliest) for chunk in new]
        ends = max(chunk.pts for chunk in new) + TICKS
        if way == "said":
            new[0] = replace(new[0], headers=part.headers if number else b"")
        elif way == "each":
            new = [_begun(chunk, part.headers) if chunk.key else chunk for chunk in new]
        elif way == "ahead" and chunks:
            chunks[-1] = replace(chunks[-1], data=chunks[-1].data + part.headers)
        elif way != "never":
            new[0] = _begun(new[0], part.headers)
        chunks += new
    if chance.random() < LIES:
        false = chance.choice((True, False))
        chunks = [replace(chunk, key=false) if chance.random() < 0.3 else chunk for chunk in chunks]
        told.append(f"key frames told falsely as {false}")
    care = "with care" if careful else "anyhow"
    return Joined(chunks=chunks, part=parts[0], how=f"{care}, {way}: " + " | ".join(told))


def _begun(chunk: Chunk, headers: bytes) -> Chunk:
    return replace(chunk, data=headers + chunk.data)


def write(joined: Joined, container: str) -> bytes:
    """The file."""
    base = Fraction(1, RATE * TICKS)
    with (
        av.open(io.BytesIO(joined.part.file), "r") as source,
        written(container, {"fflags": "+bitexact"}) as (file, result),
    ):
        stream = file.add_stream_from_template(source.streams.video[0], opaque=True)
        assert isinstance(stream, VideoStream)
        if container == source.format.name:  # the tag may tell the format of pixels
            stream.codec_context.codec_tag = source.streams.video[0].codec_context.codec_tag
        reordered = any(
            a.pts > b.pts for a, b in zip(joined.chunks, joined.chunks[1:], strict=False)
        )
        latest = -1
        for number, chunk in enumerate(joined.chunks):
            packet = Packet(chunk.data)
            dts = TICKS * number if reordered else chunk.pts
            latest = max(latest + 1, dts)
            packet.dts, packet.time_base = latest, base
            packet.pts = max(chunk.pts + _REORDERED * TICKS * reordered, latest)
            packet.duration, packet.is_keyframe = TICKS, chunk.key
            packet.stream = stream
            for kind, data in ((_NEW_EXTRADATA, chunk.headers), (_PALETTE, chunk.palette)):
                if data:
                    side = PacketSideData(kind, len(data))  # type: ignore[call-arg]  # its stub has none
                    side.update(data)
                    packet.set_sidedata(side)
            file.mux(packet)
    return result()
