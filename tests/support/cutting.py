"""A clip cut as a worker does it with every option at its default."""

import io
from typing import Any, BinaryIO

from clipfleet.grid import QWEN2_5_VL
from clipfleet.options import PrepareOptions, PreviewOptions
from clipfleet.settings import ClipLimits
from clipfleet_workers.media import onepass
from clipfleet_workers.media.limits import Guard


def cut_file(file: BinaryIO, **limits: Any) -> onepass.CutClip:
    """What was found out, within these `ClipLimits`; its windows go nowhere."""
    return onepass.cut(
        file,
        prepare=PrepareOptions(),
        preview=PreviewOptions(),
        grid=QWEN2_5_VL,
        write=lambda _: None,
        guard=Guard(ClipLimits.model_construct(**limits)),
    )


def cut_bytes(data: bytes, **limits: Any) -> onepass.CutClip:
    """The same of a file in memory."""
    return cut_file(io.BytesIO(data), **limits)
