"""What travels through the broker: claims, checked on receipt, under 4 KiB as JSON.

Options travel by hash (a prompt may be longer than a message); workers read them once a run from
the store. Pixels never travel here, and keys are derived from ids, so that a forged message
cannot name a foreign object.
"""

import json
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from clipfleet import keys
from clipfleet.errors import MessageInvalid, NewerVersion

# Goes up with every field that messages get or lose. A worker leaves newer ones to newer workers.
MESSAGE_VERSION = 3
MAX_MESSAGE_BYTES = 4096
# As JSON, where a letter beyond ASCII takes 6 to 12 bytes; base64 then adds a third on the wire.
MAX_SOURCE_BYTES = 1900
# A letter takes up to 12 bytes: sources as short as this need not be measured.
SURELY_SHORT = MAX_SOURCE_BYTES // 12

RunId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
ClipUuid = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
OptionsHash = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
# Names that something else in scratch has (`keys.Scratch`).
_NO_SETS = ("runs", "probe")
RecordDigest = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


def _check_set(name: str) -> str:
    if name in _NO_SETS:
        raise ValueError(f"no set is called {name}")
    return name


# Of the objects that are made with one choice of options; "" is the first, at the store's root.
SetName = Annotated[
    str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$"), AfterValidator(_check_set)
]


def source_bytes(source: str) -> int:
    """How many bytes a source takes in a message."""
    return len(json.dumps(source)) - 2


def faults(error: ValidationError, *, most: int = 1, whole: str = "message: ") -> str:
    """What the schema says is wrong, each with its place; `whole` stands for that of all of it."""
    said = []
    for each in error.errors()[:most]:
        place = ".".join(map(str, each["loc"]))[:100]
        said.append((f"{place}: " if place else whole) + each["msg"])
    return "; ".join(said)


def _check_source(source: str) -> str:
    if len(source) > SURELY_SHORT and source_bytes(source) > MAX_SOURCE_BYTES:
        raise ValueError(f"it takes more than {MAX_SOURCE_BYTES} bytes as JSON")
    parts = urlsplit(source)  # raises ValueError where there is no telling the host
    if parts.scheme == "file" and b"\0" in unquote_to_bytes(parts.path):
        raise ValueError("no file's name holds a NUL character")
    return source


Source = Annotated[
    str, Field(min_length=1, max_length=MAX_SOURCE_BYTES), AfterValidator(_check_source)
]
FrameNumber = Annotated[int, Field(ge=0, lt=2**53)]  # every JSON reader holds these exactly


Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Message(BaseModel):
    """A claim on the clip `clip_uuid` of a set within a run, in the form of a `version`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Annotated[int, Field(ge=MESSAGE_VERSION, le=MESSAGE_VERSION)] = MESSAGE_VERSION
    run_id: RunId
    clip_uuid: ClipUuid
    options_hash: OptionsHash
    set_name: SetName = ""

    @property
    def scratch(self) -> keys.Scratch:
        """What is in flight of the clip."""
        return keys.Scratch(self.clip_uuid, self.options_hash, self.set_name)

    @classmethod
    def read(cls, payload: Any) -> "Any":
        """The message in `payload`, also of an older version.

        Raises `NewerVersion`, or `MessageInvalid`, which names the fields that are wrong.
        """
        check_version(payload)
        try:
            return cls.model_validate(upgraded(payload))
        except ValidationError as error:
            raise MessageInvalid(f"not a {cls.__name__}: {faults(error, most=5)}") from None

    @classmethod
    def received(cls, payload: Any) -> "Any":
        """The message in a payload that `read` accepted as it came: it is not checked again."""
        return cls.model_construct(**upgraded(payload))


def check_version(payload: Any) -> None:
    """Raises `NewerVersion` for a message of a later version than ours, whatever else it holds."""
    version = payload.get("version") if isinstance(payload, dict) else None
    if type(version) is int and version > MESSAGE_VERSION:
        raise NewerVersion(
            f"a message of version {version} is left to newer workers; "
            f"this one reads up to {MESSAGE_VERSION}"
        )


def upgraded(payload: Any) -> Any:
    """The payload in the form of today's version, where it is of an older one.

    The first had no number, and said only that a record is to be replaced, not which: whoever feeds
    the clip sees that the old one is still there, and says so again. The second had no set.
    """
    version = payload.get("version", 1) if isinstance(payload, dict) else None
    if type(version) is int and 1 <= version < MESSAGE_VERSION:
        known = {name: value for name, value in payload.items() if name != "redo"}
        return {**known, "version": MESSAGE_VERSION}
    return payload


class ClipJob(Message):
    """One clip to do.

    `source` is the URI that names the clip. `staged` says that its bytes lie in the store's
    scratch, because workers cannot read the producer's paths. `replaces` names the record that it
    is done again for (`records.digest`): the clip is done once there is another, so that a message
    which comes twice, or late, replaces nothing newer. `attempt` counts from 1. `span_s` is the
    part of the source to take, [start, end] in seconds. `metadata` says that what goes into its
    record as it is lies in scratch. `mtime` is that of a staged file (ISO 8601, UTC).
    """

    source: Source
    span_s: Annotated[list[Seconds], Field(min_length=2, max_length=2)] | None = None
    metadata: bool = False
    staged: bool = False
    mtime: Annotated[str, Field(max_length=40)] | None = None
    replaces: RecordDigest | None = None
    attempt: Annotated[int, Field(ge=1, le=1000)] = 1


class AssembleJob(Message):
    """All windows of a clip have their parts; the rest is in the clip's plan."""


class WindowJob(Message):
    """One window of a clip, frames `start_frame` to `end_frame`, both inclusive."""

    start_frame: FrameNumber
    end_frame: FrameNumber

    @model_validator(mode="after")
    def _in_order(self) -> "WindowJob":
        if self.end_frame < self.start_frame:
            raise ValueError("end_frame is before start_frame")
        return self
