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
from clipfleet.records import ClipRecord, Failure, ManifestLine, ModelRecord, Status, WindowRecord
from clipfleet.store import Store
from clipfleet_producer.cli import results
from clipfleet_producer.runs import manifest
from tests.support.records import SOURCE, clip_record

OPTIONS = Options()
RUN = "r1"
IN_THREES = ("--shard-size", "3")
WEBP, JPEG = b"RIFF\0\0\0\0WEBPVP8 ", b"\xff\xd8\xff\xe0 a poster"
MODEL = ModelRecord(
    repository="Qwen/Qwen2.5-VL-7B-Instruct",
    revision="cc59489",
    engine="vllm 0.32.0",
    prompt="Describe this.",
    prompt_sha256="00ff",
)
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
    return WindowRecord(
        start_frame=start,
        end_frame=end,
        qwen_caption=caption,
        qwen_lm_enhanced_caption=enhanced,
        status=Status.OK if ok else Status.ERROR,
        caption_status=Status.OK if ok else Status.ERROR,
        enhance_status=Status.OK if enhanced else Status.SKIPPED,
        preview_status=Status.OK,
        finish_reason="stop" if ok else None,
        prompt_tokens=5840 if ok else None,
        output_tokens=190 if ok else None,
        caption_cut=False if ok else None,
        caption_repeats=False if ok else None,
        frame_indices=[start, start + 85, start + 170, end],
        frame_times_s=[n / 30 for n in (start, start + 85, start + 170, end)],
        sampling="index",
        preview_key=keys.preview(clip, start, end),
        poster_key=keys.poster(clip, start, end),
        preview_bytes=len(WEBP),
        preview_width=426,
        preview_height=240,
        preview_frames=9,
        preview_duration_ms=8533,
        errors=[] if ok else [FAILURE],
    )


def done_record(
    number: int, captions: Iterable[str | None] = ("a red ball",), **changes: Any
) -> ClipRecord:
    """The record of a clip with a window for each caption."""
    clip = keys.clip_uuid(source(number))
    windows = [window(clip, i, caption=text) for i, text in enumerate(captions)]
    return clip_record(options_hash=OPTIONS.hash).model_copy(
        update={
            "span_uuid": clip,
            "source_video": source(number),
            "clip_location": source(number),
            "windows": windows,
            "valid": bool(windows) and all(not each.errors for each in windows),
            "source": SOURCE,
            "caption_model": MODEL,
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
        """Write the run down."""
        lines = (
            ManifestLine(clip_uuid=keys.clip_uuid(source(n)), source=source(n))
            for n in range(clips)
        )
        manifest.write_run(self.store, RUN, OPTIONS, lines)

    def put(self, *records: ClipRecord, pictures: bool = False) -> None:
        """Put clips' records there, and their previews where wanted."""
        for record in records:
            for each in record.windows if pictures else ():
                assert each.preview_key is not None
                assert each.poster_key is not None
                self.store.put(each.preview_key, WEBP)
                self.store.put(each.poster_key, JPEG)
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
