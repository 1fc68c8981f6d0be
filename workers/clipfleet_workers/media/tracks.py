"""Which of a file's video tracks is the clip."""

from collections.abc import Sequence
from dataclasses import dataclass

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from clipfleet.errors import ClipUnreadable
from clipfleet_workers.media import headers
from clipfleet_workers.media.track_header import TrackHeader

_STILLS = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
_BESIDE = (
    av.stream.Disposition.dependent
    | av.stream.Disposition.still_image
    | av.stream.Disposition.non_diegetic
)


def video_streams(container: InputContainer) -> list[VideoStream]:
    """All but cover art and other stills."""
    return [s for s in container.streams.video if not s.disposition & _STILLS]


@dataclass(frozen=True, kw_only=True)
class Taken:
    """The stream to use, its header, and warnings."""

    stream: VideoStream
    header: TrackHeader | None
    warnings: list[str]


def choose(streams: Sequence[VideoStream], headed: Sequence[TrackHeader]) -> Taken:
    """The first stream that its file enables and that is no part of another; else the first.

    Warns if another may have been meant as well. Raises `ClipUnreadable` if FFmpeg knows no
    stream's format.
    """
    ranked = []
    for place, stream in enumerate(streams):
        if stream.codec_context is None:
            continue
        header = headers.of(stream, place, headed)
        beside = bool(stream.disposition & _BESIDE) or (header is not None and header.auxiliary)
        disabled = header is not None and not header.enabled
        off = not stream.disposition & av.stream.Disposition.default
        ranked.append(((beside, disabled, off), place, stream, header))
    if not ranked:
        raise ClipUnreadable("its video is in a format that FFmpeg does not know")
    best, place, stream, header = min(ranked, key=lambda each: each[:2])
    warnings = list(header.dolby_vision.warnings) if header and header.dolby_vision else []
    equals = sum(rank == best for rank, *_ in ranked)
    if equals > 1:
        size = f"{stream.codec_context.width}×{stream.codec_context.height}"
        which = f"number {place + 1} of {len(streams)} ({size})"
        warnings.append(f"it has {equals} video tracks that may be meant: {which} is taken")
    return Taken(stream=stream, header=header, warnings=warnings)
