"""One clip of a run, as its list has it."""

from typing import Annotated

from pydantic import ConfigDict, Field, JsonValue, SecretStr

from clipfleet.messages import ClipUuid, OptionsHash, RecordDigest
from clipfleet.records.stored import Stored


class ManifestLine(Stored):
    """One clip of a run.

    `num_bytes`, `etag` and `mtime` (ISO 8601, UTC) are those that its source had as it was listed,
    as far as they are known.
    `span` is the part of the source to take, (start, end) in seconds. `options_hash` names options
    of its own, where it has any (`keys.run_variant`). `metadata` goes into its record as it is.
    `replaces` names the record (`digest`) that the run does it again for; `redo`, of older lists,
    whichever is not the run's own. Of a `presigned` clip the `source` is its address without the
    signature; `address` is the whole of it, where that is at hand, and is never written with the
    rest. A list has the version of its head: an unrecognised field is a fault in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    clip_uuid: ClipUuid
    source: str
    num_bytes: int | None = None
    etag: str | None = None
    mtime: str | None = None
    span: tuple[float, float] | None = None
    options_hash: OptionsHash | None = None
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    redo: bool = False
    replaces: RecordDigest | None = None
    presigned: bool = False
    address: Annotated[SecretStr | None, Field(exclude=True)] = None
