"""What a container says of a video track in its own headers, where PyAV does not pass it on."""

from dataclasses import dataclass

from clipfleet_workers.media.cropping import Margins
from clipfleet_workers.media.dolby_vision import DolbyVision


@dataclass(frozen=True, kw_only=True)
class TrackHeader:
    """One video track.

    `number` is the container's own, PyAV's `stream.id` where the container has such. `encryption`
    names how its samples are encrypted, "" where they are not. `auxiliary`: it stands for no
    picture of its own, but adds to another track (depth, alpha, an enhancement layer). `enabled`:
    it is to be played at all.
    """

    number: int
    encryption: str = ""
    margins: Margins | None = None
    dolby_vision: DolbyVision | None = None
    auxiliary: bool = False
    enabled: bool = True
