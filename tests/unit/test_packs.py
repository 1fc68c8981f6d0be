"""Frame packs: what is written is read back; what is damaged or foreign is refused."""

import json
import struct
from typing import Any, get_args

import numpy as np
import pytest
import xxhash
from numpy.typing import NDArray
from safetensors.numpy import load, save

from clipfleet.errors import PackInvalid
from clipfleet_workers.media.packs import Encoding, Pack

ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
LOSSLESS: tuple[Encoding, ...] = ("raw", "zstd")


def pictures(num_frames: int, *, width: int, height: int) -> NDArray[np.uint8]:
    """Slopes of colour, another in each frame."""
    n, y, x = np.mgrid[0:num_frames, 0:height, 0:width]
    return np.stack([x * 3 + n * 20, y * 2 + n * 5, x + y], axis=3).astype(np.uint8)


PACK = Pack(
    frames=pictures(4, width=28, height=56),
    indices=[0, 20, 39, 59],
    times_s=[0.0, 2 / 3, 1.3, 59 / 30],
    source_fps=30_000 / 1001,
)
PREVIEW_PACK = Pack(
    frames=pictures(2, width=95, height=63),
    indices=[15, 45],
    times_s=[0.5, 1.5],
    source_fps=30.0,
    durations_ms=[1000, 1000],
)
PACKS = pytest.mark.parametrize("pack", [PACK, PREVIEW_PACK], ids=["frames", "preview"])


@PACKS
@pytest.mark.parametrize("encoding", LOSSLESS)
def test_pixels_read_back_bit_for_bit(pack: Pack, encoding: Encoding) -> None:
    read = Pack.from_bytes(pack.to_bytes(encoding), key="k")

    assert read.frames.dtype == np.uint8
    assert np.array_equal(read.frames, pack.frames)


@PACKS
def test_pixels_read_back_from_jpeg_are_near(pack: Pack) -> None:
    read = Pack.from_bytes(pack.to_bytes("jpeg444"), key="k")

    assert read.frames.shape == pack.frames.shape
    apart = np.abs(read.frames.astype(int) - pack.frames)
    assert 0 < apart.mean() < 4


@PACKS
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_numbers_read_back_exactly(pack: Pack, encoding: Encoding) -> None:
    read = Pack.from_bytes(pack.to_bytes(encoding), key="k")

    assert (read.indices, read.times_s) == (pack.indices, pack.times_s)
    assert (read.source_fps, read.durations_ms) == (pack.source_fps, pack.durations_ms)


def test_frames_that_are_a_view_of_others_are_written_as_they_look() -> None:
    flipped = Pack(
        frames=PACK.frames[:, ::-1, ::2], indices=PACK.indices, times_s=PACK.times_s, source_fps=30
    )

    for encoding in LOSSLESS:
        read = Pack.from_bytes(flipped.to_bytes(encoding), key="k")
        assert np.array_equal(read.frames, flipped.frames)


def test_a_raw_pack_is_read_without_copying_its_pixels() -> None:
    data = PACK.to_bytes()

    frames = Pack.from_bytes(data, key="k").frames

    assert np.shares_memory(frames, np.frombuffer(data, np.uint8))


def test_a_raw_pack_is_hardly_larger_than_its_pixels() -> None:
    assert len(PACK.to_bytes()) < PACK.frames.nbytes + 1000


@pytest.mark.parametrize("encoding", ["zstd", "jpeg444"])
def test_the_other_encodings_are_smaller(encoding: Encoding) -> None:
    assert len(PACK.to_bytes(encoding)) < PACK.frames.nbytes


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_any_reader_of_safetensors_can_open_a_pack(encoding: Encoding) -> None:
    frames = load(PACK.to_bytes(encoding))["frames"]

    assert frames.dtype == np.uint8
    if encoding == "raw":
        assert np.array_equal(frames, PACK.frames)


def about_of(data: bytes) -> dict[str, Any]:
    """What a pack says of itself."""
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    about = json.loads(header["__metadata__"]["clipfleet"])
    assert isinstance(about, dict)
    return about


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_pack_describes_itself(encoding: Encoding) -> None:
    about = about_of(PACK.to_bytes(encoding))

    assert (about["version"], about["encoding"]) == (3, encoding)
    assert (about["shape"], about["grid"]) == ([4, 56, 28, 3], [56, 28])
    assert (about["indices"], about["source_fps"]) == (PACK.indices, PACK.source_fps)


WHOLE = {encoding: PACK.to_bytes(encoding) for encoding in ENCODINGS}
HEADER_END = {name: 8 + struct.unpack_from("<Q", data)[0] for name, data in WHOLE.items()}


def lengths(encoding: Encoding) -> list[int]:
    """Where to cut: in the header's length, in the header, in the pixels, and at each end."""
    end, whole = HEADER_END[encoding], len(WHOLE[encoding])
    return [0, 1, 7, 8, 9, end // 2, end - 1, end, end + 1, (end + whole) // 2, whole - 1]


@pytest.mark.parametrize("place", range(11))
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_pack_that_is_cut_short_is_refused_with_its_key(encoding: Encoding, place: int) -> None:
    with pytest.raises(PackInvalid, match=r"^scratch/x is not a valid frame pack"):
        Pack.from_bytes(WHOLE[encoding][: lengths(encoding)[place]], key="scratch/x")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_pack_with_one_bit_changed_is_refused_with_its_key(
    encoding: Encoding, share: float
) -> None:
    data = bytearray(WHOLE[encoding])
    end = HEADER_END[encoding]
    data[end + int((len(data) - end) * share)] ^= 1

    with pytest.raises(PackInvalid, match=r"^scratch/x .* has changed since it was written"):
        Pack.from_bytes(bytes(data), key="scratch/x")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_bit_changed_in_the_header_is_refused_or_changes_nothing(encoding: Encoding) -> None:
    whole = Pack.from_bytes(WHOLE[encoding], key="k")
    for place in range(HEADER_END[encoding]):
        data = bytearray(WHOLE[encoding])
        data[place] ^= 1 << place % 7
        try:
            read = Pack.from_bytes(bytes(data), key="k")
        except PackInvalid:
            continue
        assert (read.indices, read.times_s) == (whole.indices, whole.times_s)
        assert (read.source_fps, read.durations_ms) == (whole.source_fps, whole.durations_ms)
        assert np.array_equal(read.frames, whole.frames)


def foreign(about: object, *, frames: NDArray[Any] = PACK.frames) -> bytes:
    """A safetensors object with this metadata, written by the library."""
    said = json.dumps(about)
    checksum = xxhash.xxh3_128_hexdigest(said.encode() + np.ascontiguousarray(frames).tobytes())
    metadata = None if about is None else {"clipfleet": said, "xxh3_128": checksum}
    data: bytes = save({"frames": frames}, metadata=metadata)
    return data


def good(*, frames: NDArray[Any] = PACK.frames, **changes: Any) -> bytes:
    """A raw pack as another writer may make it, with some of its fields changed."""
    about = about_of(WHOLE["raw"]) | {"shape": list(frames.shape)}
    return foreign(about | changes, frames=frames)


def test_a_pack_that_the_tests_build_by_hand_is_read() -> None:
    assert np.array_equal(Pack.from_bytes(good(), key="k").frames, PACK.frames)


FOREIGN = {
    "text": b"hello " * 100,
    "zeros": bytes(1000),
    "a header longer than the object": struct.pack("<Q", 2**63) + b"{}",
    "a header that is no JSON": struct.pack("<Q", 4) + b"{]}[",
    "a header that is no object": struct.pack("<Q", 2) + b"[]",
    "bytes after the pixels": WHOLE["raw"] + b"\0",
    "an mp4": struct.pack(">I", 24) + b"ftypisom" + bytes(1000),
    "no metadata": foreign(None),
    "metadata that is no object": foreign([]),
    "metadata that lacks a field": foreign({"version": 2}),
    "another version": good(version=1),
    "another encoding": good(encoding="lzma"),
    "raw pixels that claim to be zstd": good(encoding="zstd"),
    "raw pixels that claim to be JPEG": good(encoding="jpeg444", sizes=[4704] * 4),
    "frames in float": good(frames=PACK.frames.astype(np.float32)),
    "frames without colour": good(frames=PACK.frames[..., 0]),
    "frames with four colours": good(frames=np.zeros((4, 8, 8, 4), np.uint8)),
    "another shape than its pixels have": good(shape=[4, 56, 29, 3]),
    "fewer frames than indices": good(frames=PACK.frames[:3]),
    "fewer durations than frames": good(durations_ms=[1, 2]),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_pack_is_refused_with_its_key(kind: str) -> None:
    with pytest.raises(PackInvalid, match=r"^scratch/x is not a valid frame pack"):
        Pack.from_bytes(FOREIGN[kind], key="scratch/x")
