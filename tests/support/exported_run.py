"""A run with records, previews and reviews in a store, to take away from; and commands to do it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner, Result

from clipfleet import keys
from clipfleet.options import Options
from clipfleet.records import (
    Caption,
    ClipRecord,
    EnhancedCaption,
    Failure,
    Frames,
    ManifestLine,
    Preview,
    Status,
    WindowRecord,
    completed,
)
from clipfleet.store import Store
from clipfleet_producer.cli import results
from clipfleet_producer.runs.writing import write_run
from tests.support.records import MODEL, SAMPLING, SOURCE, clip_record

OPTIONS = Options()
RUN = "r1"
IN_THREES = ("--shard-size", "3")
WEBP, JPEG = b"RIFF\0\0\0\0WEBPVP8 ", b"\xff\xd8\xff\xe0 a poster"
PROMPT, PROMPT_SHA256 = "Describe this.", "00ff"
FAILURE = Failure(
    step="caption", error="RequestTimedOut", message="no answer", start_frame=0, end_frame=255
)


def source(number: int) -> str:
    """The address of a run's clip."""
    return f"s3://clips/{number:05d}.mp4"


def window(
    clip: str, number: int, *, caption: str | None, enhanced: str | None = None
) -> WindowRecord:
    """A window of 256 frames with a preview; without a caption, one that failed."""
    start, end = 256 * number, 256 * number + 255
    ok = caption is not None
    indices = [start, start + 85, start + 170, end]
    said: dict[str, Any] = {"finish_reason": "stop", "prompt_tokens": 5840, "output_tokens": 190}
    by: dict[str, Any] = {"model": "qwen", "prompt_sha256": PROMPT_SHA256, "sampling": SAMPLING}
    made = EnhancedCaption(
        status=Status.OK, text=enhanced, recipe="", **said, **{**by, "model": "qwen_lm"}
    )
    return completed(
        WindowRecord(
            start_frame=start,
            end_frame=end,
            start_s=start / 30,
            end_s=(end + 1) / 30,
            status=Status.OK,
            captions={
                "default": Caption(
                    status=Status.OK if ok else Status.ERROR,
                    text=caption,
                    enhanced=made if enhanced else None,
                    recipe="",
                    **({**said, **by} if ok else {}),
                )
            },
            frames=Frames(
                indices=indices,
                times_s=[n / 30 for n in indices],
                sampling="index",
                width=1008,
                height=560,
                encoding="raw",
            ),
            preview=Preview(
                key=keys.preview(clip, start, end),
                poster_key=keys.poster(clip, start, end),
                num_bytes=len(WEBP),
                width=426,
                height=240,
                num_frames=9,
                duration_ms=8533,
                recipe="",
            ),
            errors=[] if ok else [FAILURE],
        )
    )


def with_caption(window: WindowRecord, **changes: Any) -> WindowRecord:
    """The window with another caption."""
    assert window.caption is not None
    captions = {"default": window.caption.model_copy(update=changes)}
    return completed(window.model_copy(update={"captions": captions}), window.caption)


def done_record(
    number: int, captions: Iterable[str | None] = ("a red ball",), **changes: Any
) -> ClipRecord:
    """The record of a clip with a window for each caption."""
    clip = keys.clip_uuid(source(number))
    windows = [window(clip, i, caption=text) for i, text in enumerate(captions)]
    return clip_record(OPTIONS).model_copy(
        update={
            "span_uuid": clip,
            "source_video": source(number),
            "clip_location": source(number),
            "windows": windows,
            "valid": bool(windows) and all(not each.errors for each in windows),
            "source": SOURCE,
            "models": {"qwen": MODEL},
            "prompts": {PROMPT_SHA256: PROMPT},
            "metadata": {"camera": number, "tags": ["näive", None]},
            "run_id": RUN,
            **changes,
        }
    )


@dataclass
class StoredRun:
    """A run of so many clips in a store, of which those are done that are `put`."""

    store: Store
    folder: Path

    def begin(self, clips: int) -> None:
        """Write the run."""
        lines = (
            ManifestLine(clip_uuid=keys.clip_uuid(source(n)), source=source(n))
            for n in range(clips)
        )
        write_run(self.store, RUN, OPTIONS, lines)

    def put(self, *records: ClipRecord, pictures: bool = False) -> None:
        """Put clips' records there, and their previews where wanted."""
        for record in records:
            for each in record.windows if pictures else ():
                assert each.preview is not None
                self.store.put(each.preview.key, WEBP)
                self.store.put(each.preview.poster_key, JPEG)
            self.store.put(keys.record(record.span_uuid), record.to_bytes())

    def review(self, number: int, verdict: str) -> None:
        """Say of a clip what a reviewer would."""
        review = {"verdict": verdict, "by": "someone"}
        self.store.put(keys.review(keys.clip_uuid(source(number))), json.dumps(review).encode())

    def export(self, dest: Path, *arguments: str) -> Result:
        """`clipfleet export`, in this process."""
        return self.invoke(results.export, RUN, str(dest), *arguments)

    def invoke(self, command: click.Command, *arguments: str) -> Result:
        """One of the commands, on this store."""
        return CliRunner().invoke(command, [*arguments, "--store", str(self.folder)])


def part_files(dest: Path) -> dict[str, bytes]:
    """The parts of an export that are files, in order."""
    return {path.name: path.read_bytes() for path in sorted(dest.glob("part-*"))}


def json_rows(dest: Path) -> list[dict[str, Any]]:
    """All rows of an export as JSON lines, in the order of its parts."""
    return [json.loads(line) for data in part_files(dest).values() for line in data.splitlines()]


def numbers(rows: Iterable[dict[str, Any]]) -> list[int]:
    """Which clips these rows are of."""
    return [int(Path(row["source_video"]).stem) for row in rows]
