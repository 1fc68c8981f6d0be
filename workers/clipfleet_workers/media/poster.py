"""A still in place of a preview, for pages that list thousands."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_QUALITY = 80


def encode(frame: NDArray[np.uint8]) -> bytes:
    """The frame, uint8 RGB, height × width × 3, as a progressive JPEG."""
    out = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(frame))
    picture.save(out, "JPEG", quality=_QUALITY, optimize=True, progressive=True)
    return out.getvalue()
