"""Packets without a frame of their own: a second field, a plane that repeats, a hidden frame.

They count as nothing: no frame is missed, no warning is given, no whole decode is needed, and
packets are still skipped.
"""

import functools
import io
from collections.abc import Callable
from fractions import Fraction

import av
import pytest

from clipfleet_workers.media import decode
from tests.support import clips
from tests.support.corpus import fields
from tests.support.corpus.case import AV1, MPEG2, VP9, X264, X265
from tests.support.corpus.remux import Packets, like, remux
from tests.support.fuzz.exact import check

RATE = 30
VOP, SEQUENCE_END = b"\0\0\1\xb6", b"\0\0\1\xb7"
SHORT_X265 = {**X265, "x265-params": X265["x265-params"] + ":keyint=12:min-keyint=12:info=0"}
AS_GIVEN = {"fflags": "-autobsf"}  # muxers of VP9 would join hidden frames with those shown


def timed(parts: list[tuple[bytes, bool, bool]], packets: Packets, *, hidden_s: float) -> Packets:
    """Packets of (bytes, whether a key, whether shown): the shown ones at an even rate.

    Each hidden one comes `hidden_s` before the next shown.
    """
    made, number = [], 0
    for data, key, shown in parts:
        packet = like(data, packets[0])
        time_s = number / RATE + 0.1 - (0 if shown else hidden_s)
        packet.pts = packet.dts = round(time_s / float(packets[0].time_base))
        packet.duration = round(1 / RATE / packets[0].time_base)
        packet.is_keyframe = key
        made.append(packet)
        number += shown
    return made


def repeating_plane(ticks: int) -> bytes:
    """An N-VOP: a P plane of which nothing is coded (ISO/IEC 14496-2, 6.2.5), at 30 ticks a s."""
    bits = f"0101{ticks % RATE:05b}100"
    return VOP + int(bits + "1111", 2).to_bytes(2)


def with_repeating_planes(container: str) -> bytes:
    """60 frames, and after every sixth a plane that shows it for longer."""

    def change(packets: Packets) -> Packets:
        made: Packets = []
        for place, packet in enumerate(packets):
            made.append(packet)
            if place % 6 == 3:
                made.append(like(repeating_plane(len(made)), packet))
                made[-1].is_keyframe = False
        for time, packet in enumerate(made):
            packet.pts = packet.dts = time
        return made

    options = {**MPEG2, "bf": "0"}
    return remux(
        clips.encode(60, codec="mpeg4", container="avi", options=options), container, change=change
    )


def packed() -> bytes:
    """As DivX packs B planes: after the one that they reference, followed by an empty one."""

    def kind(data: bytes) -> int:
        return data[data.find(VOP) + 4] >> 6

    def change(packets: Packets) -> Packets:
        planes = [bytes(packet) for packet in packets]
        mark = b"\0\0\1\xb2DivX503b1393p"
        planes[0] = planes[0].replace(VOP, mark + VOP)
        for place in range(1, len(planes)):
            if kind(planes[place]) == 2:
                planes[place - 1] += planes[place]
                planes[place] = repeating_plane(0)
        parts = [(plane, kind(plane) == 0, True) for plane in planes]
        made = timed(parts, packets, hidden_s=0)
        for place, packet in enumerate(made):
            packet.pts = packet.dts = place
        return made

    options = {**MPEG2, "bf": "1", "sc_threshold": "0"}
    return remux(
        clips.encode(58, codec="mpeg4", container="avi", options=options), "avi", change=change
    )


def vp9_hidden(container: str) -> bytes:
    """Each key frame hidden, and shown by a packet of one byte (the VP9 specification, 6.2)."""

    def change(packets: Packets) -> Packets:
        parts = []
        for packet in packets:
            data = bytes(packet)
            if packet.is_keyframe:
                parts += [(bytes([data[0] & ~2]) + data[1:], True, False), (b"\x88", False, True)]
            else:
                parts.append((data, False, True))
        return timed(parts, packets, hidden_s=0.01)

    source = clips.encode(60, codec="libvpx-vp9", container="matroska", options={**VP9, "g": "24"})
    return remux(source, container, change=change, options=AS_GIVEN)


def vp8_hidden(container: str) -> bytes:
    """Of 68 frames, 8 that are not shown, as alternate references are (RFC 6386, 9.1)."""

    def change(packets: Packets) -> Packets:
        parts = []
        for place, packet in enumerate(packets):
            data, hidden = bytes(packet), place % 8 == 4
            head = data[0] & ~0x10 if hidden else data[0]
            parts.append((bytes([head]) + data[1:], packet.is_keyframe, not hidden))
        return timed(parts, packets, hidden_s=0.01)

    source = clips.encode(
        68, codec="libvpx", container="matroska", options={**VP9, "b": "2M", "g": "24"}
    )
    return remux(source, container, change=change)


def av1_hidden() -> bytes:
    """Temporal units taken apart: hidden frames in packets of their own."""
    source = clips.encode(60, codec="libsvtav1", options={**AV1, "g": "16"})
    return remux(source, "matroska", filters=["av1_frame_split"], as_it_is=True)


def sets_of(box: bytes, codec: str) -> bytes:
    """The units of an avcC or hvcC box, by length (ISO/IEC 14496-15, 5.3.3 and 8.3.3)."""
    units, at = b"", 5 if codec == "libx264" else 23
    for _ in range(2 if codec == "libx264" else box[22]):  # arrays here hold one unit each
        at += 1 if codec == "libx264" else 3
        length = int.from_bytes(box[at : at + 2])
        units += length.to_bytes(4) + box[at + 2 : at + 2 + length]
        at += 2 + length
    return units


def parameters_apart(codec: str, container: str) -> bytes:
    """Parameter sets stand in packets of their own, before each key frame."""
    options = {"libx264": {**X264, "g": "12"}, "libx265": SHORT_X265}[codec]
    source = clips.encode(60, codec=codec, options=options)
    with av.open(io.BytesIO(source)) as file:
        sets = sets_of(file.streams.video[0].codec_context.extradata or b"", codec)

    def change(packets: Packets) -> Packets:
        made: Packets = []
        for packet in packets:
            if packet.is_keyframe:
                made.append(like(sets, packet))
                early = round(Fraction(1, 200) / packet.time_base)
                made[-1].pts = made[-1].dts = (packet.dts or 0) - early
                made[-1].is_keyframe = False
            made.append(packet)
        return made

    return remux(source, container, change=change)


def ended(container: str) -> bytes:
    """MPEG-2 of sequences that end: ISO/IEC 13818-2, 6.2.2."""

    def change(packets: Packets) -> Packets:
        last = [following.is_keyframe for following in packets[1:]] + [True]
        return [
            like(bytes(packet) + SEQUENCE_END, packet) if ends else packet
            for packet, ends in zip(packets, last, strict=True)
        ]

    source = clips.encode(60, codec="mpeg2video", container="mpegts", options=MPEG2)
    return remux(source, container, change=change)


def of_fields(how: fields.Fields, container: str, *, apart: bool = True, **muxer: str) -> bytes:
    """60 frames of H.264, a field a packet where `apart`."""
    return fields.muxed(fields.h264(how), "h264", container, apart=apart, **muxer)


CLIPS: dict[str, Callable[[], bytes]] = {
    "fields together, ts": lambda: of_fields(fields.IP, "mpegts", apart=False),
    "fields together, mp4": lambda: of_fields(fields.IP, "mp4", apart=False),
    "fields apart, ts": lambda: of_fields(fields.IP, "mpegts"),
    "fields apart, m2ts": lambda: of_fields(fields.IP, "mpegts", mpegts_m2ts_mode="1"),
    "fields apart, mkv": lambda: of_fields(fields.IP, "matroska"),
    "fields apart, mp4": lambda: of_fields(fields.II, "mp4"),
    "fields apart, flv": lambda: of_fields(fields.II, "flv"),
    "fields apart, bottom first": lambda: of_fields(fields.BOTTOM, "matroska"),
    "fields apart, some no reference": lambda: of_fields(fields.SPARE, "mpegts"),
    "N-VOPs, avi": lambda: with_repeating_planes("avi"),
    "N-VOPs, mp4": lambda: with_repeating_planes("mp4"),
    "N-VOPs, mkv": lambda: with_repeating_planes("matroska"),
    "hidden VP9, mkv": lambda: vp9_hidden("matroska"),
    "hidden VP9, mp4": lambda: vp9_hidden("mp4"),
    "hidden VP9, ivf": lambda: vp9_hidden("ivf"),
    "hidden VP8, mkv": lambda: vp8_hidden("matroska"),
    "hidden VP8, ivf": lambda: vp8_hidden("ivf"),
    "hidden AV1, mkv": av1_hidden,
    "H.264 parameter sets apart, mp4": lambda: parameters_apart("libx264", "mp4"),
    "HEVC parameter sets apart, mp4": lambda: parameters_apart("libx265", "mp4"),
    "H.264 parameter sets apart, mkv": lambda: parameters_apart("libx264", "matroska"),
    "HEVC parameter sets apart, mkv": lambda: parameters_apart("libx265", "matroska"),
    "H.264 parameter sets apart, flv": lambda: parameters_apart("libx264", "flv"),
    "HEVC parameter sets apart, flv": lambda: parameters_apart("libx265", "flv"),
    "ends of sequences, ts": lambda: ended("mpegts"),
    "ends of sequences, ps": lambda: ended("mpeg"),
    "ends of sequences, mkv": lambda: ended("matroska"),
}


@functools.cache
def clip(name: str) -> bytes:
    return CLIPS[name]()


@functools.cache
def index(name: str) -> decode.ClipIndex:
    return decode.index(io.BytesIO(clip(name)))


@pytest.mark.parametrize("name", CLIPS)
def test_frames_are_counted_without_a_warning(name: str) -> None:
    assert (index(name).num_frames, index(name).warnings) == (60, [])


@pytest.mark.parametrize("name", CLIPS)
def test_no_whole_decode_is_needed(name: str) -> None:
    assert not index(name).settled


@pytest.mark.parametrize("name", CLIPS)
def test_packets_are_skipped_and_frames_are_exact(name: str) -> None:
    verdict = check(clip(name), 0.1, (0.5, 0.9))

    assert (verdict.end, verdict.fault) == ("exact", "")
    assert verdict.skipped > verdict.packets / 4


@pytest.mark.parametrize("name", [name for name in CLIPS if not name.startswith("N-VOPs")])
def test_times_are_even(name: str) -> None:
    rate = fields.RATE if name.startswith("fields") else RATE
    timeline = index(name).timeline

    assert timeline.rate == pytest.approx(rate, rel=1e-3)
    assert timeline.end_time_s == pytest.approx(60 / rate, abs=0.005)


@pytest.mark.parametrize("name", [name for name in CLIPS if name.startswith("N-VOPs")])
def test_a_plane_that_repeats_makes_its_frame_last(name: str) -> None:
    times = index(name).timeline.times_s

    assert times[3:6] == pytest.approx([3 / RATE, 5 / RATE, 6 / RATE], abs=0.001)


def test_packed_planes_are_frames_of_an_even_rate() -> None:
    """Two planes in one packet, none in the next: the decoder alone knows which is shown."""
    data = packed()
    found = decode.index(io.BytesIO(data))

    assert (found.num_frames, found.timeline.rate, found.warnings) == (58, RATE, [])
    assert check(data, 0.3, (0.3, 0.9)).fault == ""
