"""What a container says of a video track in its own headers, which PyAV does not pass on."""

from dataclasses import dataclass

from clipfleet_workers.media.cropping import Margins
from clipfleet_workers.media.dolby_vision import DolbyVision


@dataclass(frozen=True, kw_only=True)
class TrackHeader:
    """One video track.

    `number` is the container's own, PyAV's `stream.id` if the container has one. `encryption` names
    how its samples are encrypted, "" if they are not. `auxiliary`: it has no picture of its own,
    but adds to another track (depth, alpha, an enhancement layer). `enabled`: it is to be played
    at all.
    """

    number: int
    encryption: str = ""
    margins: Margins | None = None
    dolby_vision: DolbyVision | None = None
    auxiliary: bool = False
    enabled: bool = True
