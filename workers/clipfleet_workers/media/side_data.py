"""The side data of frames that is needed; the rest is never looked at."""

from enum import Enum
from typing import Any, cast

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type
from numpy.typing import NDArray


def _unnamed(cls: type[Enum], value: object) -> Enum:
    """A member for a kind of side data that PyAV has no name for."""
    member = object.__new__(cls)
    member._name_, member._value_ = f"UNNAMED_{value}", value
    return member


# PyAV names all side data of a frame as soon as one entry is asked for, and fails at the first
# that is newer than its own list (18.1 ends at 27; FFmpeg 8.1 sends LCEVC, VIEW_ID, EXIF …).
# `_missing_` is Python's hook for unknown enum values; nothing else of the class changes.
setattr(Type, "_missing_", classmethod(_unnamed))  # noqa: B010 (mypy lets no method be assigned)


def display_matrix(frame: av.VideoFrame) -> NDArray[np.int32] | None:
    """The nine numbers of the frame's rotation; None if it has none."""
    matrix = _entry(frame, Type.DISPLAYMATRIX)
    return np.frombuffer(matrix, np.int32)[:9] if matrix and len(matrix) >= 36 else None


def dolby_vision(frame: av.VideoFrame) -> bytes:
    """The frame's own Dolby Vision metadata, as coded; empty if it has none."""
    return _entry(frame, Type.DOVI_RPU_BUFFER)


def _entry(frame: av.VideoFrame, kind: Type) -> bytes:
    # Not `frame.side_data`: that makes a reference cycle, which keeps the pixels alive.
    side_data = cast(Any, SideDataContainer)(frame)
    entry = side_data.get(kind)
    return b"" if entry is None else bytes(entry)
