"""Cropping of frames to the part that their container says is the picture.

A codec's own cropping (H.264's, HEVC's) is done by the decoder.
"""

import re
from dataclasses import dataclass

import av

from clipfleet_workers.media.filtering import Filtered


@dataclass(frozen=True, kw_only=True)
class Margins:
    """What to crop from each side of frames stored at `width` × `height`, in pixels."""

    width: int
    height: int
    left: int
    top: int
    right: int
    bottom: int

    @property
    def any(self) -> bool:
        """Whether anything is cropped at all."""
        return any((self.left, self.top, self.right, self.bottom))

    def left_of(self, width: int, height: int) -> tuple[int, int] | None:
        """(width, height) of what is left of a frame; None if that is nothing."""
        left = width - self.left - self.right, height - self.top - self.bottom
        sides = (self.left, self.top, self.right, self.bottom)
        return left if min(*sides) >= 0 and min(left) > 0 else None

    def __str__(self) -> str:
        sides = f"{self.left} left, {self.top} top, {self.right} right, {self.bottom} bottom"
        return f"{sides} of {self.width}×{self.height}"


def fitting(stated: Margins | None, width: int, height: int) -> tuple[Margins | None, list[str]]:
    """The margins to crop, by the size of a clip's first frame, and warnings for people."""
    if stated is None or not stated.any:
        return None, []
    if (width, height) == stated.left_of(stated.width, stated.height):
        return None, []  # the decoder has cropped them
    if stated.left_of(width, height) is None:
        return None, [
            f"its container says to crop it ({stated}), which leaves no part of frames of "
            f"{width}×{height}: they are shown whole"
        ]
    return stated, []


class Cropper:
    """Crops frames by the same margins; frames that are too small stay whole."""

    def __init__(self, margins: Margins) -> None:
        self._margins = margins
        self._filters: dict[tuple[int, int, int, int], Filtered] = {}

    def of(self, frame: av.VideoFrame, *, height: int) -> av.VideoFrame:
        """The frame, cropped; `height` is its own, or that of the frame whose top field it is.

        Raises `av.FFmpegError`.
        """
        left = self._margins.left_of(frame.width, height)
        if left is None:
            return frame
        x, y = self._margins.left, self._margins.top
        width, end = left[0], y + left[1]
        if frame.height < height:  # a field has the frame's rows 0, 2, 4 …
            y, end = -(-y // 2), -(-end // 2)
        part = (width, max(end - y, 1), x, min(y, frame.height - 1))
        frame = _without_shared_chroma(frame, x, y)
        if part not in self._filters:
            where = ":".join(str(n) for n in part)
            self._filters[part] = Filtered("crop", f"{where}:exact=1")
        return self._filters[part].of(frame)


def _without_shared_chroma(frame: av.VideoFrame, x: int, y: int) -> av.VideoFrame:
    """The frame with a chroma sample for each pixel, if the crop would split shared ones."""
    luma, *others = frame.planes
    shared = any(
        x % -(-luma.width // plane.width) or y % -(-luma.height // plane.height)
        for plane in others
        if plane.width and plane.height
    )
    full = re.sub(r"4(20|22|40|11|10)p", "444p", frame.format.name)
    if not shared or full == frame.format.name:
        return frame
    return frame.reformat(format=full, threads=1)
