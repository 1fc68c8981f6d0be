"""A clip's record as it lies in the store, and whether the clip is done by it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from clipfleet import keys
from clipfleet.errors import ObjectMissing
from clipfleet.records.record import SCHEMA_VERSION, ClipRecord
from clipfleet.records.stored import peek
from clipfleet.store import Store


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

    def is_done(self, recipes: Mapping[str, str], *, replaces: str | None = None) -> bool:
        """Whether it has each product by its recipe, and is not the one that is to be replaced."""
        done = self.record.recipes.items() >= recipes.items() and self.digest != replaces
        return done or self.newer


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
        found = peek(data)
        version = found.get("schema_version")
        if type(version) is not int or version <= SCHEMA_VERSION:
            raise
    said = {n: found[n] for n in ("span_uuid", "source_video", "run_id") if _is_text(found.get(n))}
    unknown = dict.fromkeys(("width_source", "height_source", "framerate_source", "width"))
    unknown |= dict.fromkeys(("height", "framerate", "num_frames", "video_codec", "num_bytes"))
    blank = dict.fromkeys(("span_uuid", "source_video", "run_id", "clip_location"), "")
    blank |= dict.fromkeys(("clipfleet_version", "finished_at"), "")
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
            "recipes": {},
            "warnings": [f"this record is of a newer clipfleet (schema {version})"],
        }
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def done_record(
    store: Store,
    clip_uuid: str,
    recipes: Mapping[str, str],
    set_name: str = "",
    *,
    replaces: str | None = None,
) -> ClipRecord | None:
    """The clip's record, if the clip is done by these recipes (`Kept.is_done`)."""
    kept = find_record(store, clip_uuid, set_name)
    return kept.record if kept and kept.is_done(recipes, replaces=replaces) else None
