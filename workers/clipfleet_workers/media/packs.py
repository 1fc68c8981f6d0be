"""Frame packs: frames with what is needed to interpret them, as one object.

The container is safetensors: a length, a header in JSON, then one tensor `frames`. Its layout is
written by hand here, since the library would copy the pixels on writing and on reading.
"""

import io
import json
import struct
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xxhash
import zstandard
from numpy.typing import NDArray
from PIL import Image

from clipfleet.errors import ClipTooLarge, PackInvalid

PACK_VERSION = 3

Encoding = Literal["raw", "zstd", "jpeg444"]

_NUMBERS = ("indices", "times_s", "source_fps", "durations_ms")
# Higher levels cost more than they save: 1 compresses pixels to 0.27 to 0.59.
_ZSTD_LEVEL = 1
_JPEG_QUALITY = 95
_JPEG_SIDE = 65_500  # libjpeg's limit, in pixels

Frames = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Pack:
    """Frames of one window.

    `frames` is uint8 RGB, time × height × width × 3; for a pack that was read raw, a
    read-only view of what was read. `indices` are frame numbers within the clip, `times_s` count
    from its first frame, `durations_ms` is how long each is shown (previews only). `source_fps`
    is the clip's rate. `checksum` is that of a pack that was read, 128 bits in hex digits.
    """

    frames: Frames
    indices: list[int]
    times_s: list[float]
    source_fps: float
    durations_ms: list[int] | None = None
    checksum: str | None = None

    def to_bytes(self, encoding: Encoding = "raw") -> bytes:
        """The pack as one object. `raw` and `zstd` are exact, `jpeg444` (quality 95) is not.

        Raises `ClipTooLarge` for frames too large for a JPEG.
        """
        return b"".join(self.to_parts(encoding))

    def to_parts(self, encoding: Encoding) -> tuple[bytes | memoryview, ...]:
        """The same in parts, which saves a copy of raw pixels."""
        sizes: list[int] | None = None
        shape = list(self.frames.shape)
        if encoding == "raw":
            stored: bytes | memoryview = np.ascontiguousarray(self.frames).data.cast("B")
        elif encoding == "zstd":
            stored = zstandard.compress(np.ascontiguousarray(self.frames).data, _ZSTD_LEVEL)
        else:
            pictures = [_to_jpeg(frame) for frame in self.frames]
            sizes = [len(picture) for picture in pictures]
            stored = b"".join(pictures)
        about = {
            "version": PACK_VERSION,
            "encoding": encoding,
            "grid": shape[1:3],  # height, width
            "shape": shape,
            "sizes": sizes,
        } | {name: getattr(self, name) for name in _NUMBERS}
        tensor = {
            "dtype": "U8",
            "shape": shape if encoding == "raw" else [len(stored)],
            "data_offsets": [0, len(stored)],
        }
        said = json.dumps(about)
        metadata = {"clipfleet": said, "xxh3_128": _checksum(said, stored)}
        header = json.dumps({"__metadata__": metadata, "frames": tensor})
        padded = header.encode().ljust(-(-len(header) // 8) * 8)
        return struct.pack("<Q", len(padded)), padded, stored

    @classmethod
    def from_bytes(cls, data: bytes, *, key: str) -> "Pack":
        """The pack in `data`. Raises `PackInvalid`, naming `key`, if it is damaged or foreign."""
        try:
            (header_bytes,) = struct.unpack_from("<Q", data)
            if header_bytes > len(data) - 8:
                raise ValueError("it is truncated")
            header: dict[str, Any] = json.loads(data[8 : 8 + header_bytes])
            metadata = header["__metadata__"]
            about = json.loads(metadata["clipfleet"])
            if about["version"] != PACK_VERSION:
                raise ValueError(f"it is of version {about['version']!r}, not {PACK_VERSION}")
            stored = memoryview(data)[8 + header_bytes :]
            if header["frames"]["data_offsets"] != [0, len(stored)]:
                raise ValueError("it is truncated, or something follows it")
            checksum = _checksum(metadata["clipfleet"], stored)
            if checksum != metadata["xxh3_128"]:
                raise ValueError("its content has changed since it was written")
            frames = _decoded(stored, about)
            numbers = {name: about[name] for name in _NUMBERS}
            pack = cls(frames=frames, checksum=checksum, **numbers)
            _check(pack)
        except _NOT_A_PACK as error:
            raise PackInvalid(f"{key} is not a valid frame pack: {error}"[:500]) from None
        return pack


_NOT_A_PACK = (
    struct.error,
    ValueError,
    KeyError,
    TypeError,
    OSError,  # Pillow, for what is no JPEG
    RecursionError,  # JSON, if nested too deeply
    OverflowError,  # an infinite shape
    MemoryError,  # a shape beyond any memory
    zstandard.ZstdError,
    Image.DecompressionBombError,
)


def _checksum(said: str, stored: bytes | memoryview) -> str:
    checksum = xxhash.xxh3_128(said.encode())
    checksum.update(stored)
    return checksum.hexdigest()


def _decoded(stored: memoryview, about: dict[str, Any]) -> Frames:
    encoding, shape = about["encoding"], [int(side) for side in about["shape"]]
    if len(shape) != 4 or shape[3] != 3 or min(shape) < 0:
        raise ValueError(f"it has frames of shape {shape}")
    if encoding == "raw":
        return np.frombuffer(stored, np.uint8).reshape(shape)
    frames = np.empty(shape, np.uint8)
    if encoding == "zstd":
        reader = zstandard.ZstdDecompressor().stream_reader(stored)
        if reader.readinto(frames.data.cast("B")) != frames.nbytes or reader.read(1):
            raise ValueError("it has another number of pixels than it states")
    elif encoding == "jpeg444":
        at = 0
        for frame, size in zip(frames, about["sizes"], strict=True):
            with Image.open(io.BytesIO(stored[at : at + size]), formats=["JPEG"]) as picture:
                frame[...] = np.asarray(picture)
            at += size
    else:
        raise ValueError(f"its encoding {encoding!r} is unknown")
    return frames


def _check(pack: Pack) -> None:
    counts = {len(pack.indices), len(pack.times_s), len(pack.durations_ms or pack.indices)}
    if counts != {len(pack.frames)}:
        raise ValueError(f"it has {len(pack.frames)} frames and numbers for others")


def _to_jpeg(frame: Frames) -> bytes:
    height, width = frame.shape[:2]
    if max(width, height) > _JPEG_SIDE:
        raise ClipTooLarge(
            f"its frames are {width}×{height}, more than the {_JPEG_SIDE:,} of a JPEG's side "
            "(set frame encoding to raw or zstd)"
        )
    out = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(frame))
    picture.save(out, "JPEG", quality=_JPEG_QUALITY, subsampling="4:4:4")
    return out.getvalue()
