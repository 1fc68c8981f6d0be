"""What `prepare` finds out about a clip: its source, its windows, what is sampled from them."""

from typing import Any, Literal

from pydantic import Field, field_validator

from clipfleet.messages import ClipJob, upgraded
from clipfleet.records.status import Failure
from clipfleet.records.stored import Stored, Versioned


class SourceInfo(Stored):
    """What the clip's video stream holds, and how it is shown. Sizes in pixels; times in seconds.

    `width` and `height` are those of stored frames, cropped as their container says, upright. To
    show them they are flipped left to right where `mirrored`, then turned clockwise by
    `rotation_degrees`; their pixels, of `pixel_aspect_ratio` (width / height), are made square; of
    `interlaced` ones the top field is taken. `container` is FFmpeg's name of the format.
    `color_matrix` is bt601, bt709, bt2020, rgb or another; `color_matrix_guessed` where the stream
    does not say and its size decided. `video_streams` does not count cover art. `etag` and `mtime`
    (ISO 8601, UTC) are those that its file had, as far as they are known: by them, and its size, a
    file that was replaced is found out.
    """

    width: int
    height: int
    framerate: float
    num_frames: int
    duration_s: float
    video_codec: str
    pixel_format: str
    num_bytes: int
    etag: str | None = None
    mtime: str | None = None
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

    `start_s` is when its first frame is shown, `end_s` when its last one ends, from the clip's
    start.
    `sampling`: by frame number where the rate is constant, by time where it is not. No frames are
    sampled where none is captioned. `kept` are the queues whose parts were made of what the clip's
    record has already: they get no message.
    """

    start_frame: int
    end_frame: int
    start_s: float
    end_s: float
    frame_indices: list[int]
    frame_times_s: list[float]
    sampling: Literal["index", "time"]
    grid_width: int
    grid_height: int
    kept: list[str] = Field(default_factory=list)


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
    warnings: list[str] = Field(default_factory=list)
    errors: list[Failure] = Field(default_factory=list)

    @field_validator("job", mode="before")
    @classmethod
    def _upgraded(cls, job: Any) -> Any:
        return upgraded(job)
