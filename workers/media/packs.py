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

_NUMBERS = ("indices", "times_s", "source_fps", "durations_ms")


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
        about = {"version": PACK_VERSION} | {name: getattr(self, name) for name in _NUMBERS}
        data: bytes = save({"frames": self.frames}, metadata={"clipfleet": json.dumps(about)})
        return data

    @classmethod
    def from_bytes(cls, data: bytes, *, key: str) -> "Pack":
        """The pack in `data`. Raises `PackInvalid`, naming `key`, if it is cut short or foreign."""
        try:
            (header_bytes,) = struct.unpack_from("<Q", data)
            header: dict[str, Any] = json.loads(data[8 : 8 + header_bytes])
            about = json.loads(header["__metadata__"]["clipfleet"])
            version = about["version"]
            frames = load(data)["frames"]
            pack = cls(frames=frames, **{name: about[name] for name in _NUMBERS})
        except (struct.error, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise PackInvalid(f"{key} is not a whole frame pack: {error}") from None
        if version != PACK_VERSION:
            raise PackInvalid(f"{key} is a pack of version {version}, not {PACK_VERSION}")
        rgb = frames.dtype == np.uint8 and frames.ndim == 4 and frames.shape[3] == 3
        if not rgb or len(frames) != len(pack.indices):
            raise PackInvalid(f"{key} holds frames of shape {frames.shape} in {frames.dtype}")
        return pack
