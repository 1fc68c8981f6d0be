"""Streams copied into other containers, their packets left out, moved or changed on the way."""

import io
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import cast

import av
from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.video.stream import VideoStream

from tests.support.clips import written

Packets = list["Packet[VideoStream]"]


def remux(
    data: bytes,
    container: str,
    *,
    change: Callable[[Packets], Iterable["Packet[VideoStream]"]] | None = None,
    filters: Sequence[str] = (),
    options: dict[str, str] | None = None,
    as_it_is: bool = False,
) -> bytes:
    """The video stream copied into `container`; `change` gets its packets in decoding order.

    `as_it_is` keeps its tag as well; AV1 needs it, whose decoder's name is not an encoder's.
    """
    with (
        av.open(io.BytesIO(data), "r") as source,
        written(container, options or {}) as (file, result),
    ):
        stream = source.streams.video[0]
        copy = file.add_stream_from_template(stream, opaque=as_it_is)
        packets = [packet for packet in source.demux(stream) if packet.size]
        for description in filters:
            bitstream_filter = BitStreamFilterContext(description, stream, copy)
            filtered = [out for packet in packets for out in bitstream_filter.filter(packet)]
            packets = filtered + bitstream_filter.filter(None)
        for packet in change(packets) if change else packets:
            packet.stream = copy
            file.mux(packet)
    return result()


def like(data: bytes, old: "Packet[VideoStream]") -> "Packet[VideoStream]":
    """A packet like the old one, of other bytes."""
    new = cast("Packet[VideoStream]", Packet(data))
    new.pts, new.dts, new.time_base = old.pts, old.dts, old.time_base
    new.is_keyframe = old.is_keyframe
    return new


def shifted(by_s: Fraction | int) -> Callable[[Packets], Packets]:
    """A change that moves every packet in time."""

    def change(packets: Packets) -> Packets:
        for packet in packets:
            ticks = round(by_s / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        return packets

    return change


def copied_from(start_s: Fraction) -> Callable[[Packets], Packets]:
    """What a stream copy with `-ss` keeps: from the last key frame before, that moment at zero."""

    def change(packets: Packets) -> Packets:
        keys = [
            i
            for i, packet in enumerate(packets)
            if packet.is_keyframe and (packet.pts or 0) * packet.time_base <= start_s
        ]
        return shifted(-start_s)(packets[keys[-1] :])

    return change


def packet_places(data: bytes) -> list[tuple[int, int, bool]]:
    """(offset, length, whether a key frame) of each packet of the video stream, as they lie."""
    with av.open(io.BytesIO(data), "r") as source:
        return [
            (packet.pos or 0, packet.size, packet.is_keyframe)
            for packet in source.demux(source.streams.video[0])
            if packet.size
        ]
