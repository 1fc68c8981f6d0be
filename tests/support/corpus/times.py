"""Cases about rates and times: constant, varying, rounded, repeating, jumping."""

import functools
import struct
from fractions import Fraction
from typing import Any

from tests.support import clips
from tests.support.corpus.case import VP9, X264, Case, h264
from tests.support.corpus.remux import Packets, packet_places, remux, shifted

NTSC = Fraction(30_000, 1001)

# 30 frames a second, then 15: as a phone films when the light goes.
SLOWING_MS = tuple(n * 33 if n < 30 else 990 + (n - 30) * 67 for n in range(60))
# Each frame up to 8 ms early or late, as a screen recorder stamps them.
JITTERED_MS = tuple(n * 100 // 3 + (0, 5, -6, 8, -7)[n % 5] * (0 < n < 58) for n in range(60))
PAUSED_MS = tuple(n * 33 + (3000 if n >= 30 else 0) for n in range(60))
HOURS_MS = tuple(n * 33 + (5 * 3_600_000 if n >= 30 else 0) for n in range(60))
# Every third frame has the time of the one before.
REPEATED = tuple((n - (n % 3 == 2)) / 30 for n in range(60))


def seconds(times_ms: tuple[int, ...]) -> tuple[float, ...]:
    return tuple(ms / 1000 for ms in times_ms)


def varying(name: str, times_ms: tuple[int, ...], **more: Any) -> list[Case]:
    """The same uneven times in three containers, which say different last frames' lengths."""
    how: dict[str, Any] = {"times_ms": times_ms}
    containers: dict[str, dict[str, Any]] = {
        "mp4": {},
        "mkv": {"container": "matroska"},
        "webm, VP9": {"container": "webm", "codec": "libvpx-vp9"},
    }
    return [
        Case(
            name=f"{name} ({container})",
            make=functools.partial(
                clips.encode, 60, options=VP9 if "codec" in extra else X264, **how, **extra
            ),
            codec="vp9" if "codec" in extra else "h264",
            times_s=seconds(times_ms),
            **{"sampling": "time", "rate": None, **more},
        )
        for container, extra in containers.items()
    ]


RATES = [
    Case(name="constant rate, 30 fps (mp4)", make=h264),
    Case(name="constant rate, 24 fps (mp4)", make=lambda: h264(rate=24), rate=24.0),
    Case(name="constant rate, 29.97 fps (mp4)", make=lambda: h264(rate=NTSC), rate=float(NTSC)),
    Case(
        name="constant rate, 29.97 fps, times rounded to 1 ms (mkv)",
        make=lambda: h264(container="matroska", rate=NTSC),
        rate=float(NTSC),
    ),
    Case(
        name="constant rate, 59.94 fps (ts)",
        make=lambda: h264(container="mpegts", rate=NTSC * 2),
        rate=float(NTSC * 2),
    ),
    Case(
        name="400 frames: two windows",
        make=lambda: h264(400),
        numbers=range(400),
        windows=[(0, 255), (256, 399)],
    ),
    Case(
        name="900 frames: four windows (ts)",
        make=lambda: h264(900, "mpegts"),
        numbers=range(900),
        windows=[(0, 255), (256, 511), (512, 767), (768, 899)],
    ),
    *varying("variable rate, 30 then 15 fps", SLOWING_MS),
    *varying(
        "constant rate with jitter",
        JITTERED_MS,
        sampling="index",
        rate=30.0,
        length_s=1.966 + 1 / 30,
    ),
    *varying("a pause of 3 s", PAUSED_MS),
    *varying("timestamps that jump ahead by 5 hours", HOURS_MS),
]


def repeated(container: str) -> bytes:
    """A clip without B-frames, every third frame of which has the time of the one before."""

    def change(packets: Packets) -> Packets:
        for n, packet in enumerate(packets):
            packet.pts = round(REPEATED[n] / packet.time_base)
            packet.dts = round((n - 1) / 30 / packet.time_base)
        return packets

    source = clips.encode(60, container="matroska", options={**X264, "bf": "0"})
    return remux(source, container, change=change)


def joined(container: str = "mpegts") -> bytes:
    """Two transport streams of 30 frames one after the other, each with its own clock from 0."""
    return h264(30, container) + h264(30, container, first_number=30)


def jumping_back() -> bytes:
    """A mkv of two halves; the second's times start a tenth of a second after the first's."""

    # Muxers refuse such times, so they are written where the blocks lie.
    source = clips.encode(60, container="matroska", options={**X264, "bf": "0", "g": "30"})
    # The second half is a cluster of its own, whose times count from 1 s.
    return _with_block_times(source, [n * 33 if n < 30 else (n - 30) * 33 - 900 for n in range(60)])


def _with_block_times(data: bytes, times_ms: list[int]) -> bytes:
    """A mkv with other times in its blocks, each from its cluster's."""
    changed = bytearray(data)
    for (at, _, _), time_ms in zip(packet_places(data), times_ms, strict=True):
        struct.pack_into(">h", changed, at + 1, time_ms)  # after the track's number
    return bytes(changed)


ODD_TIMES = [
    Case(
        name="timestamps that repeat (mkv)",
        make=lambda: repeated("matroska"),
        sampling=None,
        rate=None,
        may_warn=True,
    ),
    Case(
        name="timestamps that repeat (ts)",
        make=lambda: repeated("mpegts"),
        sampling=None,
        rate=None,
        may_warn=True,
    ),
    Case(
        name="timestamps that jump back to 0: two streams joined (ts)", make=joined, may_warn=True
    ),
    Case(
        name="clock that wraps around after a second (ts)",
        make=lambda: remux(h264(), "mpegts", change=shifted(Fraction(2**33, 90_000) - 1)),
    ),
    Case(name="timestamps that jump back (mkv)", make=jumping_back, may_warn=True),
]
