"""Frame packs: frames with what is needed to understand them, as one object.

The container is safetensors; the frames are uint8 RGB, time × height × width × 3.
"""

import json
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from clipfleet.errors import PackInvalid

PACK_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Pack:
    """Frames of one window.

    `frames` is uint8 RGB, time × height × width × 3. `indices` are frame numbers within the clip,
    `durations_ms` how long each is shown (previews only). `source_fps` is the clip's rate.
    """

    frames: NDArray[np.uint8]
    indices: list[int]
    times_s: list[float]
    source_fps: float
    durations_ms: list[int] | None = None

    def to_bytes(self) -> bytes:
        """The pack as one object."""
        about = {
            "version": PACK_VERSION,
            "indices": self.indices,
            "times_s": self.times_s,
            "source_fps": self.source_fps,
            "durations_ms": self.durations_ms,
        }
        data: bytes = save({"frames": self.frames}, metadata={"clipfleet": json.dumps(about)})
        return data

    @classmethod
    def from_bytes(cls, data: bytes, *, key: str) -> "Pack":
        """The pack in `data`. Raises `PackInvalid`, naming `key`, if it is cut short or foreign."""
        try:
            (header_bytes,) = struct.unpack_from("<Q", data)
            header: dict[str, Any] = json.loads(data[8 : 8 + header_bytes])
            about = json.loads(header["__metadata__"]["clipfleet"])
            frames = load(data)["frames"]
        except (struct.error, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise PackInvalid(f"{key} is not a whole frame pack: {error}") from None
        if about.get("version") != PACK_VERSION:
            raise PackInvalid(f"{key} is a pack of version {about.get('version')}, not 1")
        if frames.ndim != 4 or len(frames) != len(about["indices"]):
            raise PackInvalid(f"{key} holds frames of shape {frames.shape}")
        return cls(
            frames=frames,
            indices=about["indices"],
            times_s=about["times_s"],
            source_fps=about["source_fps"],
            durations_ms=about["durations_ms"],
        )
