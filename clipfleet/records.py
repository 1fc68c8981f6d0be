"""What lands in the store: the plan and parts of a clip in flight, and its record.

The record keeps the reference system's field names, so that readers of its output work unchanged.
"""

import enum
import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    ValidationError,
    field_validator,
)

from clipfleet import keys
from clipfleet.errors import NewerVersion, ObjectMissing
from clipfleet.messages import ClipJob, ClipUuid, OptionsHash, RecordDigest, upgraded
from clipfleet.queues import QueueName
from clipfleet.store import Store

SCHEMA_VERSION = 1


class Status(enum.StrEnum):
    """What came of a step."""

    OK = "ok"  # its output is there
    ERROR = "error"  # it failed; the reason is in `errors`
    SKIPPED = "skipped"  # not asked for, or nothing to do it on
    CANCELLED = "cancelled"  # the run was cancelled first


class Stored(BaseModel):
    """Something that lies in the store as JSON.

    Fields that a newer version added are taken, and kept where it is written again.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    def to_bytes(self) -> bytes:
        """The object's bytes: JSON, indented, UTF-8."""
        return self.model_dump_json(indent=1).encode()


class Versioned(Stored):
    """An object of its own, in the form of a `version`. One of a newer version is not read."""

    newest: ClassVar[int] = 1
    version: int = 1

    @classmethod
    def read(cls, data: bytes) -> Self:
        """The object. Raises `NewerVersion`, or pydantic's `ValidationError` if it is none."""
        check_version(data, cls.newest, of=cls.__name__)
        return cls.model_validate_json(data)


def check_version(data: bytes, newest: int, *, of: str, field: str = "version") -> None:
    """Raises `NewerVersion` where a JSON object says that it is of a version above `newest`."""
    version = _peek(data).get(field)
    if type(version) is int and version > newest:
        raise NewerVersion(
            f"a {of} of version {version} is left to a newer clipfleet; "
            f"this one reads up to {newest}"
        )


def _peek(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


class Failure(Stored):
    """One thing that went wrong: on which queue, the error's name, and what to read and do."""

    step: QueueName
    error: str
    message: str
    start_frame: int | None = None
    end_frame: int | None = None


class SourceInfo(Stored):
    """What the clip's video stream holds, and how it is shown. Sizes in pixels; times in seconds.

    `width` and `height` are those of stored frames, cropped as their container says, upright. To
    show them they are flipped left to right where `mirrored`, then turned clockwise by
    `rotation_degrees`; their pixels, of `pixel_aspect_ratio` (width / height), are made square; of
    `interlaced` ones the top field is taken. `container` is FFmpeg's name of the format.
    `color_matrix` is bt601, bt709, bt2020, rgb or another; `color_matrix_guessed` where the stream
    does not say and its size decided. `video_streams` does not count cover art.
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


class Plan(Versioned):
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

    @field_validator("job", mode="before")
    @classmethod
    def _upgraded(cls, job: Any) -> Any:
        return upgraded(job)


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


class Part(Versioned):
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
    `replaces` names the record (`digest`) that the run does it again for; `redo`, of older lists,
    whichever is not the run's own. Of a `presigned` clip the `source` is its address without the
    signature; `address` is the whole of it, where that is at hand, and is never written with the
    rest. A list has the version of its head: a field that is none of
    ours is a fault in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    clip_uuid: ClipUuid
    source: str
    num_bytes: int | None = None
    span: tuple[float, float] | None = None
    options_hash: OptionsHash | None = None
    metadata: dict[str, JsonValue] = {}
    redo: bool = False
    replaces: RecordDigest | None = None
    presigned: bool = False
    address: Annotated[SecretStr | None, Field(exclude=True)] = None


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A record as it lies in the store.

    `version` is the store's name for this state of it, where it was read to be written over.
    """

    record: ClipRecord
    digest: str
    version: str = ""

    @property
    def newer(self) -> bool:
        """Whether a newer clipfleet wrote it: the clip is done, and it is never written over."""
        return self.record.schema_version > SCHEMA_VERSION

    def is_done(self, options_hash: str, *, replaces: str | None = None) -> bool:
        """Whether the clip is done with these options, and not to be done again for this record."""
        of_these = self.record.options_hash == options_hash and self.digest != replaces
        return of_these or self.newer


def digest(data: bytes) -> str:
    """A record's name among all that its clip ever had: 32 hex digits over its bytes."""
    return hashlib.sha256(data).hexdigest()[:32]


def find_record(
    store: Store, clip_uuid: str, set_name: str = "", *, to_replace: bool = False
) -> Kept | None:
    """The clip's record, whole, if there is one."""
    key = keys.record(clip_uuid, set_name)
    try:
        data, version = store.get_version(key) if to_replace else (store.get(key), "")
        return Kept(record=read_record(data), digest=digest(data), version=version)
    except (ObjectMissing, ValidationError):
        return None


def read_record(data: bytes) -> ClipRecord:
    """The record; of a newer schema's that does not fit ours, what can be said of it at all.

    Raises pydantic's `ValidationError` where it is none.
    """
    try:
        return ClipRecord.model_validate_json(data)
    except ValidationError:
        found = _peek(data)
        version = found.get("schema_version")
        if type(version) is not int or version <= SCHEMA_VERSION:
            raise
    said = {n: found[n] for n in ("span_uuid", "source_video", "run_id") if _is_text(found.get(n))}
    unknown = dict.fromkeys(("width_source", "height_source", "framerate_source", "width"))
    unknown |= dict.fromkeys(("height", "framerate", "num_frames", "video_codec", "num_bytes"))
    blank = dict.fromkeys(("span_uuid", "source_video", "run_id", "clip_location"), "")
    blank |= dict.fromkeys(("options_hash", "clipfleet_version", "finished_at"), "")
    return ClipRecord.model_validate(
        {
            **unknown,
            **blank,
            **said,
            "schema_version": version,
            "duration_span": (0.0, 0.0),
            "windows": [],
            "valid": found.get("valid") is not False,
            "errors": [],
            "warnings": [f"this record is of a newer clipfleet (schema {version})"],
        }
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def done_record(
    store: Store,
    clip_uuid: str,
    options_hash: str,
    set_name: str = "",
    *,
    replaces: str | None = None,
) -> ClipRecord | None:
    """The clip's record, if the clip is done with these options (`Kept.is_done`)."""
    kept = find_record(store, clip_uuid, set_name)
    return kept.record if kept and kept.is_done(options_hash, replaces=replaces) else None
