"""What lies in the store of a run, beside its options and its manifest."""

import enum
from collections import Counter
from datetime import datetime
from typing import Annotated

from pydantic import Field, field_validator

from clipfleet.messages import OptionsHash, RunId
from clipfleet.records import ClipRecord, Status, Versioned


class RunHead(Versioned):
    """What a run is. Written after its manifest: where it is, the manifest is whole.

    `clips` in `shards` shards. `edition` is that of its list, and everything that is said of the
    run lies under it: where a run is written anew under its name, what is known of the list before
    says nothing of this one. It begins with the second that it was begun in, as 8 hex digits.
    `created_at` is ISO 8601, UTC. With `retry_failed`, clips whose record has errors are done
    again. `staged_from` is the machine whose own files are copied to scratch for workers, which
    only a feeder there can do. `presigned`: some of its clips are, and their addresses are in
    scratch (`keys.shard_addresses`).
    """

    run_id: RunId
    options_hash: OptionsHash
    edition: Annotated[str, Field(pattern=r"^[0-9a-f]{8,16}$")]
    clips: int
    shards: int
    created_at: str
    retry_failed: bool = False
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


class Feeding(enum.StrEnum):
    """How a run that is not at its end is fed."""

    ACTIVE = "active"
    PAUSED = "paused"  # nothing more is fed; what is on the queues goes on


class RunState(Versioned):
    """How a run is to be fed (`keys.active`). The highest priority among hungry runs goes first.

    `embedded`: by `clipfleet run` alone, to workers of its own. `fleet` is that of the broker which
    it was submitted to (`Broker.fleet`), and `broker` its address: others leave it alone.
    """

    embedded: bool = False
    fleet: str = ""
    broker: str = ""
    feeding: Feeding = Feeding.ACTIVE
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0


class Standing(Versioned):
    """Counts over clips of a run, by their records.

    `before`: those of the done whose record another run wrote. `lost` clips have no record and are
    given up: they cannot be read here, or were fed time after time. `errors` are by name.
    """

    clips: int = 0
    done: int = 0
    before: int = 0
    failed: int = 0
    lost: int = 0
    windows: int = 0
    captions: int = 0
    enhanced: int = 0
    previews: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    errors: dict[str, int] = Field(default_factory=dict)

    def __add__(self, other: "Standing") -> "Standing":
        counts = {
            name: getattr(self, name) + getattr(other, name)
            for name in type(self).model_fields
            if name not in ("errors", "version")
        }
        errors = Counter(self.errors) + Counter(other.errors)
        return Standing(**counts, errors=dict(errors))

    @property
    def missing(self) -> int:
        """Clips that have no record."""
        return self.clips - self.done


LOST = Standing(clips=1, lost=1)


def standing(record: ClipRecord, run_id: str) -> Standing:
    """The counts of one clip that the run is done with."""
    windows = record.windows
    tokens = {
        side: sum(
            (getattr(w, f"{side}_tokens") or 0) + (getattr(w, f"enhance_{side}_tokens") or 0)
            for w in windows
        )
        for side in ("prompt", "output")
    }
    return Standing(
        clips=1,
        done=1,
        before=int(record.run_id != run_id),
        failed=int(not record.valid),
        windows=len(windows),
        captions=sum(w.caption_status is Status.OK for w in windows),
        enhanced=sum(w.enhance_status is Status.OK for w in windows),
        previews=sum(w.preview_status is Status.OK for w in windows),
        prompt_tokens=tokens["prompt"],
        output_tokens=tokens["output"],
        errors=dict(Counter(failure.error for failure in record.failures())),
    )
