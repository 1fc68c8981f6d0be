"""Damaged at random, a clip is cut or refused, in time: never another error, never a crash."""

import functools
import io
import random
from collections.abc import Callable
from typing import Any

import pytest

from clipfleet.errors import ClipTooLarge, ClipUnreadable
from clipfleet.grid import QWEN2_5_VL
from clipfleet.options import PrepareOptions, PreviewOptions
from clipfleet_workers.media import onepass
from tests.support import clips
from tests.support.corpus.case import AV1, MPEG2, VP9, X264, X265

TIMES = 30
HEADER_BYTES, INDEX_BYTES = 2000, 3000  # about where these clips have theirs

KINDS: dict[str, dict[str, Any]] = {
    "H.264 in mp4": {"options": X264},
    "H.264 in ts": {"container": "mpegts", "options": X264},
    "H.264 in mkv": {"container": "matroska", "options": X264},
    "HEVC in mp4": {"codec": "libx265", "options": X265},
    "AV1 in mp4": {"codec": "libsvtav1", "options": AV1},
    "AV1 in mkv": {"codec": "libsvtav1", "container": "matroska", "options": AV1},
    "VP9 in webm": {"codec": "libvpx-vp9", "container": "webm", "options": VP9},
    "MPEG-2 in ts": {"codec": "mpeg2video", "container": "mpegts", "options": MPEG2},
    "MPEG-4 in avi": {"codec": "mpeg4", "container": "avi", "options": MPEG2},
    "motion JPEG in mov": {"codec": "mjpeg", "container": "mov", "pixel_format": "yuvj420p"},
    "ProRes in mov": {"codec": "prores_ks", "container": "mov", "pixel_format": "yuv422p10le"},
}

Damage = Callable[[bytearray, random.Random], None]


def overwrite(data: bytearray, places: range, chance: random.Random) -> None:
    for _ in range(chance.choice([1, 3, 10, 100])):
        data[chance.choice(places)] = chance.randrange(256)


def cut_out(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    del data[start : start + chance.randrange(1, 5000)]


def cut_short(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


DAMAGES: dict[str, Damage] = {
    "bytes cut out": cut_out,
    "cut short": cut_short,
    "bytes changed": lambda data, chance: overwrite(data, range(len(data)), chance),
    "bytes changed at the start": lambda data, chance: overwrite(
        data, range(min(HEADER_BYTES, len(data))), chance
    ),
    "bytes changed at the end": lambda data, chance: overwrite(
        data, range(max(0, len(data) - INDEX_BYTES), len(data)), chance
    ),
}


@functools.cache
def whole(kind: str) -> bytes:
    return clips.encode(60, **KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_clip_is_cut_or_refused(kind: str, damage: str) -> None:
    chance = random.Random(f"{kind}, {damage}")
    for _ in range(TIMES):
        data = bytearray(whole(kind))
        DAMAGES[damage](data, chance)
        written: list[onepass.Window] = []
        try:
            cut = onepass.cut(
                io.BytesIO(bytes(data)),
                prepare=PrepareOptions(),
                preview=PreviewOptions(),
                grid=QWEN2_5_VL,
                write=written.append,
            )
        except (ClipUnreadable, ClipTooLarge):
            continue
        assert {id(plan) for plan in cut.windows} <= {id(window.plan) for window in written}
        covered = [n for plan in cut.windows for n in range(plan.start_frame, plan.end_frame + 1)]
        assert covered == list(range(cut.source.num_frames)) or cut.source.num_frames < 4
