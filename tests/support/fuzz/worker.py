"""What a prepare worker and a preview worker do with a clip, and all that must be true of it then.

The whole of their work but for the broker: the clip is opened, cut within its limits, its packs and
its plan are written and read back, its previews are encoded, and its record is built.
"""

import contextlib
import itertools
import logging
import math
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clipfleet import keys
from clipfleet.messages import ClipJob, WindowJob
from clipfleet.options import Options
from clipfleet.queues import CAPTION, PREVIEW
from clipfleet.records import ClipRecord, Part, Plan, Status
from clipfleet.settings import Settings
from clipfleet_workers.context import Context
from clipfleet_workers.steps.assemble import build_record
from clipfleet_workers.steps.prepare import cut_clip
from clipfleet_workers.steps.preview import preview
from clipfleet_workers.steps.scratch import read_pack, stored_plan

DECODE_S = 5.0
REFUSALS = frozenset({"ClipUnreadable", "ClipEncrypted", "ClipTooLarge", "ClipTooShort"})

_QUICK: dict[str, Any] = {"compression_level": 1, "num_cpus_per_worker": 1.0}
_ASKED: list[dict[str, Any]] = [
    {"preview": {"num_cpus_per_worker": 1.0}},
    {
        "prepare": {"window_size": 6, "remainder_threshold": 4, "sampling_fps": 8.0},
        "preview": {"target_fps": 5.0, **_QUICK},
    },
    {
        "prepare": {"frame_encoding": "zstd", "sampling_fps": 30.0},
        "preview": {"target_fps": 30.0, **_QUICK},
        "caption": {"model_variant": "mini"},
    },
    {
        "prepare": {"model_does_preprocess": True, "frame_encoding": "jpeg444"},
        "preview": {"compression_level": 0, "num_cpus_per_worker": 1.0},
    },
]
ASKED = [Options.model_validate(groups) for groups in _ASKED]


class Worker:
    """A worker's context on a store in the folder, `out`, and no broker."""

    def __init__(self, folder: Path, *, decode_s: float = DECODE_S) -> None:
        self._path = folder / "clip"
        given = {"clip_limits": {"max_decode_s": decode_s}, "store": str(folder / "out")}
        settings = Settings.model_validate(given)
        self._context = Context(settings)
        self._context.store.prepare()

    def take(self, data: bytes, asked: Options) -> tuple[str, str]:
        """What becomes of a clip, an error's name or `cut`; and what must not be, or nothing."""
        self._path.write_bytes(data)
        source = self._path.as_uri()
        job = ClipJob(
            run_id="fuzz",
            clip_uuid=keys.clip_uuid(source),
            options_hash=asked.hash,
            source=source,
        )
        store = self._context.store
        store.put(keys.run_options(job.run_id), asked.model_dump_json().encode())
        try:
            return self._cut(job, asked)
        finally:
            store.delete_prefix(keys.SCRATCH)
            store.delete_prefix("previews/")

    def _cut(self, job: ClipJob, asked: Options) -> tuple[str, str]:
        context = self._context
        with refusals_heard() as heard:
            plan = cut_clip(context, job, asked)
        end = plan.errors[0].error if plan.errors else "cut"
        if plan.errors and end not in REFUSALS:
            return end, heard.traceback or plan.errors[0].message
        context.store.put(job.scratch.plan, plan.to_bytes())
        if stored_plan(context, job) != plan:
            return end, f"its plan does not read back: {plan.to_bytes()!r}"
        parts = []
        for window in plan.windows:
            claim = job.model_dump(include={"run_id", "clip_uuid", "options_hash"})
            place = WindowJob(**claim, start_frame=window.start_frame, end_frame=window.end_frame)
            found = {CAPTION: Part(status=Status.OK)}
            read_pack(context, place.scratch.frames(window.start_frame, window.end_frame))
            if asked.prepare.generate_previews:
                found[PREVIEW] = preview(context, place)
            parts.append(found)
        record = build_record(plan, parts, options=asked)
        if ClipRecord.model_validate_json(record.to_bytes()) != record:
            return end, f"its record does not read back: {record.to_bytes()!r}"
        return end, untrue(plan, self._context.settings)


def untrue(plan: Plan, settings: Settings) -> str:
    """What a plan says that cannot be; nothing where all of it can."""
    source = plan.source
    if source is None:
        return ""
    numbers = [n for w in plan.windows for n in range(w.start_frame, w.end_frame + 1)]
    if numbers != list(range(source.num_frames)) and source.num_frames >= 4:
        return f"its windows do not cover its {source.num_frames} frames"
    times = [time_s for window in plan.windows for time_s in window.frame_times_s]
    if not all(math.isfinite(each) for each in (*times, source.framerate, source.duration_s)):
        return "a number is not finite"
    if any(a > b for a, b in itertools.pairwise([0.0, *times, source.duration_s])):
        return f"its times do not rise: {times} to {source.duration_s}"
    if source.framerate <= 0 or not 0 <= source.duration_s <= settings.clip_limits.max_duration_s:
        return f"{source.framerate} frames a second, {source.duration_s} s"
    if source.width * source.height > settings.clip_limits.max_frame_pixels:
        return f"frames of {source.width}×{source.height}"
    return ""


class Heard(logging.Handler):
    """Keeps the traceback of what was logged last."""

    traceback = ""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.traceback = "".join(traceback.format_exception(*record.exc_info))


@contextlib.contextmanager
def refusals_heard() -> Iterator[Heard]:
    """What a worker logs goes here and nowhere else, tracebacks and all."""
    log, heard = logging.getLogger("clipfleet"), Heard()
    before = (log.handlers, log.propagate, log.level)
    log.handlers, log.propagate = [heard], False
    log.setLevel(logging.DEBUG)  # else a refusal comes without its traceback
    try:
        yield heard
    finally:
        log.handlers, log.propagate = before[:2]
        log.setLevel(before[2])
