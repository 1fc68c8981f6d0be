"""What the store has of a run, beside its options and its manifest."""

import enum
from collections import Counter
from datetime import datetime
from typing import Annotated

from pydantic import Field, field_validator

from clipfleet.messages import ClipUuid, OptionsHash, RecordDigest, RunId, SetName
from clipfleet.overlap import distinct_words, sketch
from clipfleet.records import ClipRecord, EnhancedCaption, Status, Stored, Versioned


class RunHead(Versioned):
    """What a run is. Written after its manifest: where it is, the manifest is whole.

    `clips` in `shards` shards. Everything known of the run is under its `manifest_version`: when
    a run is submitted again under its name, what was known of the earlier list does not apply. It
    begins with the second that it was written in, as 8 hex digits. `set_name` is that of the set
    that its records belong to. `created_at` is ISO 8601, UTC. With `retry_failed`, clips whose
    record has errors are done again; with `redo_changed`, those whose source was replaced since.
    `staged_from` is the machine whose own files are copied to
    scratch for workers, which only a feeder there can do. `presigned`: some of its clips are, and
    their addresses are in scratch (`keys.shard_addresses`).
    """

    run_id: RunId
    options_hash: OptionsHash
    set_name: SetName = ""
    manifest_version: Annotated[str, Field(pattern=r"^[0-9a-f]{8,16}$")]
    clips: int
    shards: int
    created_at: str
    retry_failed: bool = False
    redo_changed: bool = False
    staged_from: str | None = None
    presigned: bool = False

    @field_validator("created_at")
    @classmethod
    def _is_a_moment(cls, moment: str) -> str:
        if datetime.fromisoformat(moment).tzinfo is None:
            raise ValueError("it has no time zone")
        return moment


class RunSources(Versioned):
    """The places (`clipfleet.sources`) that clips of a run may be copied from to `clips/`."""

    allowed: list[str]


class RunState(enum.StrEnum):
    """How far a run is."""

    PENDING = "pending"  # nothing of it was fed yet
    RUNNING = "running"  # clips are in flight, or wait for a feeder
    PAUSED = "paused"  # nothing more is fed; what is on the queues goes on
    CANCELLED = "cancelled"  # workers drop what they get of it
    FINISHED = "finished"  # every clip has its record, or counts as lost


class FeederState(enum.StrEnum):
    """Whether anyone feeds a run."""

    ALIVE = "alive"
    NONE = "none"


class Feeding(enum.StrEnum):
    """How an unfinished run is to be fed."""

    ACTIVE = "active"
    PAUSED = "paused"  # nothing more is fed; what is on the queues goes on


class RunControl(Versioned):
    """How a run is to be fed (`keys.active`). Of runs with pending clips the highest priority is
    fed first.

    `embedded`: by `clipfleet run` alone, to workers of its own. `fleet` is that of the broker which
    it was submitted to (`Broker.fleet`), and `broker` its address: others leave it alone.
    `in_flight` bounds its clips on the queues, whoever feeds it.
    """

    embedded: bool = False
    fleet: str = ""
    broker: str = ""
    feeding: Feeding = Feeding.ACTIVE
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    in_flight: Annotated[int, Field(ge=1)] | None = None


class RunCancellation(Versioned):
    """When a run was cancelled (ISO 8601, UTC), and how it was fed until then."""

    cancelled_at: str
    control: RunControl


class RunCounts(Versioned):
    """Counts over clips of a run, by their records.

    `previously_done`: those of the done whose record was there before the run was submitted, or
    that another run wrote; `changed` those of them whose source was replaced since. `windowless`:
    those of the done that have no window. `lost` clips have no record and are fed no more: they
    cannot be read here, or were fed five times. `errors` are by name.
    """

    clips: int = 0
    done: int = 0
    previously_done: int = 0
    changed: int = 0
    failed: int = 0
    lost: int = 0
    windowless: int = 0
    windows: int = 0
    captions: int = 0
    enhanced: int = 0
    previews: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    errors: dict[str, int] = Field(default_factory=dict)

    def __add__(self, other: "RunCounts") -> "RunCounts":
        counts = {
            name: getattr(self, name) + getattr(other, name)
            for name in type(self).model_fields
            if name not in ("errors", "version")
        }
        errors = Counter(self.errors) + Counter(other.errors)
        return RunCounts(**counts, errors=dict(errors))

    @property
    def missing(self) -> int:
        """Clips that have no record."""
        return self.clips - self.done


class TextDigest(Stored):
    """What a clip's captions of one name, or these enhanced, say in short.

    `words` counts its texts by their length in words; `finish_reasons` and `flags` by what they
    have. `sketch` is that of all their words (`clipfleet.overlap`).
    """

    words: dict[int, int] = Field(default_factory=dict)
    finish_reasons: dict[str, int] = Field(default_factory=dict)
    flags: dict[str, int] = Field(default_factory=dict)
    sketch: str = ""


class ClipDigest(Stored):
    """What a record says in short: a line for each clip of a shard that is done.

    It spares whoever lists or sums up a run's clips the reading of their records. `record` is the
    digest of the record that it was made of (`records.digest`): one that was written since has
    another. `texts` are by product (`caption:default`); `failures` count what went wrong by
    step and error, a space between. `preview_bytes` is the size of its previews. Times are in
    seconds.
    """

    clip_uuid: ClipUuid
    source: str
    record: RecordDigest
    valid: bool
    windows: int
    captions: int
    enhanced: int
    previews: int
    flags: dict[str, int] = Field(default_factory=dict)  # of all its texts
    texts: dict[str, TextDigest]
    failures: dict[str, int] = Field(default_factory=dict)
    warnings: int = 0
    duration_s: float
    width: int | None = None
    height: int | None = None
    prompt_tokens: int = 0
    output_tokens: int = 0
    preview_bytes: int = 0
    finished_at: str

    @property
    def errors(self) -> list[str]:
        """The names of what went wrong, each once."""
        return sorted({failure.partition(" ")[2] for failure in self.failures})


def digest_record(record: ClipRecord, digest: str) -> ClipDigest:
    """The digest of a clip's record."""
    counts = count_record(record, record.run_id)
    texts = [text for window in record.windows for text in window.texts()]
    return ClipDigest(
        clip_uuid=record.span_uuid,
        source=record.source_video,
        record=digest,
        valid=record.valid,
        windows=counts.windows,
        captions=counts.captions,
        enhanced=counts.enhanced,
        previews=counts.previews,
        flags=dict(Counter(flag for text in texts for flag in text.flags)),
        texts=_text_digests(record),
        failures=dict(Counter(f"{each.step} {each.error}" for each in record.failures())),
        warnings=len(record.warnings),
        duration_s=round(record.duration_span[1] - record.duration_span[0], 6),
        width=record.width,
        height=record.height,
        prompt_tokens=counts.prompt_tokens,
        output_tokens=counts.output_tokens,
        preview_bytes=sum(each.preview.num_bytes for each in record.windows if each.preview),
        finished_at=record.finished_at,
    )


def _text_digests(record: ClipRecord) -> dict[str, TextDigest]:
    found: dict[str, list[EnhancedCaption]] = {}
    for window in record.windows:
        for name, caption in window.captions.items():
            found.setdefault(f"caption:{name}", []).append(caption)
            if caption.enhanced is not None:
                found.setdefault(f"enhanced:{name}", []).append(caption.enhanced)
    return {product: _text_digest(texts) for product, texts in found.items()}


def _text_digest(said: list[EnhancedCaption]) -> TextDigest:
    written = [(each, each.text) for each in said if each.text is not None]
    texts = [text for _, text in written]
    return TextDigest(
        words=dict(Counter(len(text.split()) for text in texts)),
        finish_reasons=dict(Counter(each.finish_reason or "unknown" for each, _ in written)),
        flags=dict(Counter(flag for each, _ in written for flag in each.flags)),
        sketch=sketch(distinct_words(texts)),
    )


LOST = RunCounts(clips=1, lost=1)


def count_record(record: ClipRecord, run_id: str, *, since: str = "") -> RunCounts:
    """The counts of one clip that the run is done with.

    `since` is when it was submitted (`RunHead.created_at`): of a run submitted again under its
    name, what it had done by then is done already.
    """
    windows = record.windows
    texts = [text for window in windows for text in window.texts()]
    return RunCounts(
        clips=1,
        done=1,
        # Records' times are of whole seconds.
        previously_done=int(record.run_id != run_id or record.finished_at[:19] < since[:19]),
        failed=int(not record.valid),
        windowless=int(not windows),
        windows=len(windows),
        captions=sum(w.caption_status is Status.OK for w in windows),
        enhanced=sum(w.enhance_status is Status.OK for w in windows),
        previews=sum(w.preview_status is Status.OK for w in windows),
        prompt_tokens=sum(text.prompt_tokens or 0 for text in texts),
        output_tokens=sum(text.output_tokens or 0 for text in texts),
        errors=dict(Counter(failure.error for failure in record.failures())),
    )
