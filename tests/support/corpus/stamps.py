"""Times that files keep in part, in odd ways, or wrongly, and cases of them."""

import functools
import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import av
from av.video.stream import VideoStream

from tests.support import clips
from tests.support.corpus.case import CODEC_OF, MPEG2, X264, X265, Case
from tests.support.corpus.remux import Packets, remux, shifted

RATE = 30
SINCE_1970_S = 1_700_000_000
OPTIONS = {"libx264": X264, "mpeg4": MPEG2, "mpeg2video": MPEG2, "libx265": X265}
NO_B = {**X264, "bf": "0"}

# AVI and ASF keep one time for each packet. A camera drops 35 frames after every eighth.
GAPPED = 54
SLOTS = [n + 35 * (n // 8) for n in range(GAPPED)]


@functools.cache
def encoded(
    codec: str, container: str, frames: int = 60, *, b_frames: bool = True, first: int = 0
) -> bytes:
    """Frames numbered from `first`, at 30 a second."""
    options = OPTIONS[codec] if b_frames else {**OPTIONS[codec], "bf": "0"}
    return clips.encode(
        frames, codec=codec, container=container, options=options, first_number=first
    )


def with_gaps(codec: str, container: str, *, b_frames: bool) -> bytes:
    """54 frames over 8.8 s; what is decoded nth lies at the nth slot."""

    def change(packets: Packets) -> Packets:
        order = sorted(range(GAPPED), key=lambda place: packets[place].pts or 0)
        late = 3 if b_frames else 0
        for number, place in enumerate(order):
            packet, base = packets[place], packets[place].time_base
            packet.dts = packet.pts = round(Fraction(SLOTS[place], RATE) / base)
            if container != "avi":
                shown = round(Fraction(SLOTS[number] + late, RATE) / base)
                packet.pts = max(shown, packet.dts)
        return packets

    source = "avi" if container == "avi" else "mp4"
    return remux(encoded(codec, source, GAPPED, b_frames=b_frames), container, change=change)


def without_times(data: bytes, kept: int) -> bytes:
    """A transport stream, only every `kept`th picture of which has a time (ISO/IEC 13818-1)."""
    changed, count = bytearray(data), 0
    for at in range(0, len(data), 188):
        if int.from_bytes(data[at + 1 : at + 3]) & 0x5FFF != 0x4100:  # begins one of stream 0x100
            continue
        head = at + 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0)
        if count % kept:
            length = data[head + 8]
            changed[head + 7] &= 0x3F
            changed[head + 9 : head + 9 + length] = b"\xff" * length
        count += 1
    return bytes(changed)


def sparse(codec: str, kept: int) -> bytes:
    """60 frames in a transport stream, of which only every `kept`th has a time."""
    return without_times(encoded(codec, "mpegts"), kept)


def stated(steps_ms: Sequence[int], container: str) -> bytes:
    """Frames each of which is said to be shown for so long."""
    times_ms = list(itertools.accumulate(steps_ms, initial=0))[:-1]
    if container == "gif":
        return _gif(steps_ms, times_ms)
    source = clips.encode(len(steps_ms), times_ms=times_ms, options=NO_B)

    def change(packets: Packets) -> Packets:
        for packet, step_ms in zip(packets, steps_ms, strict=True):
            packet.duration = round(Fraction(step_ms, 1000) / packet.time_base)
        return packets

    return remux(source, container, change=change)


def _gif(steps_ms: Sequence[int], times_ms: Sequence[int]) -> bytes:
    base = Fraction(1, 100)
    with clips.written("gif", {}) as (file, result):
        stream = file.add_stream("gif", rate=100)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb8"
        stream.codec_context.time_base = base
        packets: Packets = []
        for number, time_ms in enumerate(times_ms):
            image = clips.picture(number, width=64, height=48)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="rgb8")
            frame.pts, frame.time_base = time_ms // 10, base
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for packet, step_ms in zip(packets, steps_ms, strict=True):
            packet.duration = step_ms // 10
            file.mux(packet)
    return result()


def since_1970(*, first: int) -> bytes:
    """100 frames in fragments of a second; from the `first` on, stamped since 1970."""
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    data = bytearray(
        clips.encode(100, rate=25, options={**NO_B, "g": "25"}, container_options=options)
    )
    at, fragment = data.find(b"tfdt"), 0
    while at >= 0:
        if fragment >= first:
            time = int.from_bytes(data[at + 8 : at + 16]) + SINCE_1970_S * 12_800
            data[at + 8 : at + 16] = time.to_bytes(8)
        at, fragment = data.find(b"tfdt", at + 4), fragment + 1
    return bytes(data)


def all_since_1970(container: str) -> bytes:
    """60 frames, the first of which has the time of day."""
    return remux(encoded("libx264", "mp4"), container, change=shifted(SINCE_1970_S))


def one_ahead(container: str, *, b_frames: bool) -> bytes:
    """60 frames, one of which is stamped ten hours ahead."""

    def change(packets: Packets) -> Packets:
        packets[40].pts = (packets[40].pts or 0) + round(37_600 / packets[40].time_base)
        return packets

    return remux(encoded("libx264", "mp4", b_frames=b_frames), container, change=change)


def joined(codec: str, container: str) -> bytes:
    """Two streams of 30 frames one after the other, each with its own clock."""
    return encoded(codec, container, 30) + encoded(codec, container, 30, first=30)


def from_mid_gop(codec: str, container: str) -> bytes:
    """From the tenth packet on; the next key frame is that of frame 24."""
    options = {**OPTIONS[codec], "g": "24"}
    data = clips.encode(60, codec=codec, container="mpegts", options=options)
    return remux(data, container, change=lambda packets: packets[10:])


def _case(name: str, make: Callable[[], bytes], codec: str = "libx264", **more: Any) -> Case:
    return Case(name=name, make=make, codec=CODEC_OF.get(codec, codec), **more)


GAPPED_S = [slot / RATE for slot in SLOTS]
FIRST_FRAMES = r"its first \d+ frames could not be shown"
STAMPS = [
    *[
        _case(
            f"frames dropped, without B-frames ({codec.removeprefix('lib')} in {container})",
            functools.partial(with_gaps, codec, container, b_frames=False),
            codec,
            numbers=range(GAPPED),
            rate=None,
            times_s=GAPPED_S,
            sampling="time",
        )
        for codec in ("libx264", "mpeg4")
        for container in ("avi", "asf")
    ],
    *[
        _case(
            f"frames dropped, with B-frames ({codec.removeprefix('lib')} in {container})",
            functools.partial(with_gaps, codec, container, b_frames=True),
            codec,
            numbers=range(GAPPED),
            rate=None,  # when it is shown is known to within the delay of B-frames
            sampling=None,
        )
        for codec in ("libx264", "mpeg4")
        for container in ("avi", "asf")
    ],
    *[
        _case(
            f"only every fifth picture has a time ({codec.removeprefix('lib')} in ts)",
            functools.partial(sparse, codec, 5),
            codec,
        )
        for codec in ("libx264", "libx265", "mpeg2video")
    ],
    *[
        _case(
            f"the last frame is shown for 20 s ({suffix})",
            functools.partial(stated, [40] * 59 + [20_000], container),
            rate=25.0,
            length_s=22.36,
        )
        for suffix, container in (("mp4", "mp4"), ("mkv", "matroska"))
    ],
    _case(
        "fragments stamped since 1970, but for the first",
        functools.partial(since_1970, first=1),
        numbers=range(100),
        rate=25.0,
        warnings=[r"leap by a day or more before frame 25"],
    ),
    _case("all stamped since 1970 (mkv)", functools.partial(all_since_1970, "matroska")),
    *[
        _case(
            f"one frame stamped ten hours ahead ({suffix})",
            functools.partial(one_ahead, container, b_frames=True),
        )
        for suffix, container in (("mp4", "mp4"), ("mkv", "matroska"))
    ],
    *[
        _case(
            f"two streams joined ({codec.removeprefix('lib')} in ts)",
            functools.partial(joined, codec, "mpegts"),
            codec,
        )
        for codec in ("libx265", "mpeg2video")
    ],
    *[
        _case(
            f"begins in mid-GOP ({codec.removeprefix('lib')} in ts)",
            functools.partial(from_mid_gop, codec, "mpegts"),
            codec,
            numbers=range(24, 60),
            warnings=[FIRST_FRAMES],
        )
        for codec in ("libx264", "libx265", "mpeg2video")
    ],
]
