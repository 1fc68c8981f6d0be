"""What lands in the store: the plan and parts of a clip in flight, and its record.

The record keeps the reference system's field names, so that readers of its output work unchanged.
"""

import enum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from clipfleet import keys
from clipfleet.errors import ObjectMissing
from clipfleet.messages import ClipJob, ClipUuid, OptionsHash
from clipfleet.store import Store

SCHEMA_VERSION = 1


class Status(enum.StrEnum):
    """What came of a step."""

    OK = "ok"  # its output is there
    ERROR = "error"  # it failed; the reason is in `errors`
    SKIPPED = "skipped"  # not asked for, or nothing to do it on
    CANCELLED = "cancelled"  # the run was cancelled first


class Stored(BaseModel):
    """Something that lies in the store as one JSON object."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_bytes(self) -> bytes:
        """The object's bytes: JSON, indented, UTF-8."""
        return self.model_dump_json(indent=1).encode()


class Failure(Stored):
    """One thing that went wrong: in which step, the error's name, and what to read and do."""

    step: Literal["prepare", "preview", "caption", "enhance", "assemble"]
    error: str
    message: str
    start_frame: int | None = None
    end_frame: int | None = None


class SourceInfo(Stored):
    """What the clip's video stream holds, and how it is shown. Sizes in pixels; times in seconds.

    `width` and `height` are those of stored frames, upright. To show them they are flipped left
    to right where `mirrored`, then turned clockwise by `rotation_degrees`; their pixels, of
    `pixel_aspect_ratio` (width / height), are made square; of `interlaced` ones the top field is
    taken. `container` is FFmpeg's name of the format. `color_matrix` is bt601, bt709, bt2020,
    rgb or another; `color_matrix_guessed` where the stream does not say and its size decided.
    `video_streams` does not count cover art.
    """

    width: int
    height: int
    framerate: float
    num_frames: int
    duration_s: float
    video_codec: str
    pixel_format: str
    num_bytes: int
    container: str
    video_streams: int
    rotation_degrees: int
    mirrored: bool
    pixel_aspect_ratio: float
    interlaced: bool
    color_matrix: str
    color_matrix_guessed: bool
    color_range: Literal["limited", "full"]
    color_transfer: str
    variable_frame_rate: bool


class WindowPlan(Stored):
    """One window: its frames, and those sampled from it, as numbers within the clip.

    `sampling`: by frame number where the rate is constant, by time where it is not.
    """

    start_frame: int
    end_frame: int
    frame_indices: list[int]
    frame_times_s: list[float]
    sampling: Literal["index", "time"]
    grid_width: int
    grid_height: int


class SpanPlan(Stored):
    """The frames of a clip that is a part of its file: when they begin and end there, how many."""

    start_s: float
    end_s: float
    num_frames: int


class Plan(Stored):
    """What `prepare` found out about a clip, and the job that asked for it.

    `errors` without windows: it cannot be done.
    """

    job: ClipJob
    num_bytes: int | None = None
    source: SourceInfo | None
    span: SpanPlan | None = None
    windows: list[WindowPlan]
    frame_encoding: str | None = None  # raw, zstd or jpeg444
    uploaded: bool = False  # the clip itself was copied to the store
    warnings: list[str] = []
    errors: list[Failure] = []


class Written(Stored):
    """A text that a model wrote.

    `cut`: it reached the most tokens that were asked for. `repeats`: it ends in one phrase over and
    over, as a model does that has lost its way.
    """

    text: str
    finish_reason: str
    prompt_tokens: int
    output_tokens: int
    cut: bool
    repeats: bool


class Completion(Written):
    """A text, and how it came about; `first` is the first pass's, where a second was asked for."""

    first: Written | None = None
    model: str
    revision: str
    engine: str
    prompt: str
    prompt_sha256: str
    stage2_prompt: str | None = None  # before the first caption was put in


class PreviewFile(Stored):
    """A preview that lies in the store, and its first frame as a JPEG. In pixels and bytes."""

    key: str
    poster_key: str
    num_bytes: int
    width: int
    height: int
    num_frames: int
    duration_ms: int


class Part(Stored):
    """What one queue found for one window."""

    status: Status
    completion: Completion | None = None
    preview: PreviewFile | None = None
    error: Failure | None = None


class WindowRecord(Stored):
    """One window in the record. Cut and repeating texts: see `Written`."""

    start_frame: int
    end_frame: int
    qwen_caption: str | None = None
    stage1_caption: str | None = None
    stage1_finish_reason: str | None = None
    stage1_output_tokens: int | None = None
    qwen_lm_enhanced_caption: str | None = None
    status: Status
    caption_status: Status
    enhance_status: Status
    preview_status: Status
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    caption_cut: bool | None = None
    caption_repeats: bool | None = None
    enhance_finish_reason: str | None = None
    enhance_prompt_tokens: int | None = None
    enhance_output_tokens: int | None = None
    enhance_cut: bool | None = None
    enhance_repeats: bool | None = None
    frame_indices: list[int]
    frame_times_s: list[float]
    sampling: Literal["index", "time"]
    preview_key: str | None = None
    poster_key: str | None = None
    preview_bytes: int | None = None
    preview_width: int | None = None
    preview_height: int | None = None
    preview_frames: int | None = None
    preview_duration_ms: int | None = None
    errors: list[Failure] = []


class ModelRecord(Stored):
    """Which model wrote, and what it was told."""

    repository: str
    revision: str
    engine: str
    prompt: str
    prompt_sha256: str
    stage2_prompt: str | None = None


class ClipRecord(Stored):
    """All that is known of a clip once it is done; written last.

    `duration_span` is [start, end] in seconds within `source_video`, of which the clip's frames are
    a part where a span was asked for. `width_source`, `height_source` and `framerate_source` equal
    `width`, `height` and `framerate`: a clip is not encoded anew. `valid` is false where there is
    no window to caption, or an error in any of them. `frame_encoding` is how the frames travelled
    to the model: raw and zstd without loss, jpeg444 with some. `metadata` is what the run's
    manifest had on the clip.
    """

    schema_version: int = SCHEMA_VERSION
    span_uuid: str
    source_video: str
    duration_span: tuple[float, float]
    width_source: int | None
    height_source: int | None
    framerate_source: float | None
    clip_location: str
    width: int | None
    height: int | None
    framerate: float | None
    num_frames: int | None
    video_codec: str | None
    num_bytes: int | None
    windows: list[WindowRecord]
    frame_encoding: str | None = None
    valid: bool
    errors: list[Failure]
    warnings: list[str] = Field(default_factory=list)
    metadata: dict[str, JsonValue] = {}
    source: SourceInfo | None = None
    caption_model: ModelRecord | None = None
    enhance_model: ModelRecord | None = None
    options_hash: str
    run_id: str
    clipfleet_version: str
    finished_at: str

    def failures(self) -> list[Failure]:
        """All that went wrong: the clip's own errors, then its windows'."""
        return [*self.errors, *(error for window in self.windows for error in window.errors)]

    def first_error(self) -> str:
        """The first thing to tell a person about a clip that failed; empty for one that did not."""
        failures = self.failures()
        return failures[0].message if failures else ""


class ManifestLine(Stored):
    """One clip of a run.

    `span` is the part of the source to take, (start, end) in seconds. `options_hash` names options
    of its own, where it has any (`keys.run_variant`). `metadata` goes into its record as it is.
    `redo`: the run does it although it has a record, which is replaced.
    """

    clip_uuid: ClipUuid
    source: str
    num_bytes: int | None = None
    span: tuple[float, float] | None = None
    options_hash: OptionsHash | None = None
    metadata: dict[str, JsonValue] = {}
    redo: bool = False


def done_record(
    store: Store, clip_uuid: str, options_hash: str, *, redone_by: str | None = None
) -> ClipRecord | None:
    """The clip's record, if it is there, whole, and made with these options: the clip is done.

    With `redone_by`, only a record that this run wrote counts.
    """
    try:
        record = ClipRecord.model_validate_json(store.get(keys.record(clip_uuid)))
    except (ObjectMissing, ValidationError):
        return None
    by_the_run = redone_by is None or record.run_id == redone_by
    return record if record.options_hash == options_hash and by_the_run else None
