"""The preview queue: a window's preview frames become an animated WebP."""

from clipfleet import keys
from clipfleet.messages import WindowJob
from clipfleet.records import Part, PreviewFile, Status
from clipfleet_workers.context import Context
from clipfleet_workers.media import poster, webp
from clipfleet_workers.steps.scratch import read_pack


def preview(context: Context, job: WindowJob) -> Part:
    """Encode the window's preview, and its first frame, and put them in their places.

    Raises a `ClipError`.
    """
    options = context.options(job).preview
    pack = read_pack(context, job.scratch.preview_frames(job.start_frame, job.end_frame))
    durations_ms = pack.durations_ms or []
    data = webp.encode(
        pack.frames,
        durations_ms,
        compression_level=options.compression_level,
        quality=options.quality,
        threads=max(1, round(options.num_cpus_per_worker)),
    )
    where = (job.clip_uuid, job.start_frame, job.end_frame, job.set_name)
    key, poster_key = keys.preview(*where), keys.poster(*where)
    context.store.put(poster_key, poster.encode(pack.frames[0]), content_type="image/jpeg")
    context.store.put(key, data, content_type="image/webp")
    count, height, width = pack.frames.shape[:3]
    return Part(
        status=Status.OK,
        preview=PreviewFile(
            key=key,
            poster_key=poster_key,
            num_bytes=len(data),
            width=width,
            height=height,
            num_frames=count,
            duration_ms=sum(durations_ms),
        ),
    )
