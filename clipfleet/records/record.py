"""A clip's record: what was said of its windows, by whom, and how it was made.

It keeps the reference system's field names, so that readers of its output work unchanged.
"""

import enum
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from clipfleet.options import DEFAULT
from clipfleet.records.plan import SourceInfo
from clipfleet.records.status import Failure, Status
from clipfleet.records.stored import Stored

SCHEMA_VERSION = 2


class Flag(enum.StrEnum):
    """What is odd about a text. Readers take others, too: later versions look for more."""

    TRUNCATED = "truncated"  # it reached the most tokens that were asked for
    REPETITIVE = "repetitive"  # it ends in one phrase over and over
    EMPTY = "empty"  # it has no words


class ModelRecord(Stored):
    """A model that wrote: where its weights come from, and what ran it."""

    repository: str
    revision: str
    engine: str


class Sampling(Stored):
    """How a text was drawn from what the model thinks likely: at temperature 0, the likeliest."""

    max_output_tokens: int
    temperature: float
    repetition_penalty: float


class WrittenText(Stored):
    """A text that a model wrote. `flags`: see `Flag`."""

    text: str
    finish_reason: str
    prompt_tokens: int
    output_tokens: int
    flags: list[str] = Field(default_factory=list)


class FirstPass(WrittenText):
    """The caption that the second pass was shown."""

    prompt_sha256: str


class Attempt(Stored):
    """A text that was asked for again."""

    text: str
    finish_reason: str
    flags: list[str] = Field(default_factory=list)


def written(text: "WrittenText | EnhancedCaption") -> dict[str, Any]:
    """The fields of `WrittenText` that a text has, whatever else it says."""
    return {name: getattr(text, name) for name in WrittenText.model_fields}


class Score(Stored):
    """What a judge made of a caption: 1 (worst) to 5. `model` is its key in the clip's `models`."""

    faithfulness: int
    completeness: int
    correctness: int
    reason: str
    model: str


class EnhancedCaption(Stored):
    """A text that was asked for. Without one, `status` is not ok.

    `model` is its key in the clip's `models`, `prompt_sha256` its prompt's in `prompts`. `recipe`
    names all that it was made from (`Options.recipes`).
    """

    status: Status
    text: str | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    flags: list[str] = Field(default_factory=list)
    attempts: list[Attempt] = Field(default_factory=list)
    model: str | None = None
    prompt_sha256: str | None = None
    sampling: Sampling | None = None
    recipe: str


class Caption(EnhancedCaption):
    """A caption, and what was made of it. `data` is its JSON, where a schema was asked for."""

    data: JsonValue = None
    score: Score | None = None
    first_pass: FirstPass | None = None
    enhanced: EnhancedCaption | None = None


class Frames(Stored):
    """The frames that a model saw, by number in the clip; times in seconds, sizes in pixels.

    There are none where nothing was captioned.

    `sampling`: by frame number where the rate is constant, by time where it is not. `encoding` is
    how they travelled: raw and zstd without loss, jpeg444 with some. `strip_key` is where these
    very frames lie as one picture.
    """

    indices: list[int]
    times_s: list[float]
    sampling: Literal["index", "time"]
    width: int
    height: int
    encoding: str | None = None
    strip_key: str | None = None


class PreviewFile(Stored):
    """A preview that lies in the store, and its first frame as a JPEG. In pixels and bytes."""

    key: str
    poster_key: str
    num_bytes: int
    width: int
    height: int
    num_frames: int
    duration_ms: int


class Preview(PreviewFile):
    """A window's preview, with the recipe that it was made by."""

    recipe: str


class WindowRecord(Stored):
    """One window; frame numbers inclusive, times in seconds from the clip's start.

    `captions` are by name, of which `default` is the one that needs none. `{model}_caption` and
    `{enhancer}_enhanced_caption`, the reference system's fields, say again what that one says.
    `preview` is null where none was asked for, and where it failed, as `errors` then say.
    """

    start_frame: int
    end_frame: int
    start_s: float
    end_s: float
    status: Status
    captions: dict[str, Caption] = Field(default_factory=dict)
    frames: Frames
    preview: Preview | None = None
    errors: list[Failure] = Field(default_factory=list)

    @property
    def caption(self) -> Caption | None:
        """The caption that needs no name."""
        return self.captions.get(DEFAULT)

    @property
    def enhanced(self) -> EnhancedCaption | None:
        """That caption, enhanced."""
        return self.caption.enhanced if self.caption else None

    @property
    def caption_status(self) -> Status:
        """Skipped where none was asked for."""
        return self.caption.status if self.caption else Status.SKIPPED

    @property
    def enhance_status(self) -> Status:
        """Skipped where none was asked for, or there was nothing to enhance."""
        return self.enhanced.status if self.enhanced else Status.SKIPPED

    @property
    def preview_status(self) -> Status:
        """Skipped where none was asked for."""
        if self.preview is not None:
            return Status.OK
        failed = any(error.step == "preview" for error in self.errors)
        return Status.ERROR if failed else Status.SKIPPED

    def texts(self) -> Iterator[EnhancedCaption]:
        """Everything that was asked of a model."""
        for caption in self.captions.values():
            yield caption
            if caption.enhanced is not None:
                yield caption.enhanced


class ClipRecord(Stored):
    """All that is known of a clip once it is done; written last.

    `duration_span` is [start, end] in seconds within `source_video`, of which the clip's frames are
    a part where a span was asked for. `width_source`, `height_source` and `framerate_source` equal
    `width`, `height` and `framerate`: a clip is not encoded anew. `valid` is false where there is
    no window, or an error in any of them. `metadata` is what the run's manifest had on the clip.
    `models` and `prompts` (by SHA-256) are what captions refer to. `recipes` are those of all
    products that were made, or failed, by name; `set` is the set that it belongs to, `run_id` the
    run that last added to it.
    """

    schema_version: Annotated[int, Field(ge=SCHEMA_VERSION)] = SCHEMA_VERSION
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
    valid: bool
    errors: list[Failure]
    warnings: list[str] = Field(default_factory=list)
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    source: SourceInfo | None = None
    models: dict[str, ModelRecord] = Field(default_factory=dict)
    prompts: dict[str, str] = Field(default_factory=dict)
    recipes: dict[str, str]
    set: str = ""
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
