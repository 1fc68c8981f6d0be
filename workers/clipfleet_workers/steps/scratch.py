"""A clip's scratch: its plan, its packs, and what each queue found for each window."""

from pydantic import ValidationError

from clipfleet.errors import MessageInvalid, ObjectMissing
from clipfleet.messages import Message, WindowJob
from clipfleet.records import Part, Plan
from clipfleet_workers.context import Context
from clipfleet_workers.media.packs import Pack


def find_part(context: Context, job: Message, start: int, end: int, queue: str) -> Part | None:
    """What `queue` wrote for the window, or None; a part that is not whole counts as none.

    Raises `NewerVersion`.
    """
    key = job.scratch.part(start, end, queue)
    try:
        return Part.read(context.store.get(key))
    except (ObjectMissing, ValidationError):
        return None


def stored_plan(context: Context, job: Message) -> Plan | None:
    """The clip's plan, if it is there and whole. Raises `NewerVersion`."""
    try:
        return Plan.read(context.store.get(job.scratch.plan))
    except (ObjectMissing, ValidationError):
        return None


def check_window(plan: Plan, job: WindowJob) -> None:
    """Raises `MessageInvalid` unless the plan has the window: a message may say anything."""
    spans = {(window.start_frame, window.end_frame) for window in plan.windows}
    if (job.start_frame, job.end_frame) not in spans:
        raise MessageInvalid(
            f"clip {job.clip_uuid} has no window of frames {job.start_frame} to {job.end_frame}"
        )


def write_part(context: Context, job: WindowJob, queue: str, part: Part) -> None:
    """Store what `queue` found for the window."""
    key = job.scratch.part(job.start_frame, job.end_frame, queue)
    context.store.put(key, part.to_bytes(), content_type="application/json")


def clear_scratch(context: Context, job: Message) -> None:
    """Remove a finished clip's parts: the plan first, so that late writers see that it is over."""
    context.store.delete(job.scratch.plan)
    context.store.delete_prefix(job.scratch.prefix)


def read_pack(context: Context, key: str) -> Pack:
    """One of a window's packs. Raises `ObjectMissing` or `PackInvalid`."""
    return Pack.from_bytes(context.store.get(key), key=key)
