"""What lands in the store: the plan and parts of a clip in flight, and its record."""

from clipfleet.records.kept import Kept, digest, done_record, find_record, read_record
from clipfleet.records.manifest_line import ManifestLine
from clipfleet.records.merge import add_model, completed, is_valid, merge, was_replaced
from clipfleet.records.part import Completion, Part
from clipfleet.records.plan import Plan, SourceInfo, SpanPlan, WindowPlan
from clipfleet.records.record import (
    SCHEMA_VERSION,
    Attempt,
    Caption,
    ClipRecord,
    EnhancedCaption,
    FirstPass,
    Flag,
    Frames,
    ModelRecord,
    Preview,
    PreviewFile,
    Sampling,
    Score,
    WindowRecord,
    WrittenText,
    written,
)
from clipfleet.records.reuse import KeptWindow, kept_windows
from clipfleet.records.status import Failure, Status
from clipfleet.records.stored import Stored, Versioned, check_version

__all__ = [
    "SCHEMA_VERSION",
    "Attempt",
    "Caption",
    "ClipRecord",
    "Completion",
    "EnhancedCaption",
    "Failure",
    "FirstPass",
    "Flag",
    "Frames",
    "Kept",
    "KeptWindow",
    "ManifestLine",
    "ModelRecord",
    "Part",
    "Plan",
    "Preview",
    "PreviewFile",
    "Sampling",
    "Score",
    "SourceInfo",
    "SpanPlan",
    "Status",
    "Stored",
    "Versioned",
    "WindowPlan",
    "WindowRecord",
    "WrittenText",
    "add_model",
    "check_version",
    "completed",
    "digest",
    "done_record",
    "find_record",
    "is_valid",
    "kept_windows",
    "merge",
    "read_record",
    "was_replaced",
    "written",
]
