"""The columns of an export. Every format is written from these tables, and described by them.

Names are the record's, but that what it nests has its noun before it.
"""

import enum
from collections.abc import Callable, Iterator

from clipfleet.queues import QUEUES, listed
from clipfleet.records import Caption, ClipRecord, EnhancedCaption
from clipfleet_producer.export.columns import Column, Kind, Row, as_json, row_maker


class Per(enum.StrEnum):
    """What one row is about."""

    WINDOW = "window"  # with its clip's columns beside it
    CLIP = "clip"  # with its windows nested


_FAILURE = (
    Column("step", Kind.TEXT, f"{listed(QUEUES, 'or')}.", "step"),
    Column("error", Kind.TEXT, "The error's name.", "error"),
    Column("message", Kind.TEXT, "What went wrong, and what to do.", "message"),
    Column("start_frame", Kind.INTEGER, "First frame of its window, if it has one.", "start_frame"),
    Column("end_frame", Kind.INTEGER, "Last frame of its window, if it has one.", "end_frame"),
)

_STATUS = "ok, error, skipped (not asked for, or nothing to do it on) or cancelled"

WINDOW = (
    Column(
        "start_frame", Kind.INTEGER, "First frame of the window, from 0 in its clip.", "start_frame"
    ),
    Column("end_frame", Kind.INTEGER, "Last frame of the window, inclusive.", "end_frame"),
    Column(
        "start_s",
        Kind.NUMBER,
        "When its first frame is shown, in seconds from the clip's start.",
        "start_s",
    ),
    Column(
        "end_s", Kind.NUMBER, "When its last frame ends, in seconds from the clip's start.", "end_s"
    ),
    Column("caption", Kind.TEXT, "The caption (captions.default in the record).", "caption.text"),
    Column(
        "enhanced_caption",
        Kind.TEXT,
        "The caption as a language model enhanced it.",
        "enhanced.text",
    ),
    Column(
        "stage1_caption",
        Kind.TEXT,
        "The first pass's caption, where a second pass was asked for.",
        "caption.first_pass.text",
    ),
    Column("status", Kind.TEXT, f"Result of the window: {_STATUS}.", "status", str),
    Column(
        "caption_status", Kind.TEXT, f"Result of its caption: {_STATUS}.", "caption_status", str
    ),
    Column(
        "enhance_status",
        Kind.TEXT,
        f"Result of its enhanced caption: {_STATUS}.",
        "enhance_status",
        str,
    ),
    Column(
        "preview_status", Kind.TEXT, f"Result of its preview: {_STATUS}.", "preview_status", str
    ),
    Column(
        "finish_reason",
        Kind.TEXT,
        "Why the caption ended: stop, or length where it is truncated.",
        "caption.finish_reason",
    ),
    Column(
        "prompt_tokens", Kind.INTEGER, "Tokens that the captioner read.", "caption.prompt_tokens"
    ),
    Column(
        "output_tokens", Kind.INTEGER, "Tokens that the captioner wrote.", "caption.output_tokens"
    ),
    Column(
        "caption_flags",
        Kind.TEXTS,
        "What is odd about the caption: truncated, repetitive, empty.",
        "caption.flags",
    ),
    Column(
        "stage1_finish_reason",
        Kind.TEXT,
        "Why the first pass's caption ended.",
        "caption.first_pass.finish_reason",
    ),
    Column(
        "stage1_output_tokens",
        Kind.INTEGER,
        "Tokens of the first pass's caption.",
        "caption.first_pass.output_tokens",
    ),
    Column(
        "enhance_finish_reason",
        Kind.TEXT,
        "Why the enhanced caption ended.",
        "enhanced.finish_reason",
    ),
    Column(
        "enhance_prompt_tokens",
        Kind.INTEGER,
        "Tokens that the enhancer read.",
        "enhanced.prompt_tokens",
    ),
    Column(
        "enhance_output_tokens",
        Kind.INTEGER,
        "Tokens that the enhancer wrote.",
        "enhanced.output_tokens",
    ),
    Column(
        "enhance_flags", Kind.TEXTS, "What is odd about the enhanced caption.", "enhanced.flags"
    ),
    Column(
        "frame_indices",
        Kind.INTEGERS,
        "The frames that the model saw, by number in the clip.",
        "frames.indices",
    ),
    Column(
        "frame_times_s",
        Kind.NUMBERS,
        "When these frames are shown, in seconds from the clip's start.",
        "frames.times_s",
    ),
    Column(
        "sampling",
        Kind.TEXT,
        "How they were sampled: by index (frame number), or by time where frames are uneven.",
        "frames.sampling",
    ),
    Column(
        "frame_width",
        Kind.INTEGER,
        "Width of these frames as the model saw them, in pixels.",
        "frames.width",
    ),
    Column(
        "frame_height",
        Kind.INTEGER,
        "Height of these frames as the model saw them, in pixels.",
        "frames.height",
    ),
    Column(
        "frame_encoding",
        Kind.TEXT,
        "How frames travelled to the model: raw and zstd without loss, jpeg444 with some.",
        "frames.encoding",
    ),
    Column("preview_key", Kind.TEXT, "Where the preview lies in the store.", "preview.key"),
    Column("poster_key", Kind.TEXT, "Where its first frame lies, as a JPEG.", "preview.poster_key"),
    Column("preview_bytes", Kind.INTEGER, "Size of the preview in bytes.", "preview.num_bytes"),
    Column("preview_width", Kind.INTEGER, "Width of the preview in pixels.", "preview.width"),
    Column("preview_height", Kind.INTEGER, "Height of the preview in pixels.", "preview.height"),
    Column("preview_frames", Kind.INTEGER, "Frames of the preview.", "preview.num_frames"),
    Column(
        "preview_duration_ms",
        Kind.INTEGER,
        "How long the preview plays, in milliseconds.",
        "preview.duration_ms",
    ),
    Column("errors", _FAILURE, "What went wrong with the window.", "errors"),
)

_NAME = Column("clip_uuid", Kind.TEXT, "The clip's name in the store.", "span_uuid")


def _of_the_stream(name: str, kind: Kind, description: str) -> Column:
    return Column(name, kind, description, f"source.{name}")


def _texts(record: ClipRecord, side: str) -> Iterator[EnhancedCaption]:
    """What the model wrote that captions, or enhances."""
    for window in record.windows:
        text = window.caption if side == "caption" else window.enhanced
        if text is not None and text.model is not None:
            yield text


def _of_the_model(side: str, field: str) -> Callable[[ClipRecord], str | None]:
    def find(record: ClipRecord) -> str | None:
        text = next(_texts(record, side), None)
        model = record.models.get(text.model) if text and text.model else None
        return getattr(model, field) if model else None

    return find


def _prompt(side: str, *, last: bool = False) -> Callable[[ClipRecord], str | None]:
    """Finds the prompt's SHA-256: of two passes the first's, or the `last` one's, if there are."""

    def find(record: ClipRecord) -> str | None:
        text = next(_texts(record, side), None)
        first = text.first_pass if isinstance(text, Caption) else None
        if last:
            return text.prompt_sha256 if text and first else None
        return (first or text).prompt_sha256 if text else None

    return find


def _prompt_text(of: Callable[[ClipRecord], str | None]) -> Callable[[ClipRecord], str | None]:
    return lambda record: record.prompts.get(of(record) or "")


def _model(side: str, who: str) -> tuple[Column, ...]:
    prompt = _prompt(side)
    said = f"What the {who} was told."
    return (
        Column(
            f"{side}_model",
            Kind.TEXT,
            f"The {who}'s repository.",
            _of_the_model(side, "repository"),
        ),
        Column(
            f"{side}_revision", Kind.TEXT, f"The {who}'s revision.", _of_the_model(side, "revision")
        ),
        Column(f"{side}_engine", Kind.TEXT, f"What ran the {who}.", _of_the_model(side, "engine")),
        Column(f"{side}_prompt", Kind.TEXT, said, _prompt_text(prompt)),
        Column(f"{side}_prompt_sha256", Kind.TEXT, "SHA-256 of that prompt, in hex.", prompt),
    )


_CLIP = (
    Column("source_video", Kind.TEXT, "The clip's source, as a URI.", "source_video"),
    Column(
        "span_start_s",
        Kind.NUMBER,
        "Where the clip begins within its source, in seconds.",
        "duration_span",
        lambda span: span[0],
    ),
    Column(
        "span_end_s",
        Kind.NUMBER,
        "Where the clip ends within its source, in seconds.",
        "duration_span",
        lambda span: span[1],
    ),
    Column(
        "clip_location",
        Kind.TEXT,
        "Where the clip lies: its source, or a key of the store where it was uploaded.",
        "clip_location",
    ),
    Column(
        "metadata",
        Kind.TEXT,
        "What the run's manifest had on the clip, as a JSON object.",
        "metadata",
        as_json,
    ),
    Column("valid", Kind.BOOL, "It has windows, and no error in any of them.", "valid"),
    Column("clip_errors", _FAILURE, "What went wrong with the clip as a whole.", "errors"),
    Column("warnings", Kind.TEXTS, "What was found odd about the clip.", "warnings"),
    Column("width", Kind.INTEGER, "Width of its frames as stored, in pixels.", "width"),
    Column("height", Kind.INTEGER, "Height of its frames as stored, in pixels.", "height"),
    Column("framerate", Kind.NUMBER, "Frames a second.", "framerate"),
    Column("num_frames", Kind.INTEGER, "Frames of the clip.", "num_frames"),
    _of_the_stream("duration_s", Kind.NUMBER, "How long the clip is, in seconds."),
    Column("num_bytes", Kind.INTEGER, "Size of the clip's file in bytes.", "num_bytes"),
    Column("video_codec", Kind.TEXT, "FFmpeg's name of the codec.", "video_codec"),
    _of_the_stream("container", Kind.TEXT, "FFmpeg's name of the file's format."),
    _of_the_stream("etag", Kind.TEXT, "The ETag of the clip's file, where it had one."),
    _of_the_stream("mtime", Kind.TEXT, "When the clip's file was last changed: ISO 8601, UTC."),
    _of_the_stream("pixel_format", Kind.TEXT, "FFmpeg's name of the pixel format."),
    _of_the_stream("video_streams", Kind.INTEGER, "Video streams, cover art not counted."),
    _of_the_stream(
        "mirrored", Kind.BOOL, "To show them, frames are flipped left to right, before turning."
    ),
    _of_the_stream(
        "rotation_degrees", Kind.INTEGER, "To show them, frames are turned clockwise by so much."
    ),
    _of_the_stream("pixel_aspect_ratio", Kind.NUMBER, "A pixel's width by its height."),
    _of_the_stream("interlaced", Kind.BOOL, "Frames are two fields; the top one was taken."),
    _of_the_stream("variable_frame_rate", Kind.BOOL, "Frames come at uneven times."),
    _of_the_stream("color_matrix", Kind.TEXT, "bt601, bt709, bt2020, rgb or another."),
    _of_the_stream(
        "color_matrix_guessed", Kind.BOOL, "The stream does not say its matrix; its size decided."
    ),
    _of_the_stream("color_range", Kind.TEXT, "limited or full."),
    _of_the_stream("color_transfer", Kind.TEXT, "FFmpeg's name of the transfer function."),
    *_model("caption", "captioner"),
    Column(
        "caption_stage2_prompt",
        Kind.TEXT,
        "What the captioner was told for its second pass, before the first caption was put in.",
        _prompt_text(_prompt("caption", last=True)),
    ),
    *_model("enhance", "enhancer"),
    Column("run_id", Kind.TEXT, "The run that last added to the record.", "run_id"),
    Column("set", Kind.TEXT, "The set that it belongs to; empty for the first.", "set"),
    Column(
        "recipes", Kind.TEXT, "The recipe of each of its products, as JSON.", "recipes", as_json
    ),
    Column("finished_at", Kind.TEXT, "When it was written: ISO 8601, UTC.", "finished_at"),
    Column("clipfleet_version", Kind.TEXT, "What wrote it.", "clipfleet_version"),
    Column("schema_version", Kind.INTEGER, "The record's own version.", "schema_version"),
)

CLIP = (_NAME, *_CLIP)
_NESTED = (*CLIP, Column("windows", WINDOW, "The clip's windows, in order.", "windows"))


def columns(per: Per) -> tuple[Column, ...]:
    """The columns of such an export, in order."""
    return (_NAME, *WINDOW, *_CLIP) if per is Per.WINDOW else _NESTED


def record_rows(per: Per) -> Callable[[ClipRecord], Iterator[Row]]:
    """The function that makes a record's rows, with exactly the columns of `columns`."""
    if per is Per.CLIP:
        nested = row_maker(_NESTED)
        return lambda record: iter((nested(record),))
    name, window, clip = row_maker((_NAME,)), row_maker(WINDOW), row_maker(_CLIP)

    def rows(record: ClipRecord) -> Iterator[Row]:
        if record.windows:
            before, after = name(record), clip(record)
            for each in record.windows:
                yield {**before, **window(each), **after}

    return rows
