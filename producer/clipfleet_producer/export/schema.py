"""The columns of an export. Every format is written from these tables, and described by them.

Names are the record's, but for those of captions, which there bear the first model's name.
"""

import enum
from collections.abc import Callable, Iterator

from clipfleet.queues import QUEUES, listed
from clipfleet.records import ClipRecord
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
    Column("caption", Kind.TEXT, "The caption (qwen_caption in the record).", "qwen_caption"),
    Column(
        "enhanced_caption",
        Kind.TEXT,
        "The caption as a language model wrote it anew (qwen_lm_enhanced_caption in the record).",
        "qwen_lm_enhanced_caption",
    ),
    Column(
        "stage1_caption",
        Kind.TEXT,
        "The first pass's caption, where a second pass was asked for.",
        "stage1_caption",
    ),
    Column("status", Kind.TEXT, f"What came of the window: {_STATUS}.", "status", str),
    Column(
        "caption_status", Kind.TEXT, f"What came of its caption: {_STATUS}.", "caption_status", str
    ),
    Column(
        "enhance_status",
        Kind.TEXT,
        f"What came of its enhanced caption: {_STATUS}.",
        "enhance_status",
        str,
    ),
    Column(
        "preview_status", Kind.TEXT, f"What came of its preview: {_STATUS}.", "preview_status", str
    ),
    Column(
        "finish_reason",
        Kind.TEXT,
        "Why the caption ended: stop, or length where it is cut.",
        "finish_reason",
    ),
    Column("prompt_tokens", Kind.INTEGER, "Tokens that the captioner read.", "prompt_tokens"),
    Column("output_tokens", Kind.INTEGER, "Tokens that the captioner wrote.", "output_tokens"),
    Column(
        "caption_cut", Kind.BOOL, "The caption reached the most tokens asked for.", "caption_cut"
    ),
    Column(
        "caption_repeats",
        Kind.BOOL,
        "The caption ends in one phrase over and over.",
        "caption_repeats",
    ),
    Column(
        "stage1_finish_reason",
        Kind.TEXT,
        "Why the first pass's caption ended.",
        "stage1_finish_reason",
    ),
    Column(
        "stage1_output_tokens",
        Kind.INTEGER,
        "Tokens of the first pass's caption.",
        "stage1_output_tokens",
    ),
    Column(
        "enhance_finish_reason",
        Kind.TEXT,
        "Why the enhanced caption ended.",
        "enhance_finish_reason",
    ),
    Column(
        "enhance_prompt_tokens",
        Kind.INTEGER,
        "Tokens that the enhancer read.",
        "enhance_prompt_tokens",
    ),
    Column(
        "enhance_output_tokens",
        Kind.INTEGER,
        "Tokens that the enhancer wrote.",
        "enhance_output_tokens",
    ),
    Column(
        "enhance_cut",
        Kind.BOOL,
        "The enhanced caption reached the most tokens asked for.",
        "enhance_cut",
    ),
    Column(
        "enhance_repeats",
        Kind.BOOL,
        "The enhanced caption ends in one phrase over and over.",
        "enhance_repeats",
    ),
    Column(
        "frame_indices",
        Kind.INTEGERS,
        "The frames that the model saw, by number in the clip.",
        "frame_indices",
    ),
    Column(
        "frame_times_s",
        Kind.NUMBERS,
        "When these frames are shown, in seconds from the clip's start.",
        "frame_times_s",
    ),
    Column(
        "sampling",
        Kind.TEXT,
        "How they were sampled: by index (frame number), or by time where frames are uneven.",
        "sampling",
    ),
    Column("preview_key", Kind.TEXT, "Where the preview lies in the store.", "preview_key"),
    Column("poster_key", Kind.TEXT, "Where its first frame lies, as a JPEG.", "poster_key"),
    Column("preview_bytes", Kind.INTEGER, "Size of the preview in bytes.", "preview_bytes"),
    Column("preview_width", Kind.INTEGER, "Width of the preview in pixels.", "preview_width"),
    Column("preview_height", Kind.INTEGER, "Height of the preview in pixels.", "preview_height"),
    Column("preview_frames", Kind.INTEGER, "Frames of the preview.", "preview_frames"),
    Column(
        "preview_duration_ms",
        Kind.INTEGER,
        "How long the preview plays, in milliseconds.",
        "preview_duration_ms",
    ),
    Column("errors", _FAILURE, "What went wrong with the window.", "errors"),
)

_NAME = Column("clip_uuid", Kind.TEXT, "The clip's name in the store.", "span_uuid")


def _of_the_stream(name: str, kind: Kind, description: str) -> Column:
    return Column(name, kind, description, f"source.{name}")


def _model(side: str, who: str) -> tuple[Column, ...]:
    record = f"{side}_model"
    return (
        Column(record, Kind.TEXT, f"The {who}'s repository.", f"{record}.repository"),
        Column(f"{side}_revision", Kind.TEXT, f"The {who}'s revision.", f"{record}.revision"),
        Column(f"{side}_engine", Kind.TEXT, f"What ran the {who}.", f"{record}.engine"),
        Column(f"{side}_prompt", Kind.TEXT, f"What the {who} was told.", f"{record}.prompt"),
        Column(
            f"{side}_prompt_sha256",
            Kind.TEXT,
            "SHA-256 of that prompt, in hex.",
            f"{record}.prompt_sha256",
        ),
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
    Column(
        "frame_encoding",
        Kind.TEXT,
        "How frames travelled to the model: raw and zstd without loss, jpeg444 with some.",
        "frame_encoding",
    ),
    *_model("caption", "captioner"),
    Column(
        "caption_stage2_prompt",
        Kind.TEXT,
        "What the captioner was told for its second pass, before the first caption was put in.",
        "caption_model.stage2_prompt",
    ),
    *_model("enhance", "enhancer"),
    Column("run_id", Kind.TEXT, "The run that wrote the record.", "run_id"),
    Column("options_hash", Kind.TEXT, "The hash of the options it was made with.", "options_hash"),
    Column("finished_at", Kind.TEXT, "When it was written: ISO 8601, UTC.", "finished_at"),
    Column("clipfleet_version", Kind.TEXT, "What wrote it.", "clipfleet_version"),
    Column("schema_version", Kind.INTEGER, "The record's own version.", "schema_version"),
)

CLIP = (_NAME, *_CLIP)
_NESTED = (*CLIP, Column("windows", WINDOW, "The clip's windows, in order.", "windows"))


def columns(per: Per) -> tuple[Column, ...]:
    """The columns of such an export, in order."""
    return (_NAME, *WINDOW, *_CLIP) if per is Per.WINDOW else _NESTED


def row_cutter(per: Per) -> Callable[[ClipRecord], Iterator[Row]]:
    """The function that cuts a record into its rows, with exactly the columns of `columns`."""
    if per is Per.CLIP:
        nested = row_maker(_NESTED)
        return lambda record: iter((nested(record),))
    name, window, clip = row_maker((_NAME,)), row_maker(WINDOW), row_maker(_CLIP)

    def cut(record: ClipRecord) -> Iterator[Row]:
        if record.windows:
            before, after = name(record), clip(record)
            for each in record.windows:
                yield {**before, **window(each), **after}

    return cut
