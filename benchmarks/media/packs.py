"""What a window's frames cost to write and to read, in each encoding of packs."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar, get_args

import numpy as np

from benchmarks.report import Row
from clipfleet.grid import QWEN2_5_VL
from clipfleet.options import PrepareOptions, PreviewOptions
from clipfleet_workers.media import onepass
from clipfleet_workers.media.packs import Pack

Encoding = Literal["raw", "zstd", "jpeg444"]

ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
FRAMES = 16

T = TypeVar("T")


def measure(clip: Path, *, rounds: int) -> list[Row]:
    """Rows of milliseconds of CPU and of 10^6 bytes, for 16 frames of the clip's first window."""
    pack = _pack(clip)
    rows = [Row("pack_mb/frames", pack.frames.nbytes / 1e6, "MB, the frames themselves")]
    for encoding in ENCODINGS:
        data, write_ms = _median_ms(partial(pack.to_bytes, encoding), rounds)
        again, read_ms = _median_ms(partial(Pack.from_bytes, data, key="pack"), rounds)
        if encoding != "jpeg444" and not np.array_equal(again.frames, pack.frames):
            raise SystemExit(f"a pack in {encoding} reads other frames than were written")
        rows += [
            Row(f"pack_write_ms/{encoding}", write_ms, "CPU ms, 16 frames"),
            Row(f"pack_read_ms/{encoding}", read_ms, "CPU ms, 16 frames"),
            Row(f"pack_mb/{encoding}", len(data) / 1e6, "MB, 16 frames"),
        ]
    return rows


def _pack(clip: Path) -> Pack:
    packs: list[Pack] = []
    with clip.open("rb") as file:
        onepass.cut(
            file,
            prepare=PrepareOptions(generate_previews=False),
            preview=PreviewOptions(),
            grid=QWEN2_5_VL,
            write=lambda window: packs.append(window.frames),
        )
    whole = packs[0]
    return Pack(
        frames=np.ascontiguousarray(whole.frames[:FRAMES]),
        indices=whole.indices[:FRAMES],
        times_s=whole.times_s[:FRAMES],
        source_fps=whole.source_fps,
    )


def _median_ms(work: Callable[[], T], rounds: int) -> tuple[T, float]:
    times_ms = []
    for _ in range(rounds):
        started_s = time.process_time()
        result = work()
        times_ms.append((time.process_time() - started_s) * 1000)
    return result, statistics.median(times_ms)
