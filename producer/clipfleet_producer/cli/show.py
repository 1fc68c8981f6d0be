"""`clipfleet show`: one clip's record, for a person or for machines."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.text import Text

from clipfleet import keys
from clipfleet.errors import ExitCode, ObjectMissing, UsageError
from clipfleet.messages import faults
from clipfleet.presigned import bare, shown
from clipfleet.printable import printable
from clipfleet.records import ClipRecord, Failure, ModelRecord, WindowRecord
from clipfleet.store import Store
from clipfleet_producer.cli import commands
from clipfleet_producer.cli.terminal import Console
from clipfleet_producer.export.columns import as_json
from clipfleet_producer.sources.spellings import one_spelling, path_on_disk
from clipfleet_producer.sources.uris import is_s3, short_name

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_console = Console()


def show(clip: str, flags: dict[str, Any], *, as_json: bool) -> int:
    """`clipfleet show`: print the record of a clip; returns the exit code."""
    settings = commands.store_settings(flags)
    store = settings.open_store()
    data = read_record(store, clip)
    if as_json:
        _write_json(data)
        return ExitCode.OK
    try:
        record = ClipRecord.model_validate_json(data)
    except ValidationError as error:
        raise UsageError(
            f"the record of {shown(clip)} is none that this version reads "
            f"({faults(error, whole='')[:300]}); --json prints it as it is"
        ) from None
    print_record(_console, record, store.uri)
    return ExitCode.OK


def clip_name(clip: str) -> str:
    """The uuid of a clip that is given by it, by its source's URI, or by its path here.

    `URI#t=START,END` is the part of a source that a manifest gave a span.
    """
    if _UUID.fullmatch(clip.lower()):
        return clip.lower()
    if is_s3(clip):
        return keys.clip_uuid(f"s3://{clip.partition('://')[2]}")
    if "://" in clip:
        return keys.clip_uuid(bare(clip))
    path = Path(path_on_disk(str(Path(clip).expanduser()))).resolve()
    return keys.clip_uuid(Path(one_spelling(str(path))).as_uri())


def read_record(store: Store, clip: str) -> bytes:
    """The bytes of a clip's record. Raises `UsageError` where it has none."""
    name = clip_name(clip)
    try:
        return store.get(keys.record(name))
    except ObjectMissing:
        raise UsageError(
            f"{shown(clip)}: no record of it ({keys.record(name)}) in {store.uri}; it is not done, "
            "or was submitted under another address"
        ) from None


def _write_json(data: bytes) -> None:
    if not sys.stdout.isatty():
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    print(safe_json(data.decode(errors="replace")))


def safe_json(text: str) -> str:
    """JSON of the same meaning, in which nothing is left that a terminal would act on or hide.

    Such letters stand only within texts, where JSON has escapes for them.
    """
    return "".join(c if c == "\n" or c.isprintable() else _json_escape(c) for c in text)


def _json_escape(letter: str) -> str:
    units = letter.encode("utf-16-be")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def print_record(console: Console, record: ClipRecord, uri: str) -> None:
    """Print a record as a person reads it; `uri` is the store's."""
    state = ("ok", "green") if record.valid else ("with errors", "red")
    title = Text.assemble((printable(short_name(record.source_video)), "bold"), "  ", state)
    console.print(title, soft_wrap=True)
    _print_pairs(console, _about_clip(record))
    for failure in record.errors:
        _print_failure(console, failure)
    for number, window in enumerate(record.windows, 1):
        head = f"\nwindow {number}: frames {window.start_frame}–{window.end_frame}"
        if window.frame_times_s:
            first, last = window.frame_times_s[0], window.frame_times_s[-1]
            head += f", {len(window.frame_indices)} sampled from {first:.2f} to {last:.2f} s"
        console.print(Text(head, style="bold"), soft_wrap=True)
        _print_pairs(console, _about_window(window, uri))
        for failure in window.errors:
            _print_failure(console, failure)


def _about_clip(record: ClipRecord) -> Iterator[tuple[str, str]]:
    yield "clip", record.span_uuid
    yield "source", record.source_video
    start, end = record.duration_span
    yield "span", f"{start:.2f} to {end:.2f} s"
    yield "video", ", ".join(_video(record))
    for warning in record.warnings:
        yield "warning", warning
    for name, value in record.metadata.items():
        yield "metadata", f"{name}: {as_json(value)}"
    yield from _about_model("captions by", record.caption_model)
    yield from _about_model("enhanced by", record.enhance_model)
    yield "run", f"{record.run_id}, options {record.options_hash}"
    yield "finished", f"{record.finished_at}, by clipfleet {record.clipfleet_version}"


def _video(record: ClipRecord) -> Iterator[str]:
    if record.width is not None:
        yield f"{record.width}×{record.height}"
    if record.framerate is not None:
        yield f"{record.framerate:.3f} frames a second"
    if record.num_frames is not None:
        yield f"{record.num_frames:,} frames"
    yield from filter(None, (record.video_codec,))
    if record.num_bytes is not None:
        yield f"{record.num_bytes:,} bytes"
    if (source := record.source) is None:
        return
    yield source.pixel_format
    yield source.container
    guessed = " (guessed)" if source.color_matrix_guessed else ""
    yield f"{source.color_matrix}{guessed}, {source.color_range} range"
    if source.rotation_degrees:
        yield f"turned by {source.rotation_degrees}°"
    for holds, words in (
        (source.mirrored, "mirrored"),
        (source.interlaced, "interlaced"),
        (source.variable_frame_rate, "uneven frame times"),
        (source.pixel_aspect_ratio != 1, f"pixels {source.pixel_aspect_ratio:.3f} wide"),
    ):
        if holds:
            yield words


def _about_model(label: str, model: ModelRecord | None) -> Iterator[tuple[str, str]]:
    if model is not None:
        yield label, f"{model.repository} at {model.revision}, {model.engine}"


def _about_window(window: WindowRecord, uri: str) -> Iterator[tuple[str, str]]:
    if window.stage1_caption is not None:
        yield "first pass", window.stage1_caption
    if window.qwen_caption is not None:
        yield "caption", window.qwen_caption
        tokens = f"{window.prompt_tokens} tokens read, {window.output_tokens} written"
        flaws = _flaws(window.caption_cut, window.caption_repeats)
        yield "", f"{tokens}, ended by {window.finish_reason}{flaws}"
    if window.qwen_lm_enhanced_caption is not None:
        yield "enhanced", window.qwen_lm_enhanced_caption
        tokens = f"{window.enhance_prompt_tokens} tokens read, {window.enhance_output_tokens}"
        flaws = _flaws(window.enhance_cut, window.enhance_repeats)
        yield "", f"{tokens} written, ended by {window.enhance_finish_reason}{flaws}"
    if window.preview_key is not None:
        yield "preview", f"{uri}/{window.preview_key}"
        size = f"{window.preview_width}×{window.preview_height}, {window.preview_frames} frames"
        yield "", f"{size}, {window.preview_bytes:,} bytes"


def _flaws(cut: bool | None, repeats: bool | None) -> str:
    return (", cut" if cut else "") + (", repeats itself" if repeats else "")


def _print_pairs(console: Console, pairs: Iterator[tuple[str, str]]) -> None:
    for name, value in pairs:
        # Not cut to the terminal's width: addresses stay whole, to be copied.
        line = Text.assemble((f"  {printable(name):12} ", "dim"), printable(value))
        console.print(line, soft_wrap=True)


def _print_failure(console: Console, failure: Failure) -> None:
    line = f"  {failure.error} in {failure.step}: {failure.message}"
    console.print(Text(printable(line), style="red"), soft_wrap=True)
