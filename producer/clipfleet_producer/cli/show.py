"""`clipfleet show`: one clip's record, for a person or for machines."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from rich.text import Text

from clipfleet import keys
from clipfleet.errors import ExitCode, ObjectMissing, UsageError
from clipfleet.messages import faults
from clipfleet.options import DEFAULT
from clipfleet.presigned import shown
from clipfleet.printable import printable
from clipfleet.records import ClipRecord, EnhancedCaption, Failure, WindowRecord
from clipfleet.sets import label as set_label
from clipfleet.store import Store
from clipfleet_producer.cli.clip_names import clip_uuids, find_by_name
from clipfleet_producer.cli.params import store_settings
from clipfleet_producer.cli.terminal import Console
from clipfleet_producer.export.columns import as_json
from clipfleet_producer.sources.uris import short_name

_SETS_LOOKED_INTO = 20

_console = Console()


def show(clip: str, flags: dict[str, Any], *, as_json: bool) -> int:
    """`clipfleet show`: print the record of a clip; returns the exit code."""
    settings = store_settings(flags)
    store = settings.open_store()
    data = read_record(store, clip, flags.get("set_name") or "")
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


def read_record(store: Store, clip: str, set_name: str = "") -> bytes:
    """The bytes of a clip's record in a set. Raises `UsageError` where it has none there."""
    names = clip_uuids(clip)
    for name in names:
        with contextlib.suppress(ObjectMissing):
            return store.get(keys.record(name, set_name))
    named = find_by_name(store, clip)
    if named is not None and named not in names:
        names = [named]
        with contextlib.suppress(ObjectMissing):
            return store.get(keys.record(named, set_name))
    others = _sets_with(store, names[0])
    why = "it is not done, or was submitted under another address"
    if others:
        why = f"there is one in set {', '.join(map(set_label, others))}: --set NAME shows it"
    key = keys.record(names[0], set_name)
    raise UsageError(f"{shown(clip)}: no record of it ({key}) in {store.uri}; {why}")


def _sets_with(store: Store, clip_uuid: str) -> list[str]:
    """The sets that have a record of the clip; of many sets, the first alone are looked into."""
    names = ["", *sorted(store.folders(keys.SETS))[:_SETS_LOOKED_INTO]]
    return [name for name in names if store.exists(keys.record(clip_uuid, name))]


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
        if times_s := window.frames.times_s:
            head += f", {len(times_s)} sampled from {times_s[0]:.2f} to {times_s[-1]:.2f} s"
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
    yield from _about_models(record)
    yield "run", record.run_id
    if record.set:
        yield "set", record.set
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


def _about_models(record: ClipRecord) -> Iterator[tuple[str, str]]:
    captions = [caption for window in record.windows for caption in window.captions.values()]
    for label, texts in (
        ("captions by", captions),
        ("enhanced by", [caption.enhanced for caption in captions]),
    ):
        for key in dict.fromkeys(text.model for text in texts if text and text.model):
            if (model := record.models.get(key)) is not None:
                yield label, f"{model.repository} at {model.revision}, {model.engine}"


def _about_window(window: WindowRecord, uri: str) -> Iterator[tuple[str, str]]:
    for name, caption in window.captions.items():
        of = "" if name == DEFAULT else f" {name}"
        if caption.first_pass is not None:
            yield f"first pass{of}", caption.first_pass.text
        yield from _about_text(f"caption{of}", caption)
        if caption.enhanced is not None:
            yield from _about_text(f"enhanced{of}", caption.enhanced)
    if (preview := window.preview) is not None:
        yield "preview", f"{uri}/{preview.key}"
        size = f"{preview.width}×{preview.height}, {preview.num_frames} frames"
        yield "", f"{size}, {preview.num_bytes:,} bytes"


def _about_text(label: str, said: EnhancedCaption) -> Iterator[tuple[str, str]]:
    if said.text is not None:
        yield label, said.text
        tokens = f"{said.prompt_tokens} tokens read, {said.output_tokens} written"
        yield "", ", ".join([tokens, f"ended by {said.finish_reason}", *said.flags])


def _print_pairs(console: Console, pairs: Iterator[tuple[str, str]]) -> None:
    for name, value in pairs:
        # Not cut to the terminal's width: addresses stay whole, to be copied.
        line = Text.assemble((f"  {printable(name):12} ", "dim"), printable(value))
        console.print(line, soft_wrap=True)


def _print_failure(console: Console, failure: Failure) -> None:
    line = f"  {failure.error} in {failure.step}: {failure.message}"
    console.print(Text(printable(line), style="red"), soft_wrap=True)
