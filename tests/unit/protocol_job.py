"""The job that the protocol is tried on: clips, runs, stand-ins for decoder and engine."""

from clipfleet import keys
from clipfleet.errors import ObjectMissing
from clipfleet.messages import ClipJob, WindowJob
from clipfleet.options import DEFAULT, Options, enhanced_of
from clipfleet.queues import CAPTION, ENHANCE, PREVIEW
from clipfleet.records import ClipRecord, Failure, ManifestLine, Part, Plan, Status, kept_windows
from clipfleet_workers.context import Context
from clipfleet_workers.steps import prepare, scratch
from tests.support.records import SOURCE, completed, previewed, window_plan, words

# Each clip's windows. The caption of frames 4 to 9 fails; the second clip cannot be cut.
CLIPS = {"file:///two.mp4": [(0, 3), (4, 9)], "file:///none.mp4": []}
FAILING = 4

OPTIONS = {
    "first": Options.model_validate({"enhance": {"enabled": True}}),
    "again": Options.model_validate({"enhance": {"enabled": True}}),
    "other": Options.model_validate({"prepare": {"generate_previews": False}}),
}
LINES = [ManifestLine(clip_uuid=keys.clip_uuid(source), source=source) for source in CLIPS]
WINDOWS = {line.clip_uuid: CLIPS[line.source] for line in LINES}


def caption(context: Context, job: WindowJob) -> Part:
    """Reads its frames, and says the same each time."""
    context.store.get(job.scratch.frames(job.start_frame, job.end_frame))
    if job.start_frame == FAILING:
        raise ValueError("this one cannot be captioned")
    return completed(f"{job.options_hash} {job.start_frame}")


def enhance(context: Context, job: WindowJob) -> Part:
    found = scratch.find_part(context, job, job.start_frame, job.end_frame, CAPTION)
    if found is None:
        raise ObjectMissing("the caption is gone")
    if found.completion is None:
        return Part(status=Status.SKIPPED)
    return completed(f"Lo! {found.completion.text}")


def preview(context: Context, job: WindowJob) -> Part:
    context.store.get(job.scratch.preview_frames(job.start_frame, job.end_frame))
    return previewed(job.start_frame, job.end_frame)


WORK = {CAPTION: caption, ENHANCE: enhance, PREVIEW: preview}


def cut_clip(
    context: Context, job: ClipJob, options: Options, record: ClipRecord | None = None
) -> Plan:
    """In place of the decoder."""
    if not WINDOWS[job.clip_uuid]:
        failure = Failure(step="prepare", error="ClipUnreadable", message="it is no video")
        return Plan(job=job, source=None, windows=[], errors=[failure])
    for window in WINDOWS[job.clip_uuid]:
        context.store.put(job.scratch.frames(*window), b"frames")
        if options.prepare.generate_previews:
            context.store.put(job.scratch.preview_frames(*window), b"frames")
    kept = kept_windows(record, options.recipes) if record else {}
    windows = [
        prepare._keep(context, job, window_plan(*window), kept.get(window))
        for window in WINDOWS[job.clip_uuid]
    ]
    return Plan(job=job, source=SOURCE, windows=windows)


def faults_of(record: ClipRecord) -> list[str]:
    """What a record lacks, or has that it should not have."""
    if [(w.start_frame, w.end_frame) for w in record.windows] != WINDOWS[record.span_uuid]:
        return [f"its windows are {record.windows}"]
    found = []
    for window in record.windows:
        text, failed = words(window.caption), window.start_frame == FAILING
        wanted = {"caption_status": Status.ERROR if failed else Status.OK}
        if PREVIEW in record.recipes:
            wanted["preview_status"] = Status.OK
        if enhanced_of(DEFAULT) in record.recipes:
            wanted["enhance_status"] = Status.SKIPPED if failed else Status.OK
        has = {name: getattr(window, name) for name in wanted}
        found += [f"{name} is {has[name]}" for name in wanted if has[name] != wanted[name]]
        texts = [f"{options.hash} {window.start_frame}" for options in OPTIONS.values()]
        if text not in ([""] if failed else texts):
            found.append(f"its caption is {text}")
        if words(window.enhanced) not in ("", f"Lo! {text}"):
            found.append(f"the enhanced caption of {text} is {words(window.enhanced)}")
    return found


def lost_its_parts(record: ClipRecord) -> bool:
    return any(error.error == "PartsMissing" for error in record.errors)
