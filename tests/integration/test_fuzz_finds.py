"""What fuzzing found, each once: every reader refuses what it does not know by a named error."""

import errno
import io
import json
import os
import struct
from typing import Any

import numpy as np
import pytest
import xxhash

from clipfleet import keys
from clipfleet.errors import ClipTooLarge, MessageInvalid, PackInvalid, UsageError
from clipfleet.messages import ClipJob
from clipfleet.options import Options
from clipfleet.records import Failure, ManifestLine
from clipfleet.store import Store
from clipfleet_producer.runs.store import RunStore, read_options
from clipfleet_producer.runs.writing import write_run
from clipfleet_workers.media.packs import Pack
from tests.support import clips
from tests.support.cutting import cut_file
from tests.support.records import CLIP, JOB

RUN = "r1"
ULTRAFAST = {"preset": "ultrafast"}
LINE: dict[str, Any] = {"clip_uuid": CLIP, "source": JOB.source}


def run_of(store: Store, *lines: bytes) -> None:
    line = ManifestLine.model_validate(LINE)
    head = write_run(store, RUN, Options(), [line]).head
    store.put(keys.run_manifest(RUN, head.manifest_version, 0), b"\n".join(lines) + b"\n")


@pytest.mark.parametrize(
    "wrong",
    [
        {"clip_uuid": "../../etc/passwd"},
        {"clip_uuid": ""},
        {"source": "s" * 2000},
        {"source": "file://[/clip.mp4"},
        {"source": "file:///clip%00.mp4"},
        {"num_bytes": "many"},
        {"shell": "id"},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
def test_a_line_that_is_not_ours_is_refused_with_its_place(
    folder_store: Store, wrong: dict[str, Any]
) -> None:
    run_of(folder_store, json.dumps(LINE).encode(), json.dumps(LINE | wrong).encode())
    with pytest.raises(
        UsageError, match=r"^runs/r1/manifest/[0-9a-f]+/000000\.jsonl, line 2: "
    ) as refusal:
        list(RunStore.open(folder_store, RUN).manifest.lines())
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize("text", [b"{", b"", b"\xff\xfe", b"[" * 100_000], ids=lambda t: t[:4])
def test_a_manifest_that_is_no_json_is_refused(folder_store: Store, text: bytes) -> None:
    run_of(folder_store, json.dumps(LINE).encode(), text)
    with pytest.raises(UsageError, match="line 2: "):
        list(RunStore.open(folder_store, RUN).manifest.lines())


def test_every_line_of_ours_is_read_back(folder_store: Store) -> None:
    sources = ["s3://bucket/a%00[b]\U0001f600.mp4", "file:///a%20b.mp4", "https://[::1]/a.mp4"]
    lines = [ManifestLine(clip_uuid=keys.clip_uuid(each), source=each) for each in sources]
    write_run(folder_store, RUN, Options(), lines)
    assert list(RunStore.open(folder_store, RUN).manifest.lines()) == lines


@pytest.mark.parametrize("text", [b"{", b"[]", b'{"shell": "id"}', b"\xff"], ids=repr)
def test_options_that_are_not_ours_are_refused_with_their_place(
    folder_store: Store, text: bytes
) -> None:
    folder_store.put(keys.run_options(RUN), text)
    with pytest.raises(UsageError, match=r"^runs/r1/options\.json: ") as refusal:
        read_options(folder_store, RUN)
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize("source", ["file://[/clip.mp4", "file:///clip%00.mp4"])
def test_a_source_that_no_file_can_have_is_no_message(source: str) -> None:
    with pytest.raises(MessageInvalid, match="not a ClipJob: source: "):
        ClipJob.read(JOB.model_dump() | {"source": source})


def pack_of(**about: Any) -> bytes:
    """A pack whose description is changed, and its checksum made to fit."""
    frames = np.zeros((4, 2, 2, 3), np.uint8)
    pack = Pack(frames=frames, indices=[0, 1, 2, 3], times_s=[0.0] * 4, source_fps=30.0)
    _, header, stored = pack.to_parts("zstd")
    metadata = json.loads(bytes(header))["__metadata__"]
    said = json.dumps(json.loads(metadata["clipfleet"]) | about)
    checksum = xxhash.xxh3_128(said.encode() + bytes(stored)).hexdigest()
    metadata = {"clipfleet": said, "xxh3_128": checksum}
    frames_at = {"data_offsets": [0, len(stored)]}
    forged = json.dumps({"__metadata__": metadata, "frames": frames_at}).encode()
    return struct.pack("<Q", len(forged)) + forged + bytes(stored)


@pytest.mark.parametrize("shape", [(4, 2, 65_501, 3), (4, 65_501, 2, 3)], ids=str)
def test_frames_that_no_jpeg_holds_are_refused_with_what_to_do(
    shape: tuple[int, int, int, int],
) -> None:
    pack = Pack(
        frames=np.zeros(shape, np.uint8), indices=[0, 1, 2, 3], times_s=[0.0] * 4, source_fps=30.0
    )
    with pytest.raises(ClipTooLarge, match=r"more than the 65,500 of a JPEG's side .*raw or zstd"):
        pack.to_bytes("jpeg444")
    assert pack.to_bytes("raw")


def test_frames_at_a_jpeg_s_limit_are_taken() -> None:
    frames = np.zeros((1, 2, 65_500, 3), np.uint8)
    pack = Pack(frames=frames, indices=[0], times_s=[0.0], source_fps=30.0)
    assert Pack.from_bytes(pack.to_bytes("jpeg444"), key="k").frames.shape == frames.shape


def test_what_is_said_of_a_pack_can_be_recorded_whatever_it_says() -> None:
    for version in ("\ud800", "v" * 10_000):
        with pytest.raises(PackInvalid) as refusal:
            Pack.from_bytes(pack_of(version=version), key="k")
        said = str(refusal.value)
        failure = Failure(step="preview", error="PackInvalid", message=said)
        assert Failure.model_validate_json(failure.to_bytes()) == failure
        assert len(said) <= 500


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<Q", 100_000) + b"[" * 100_000,
        pack_of(shape=[float("inf"), 2, 2, 3]),
        pack_of(shape=[2**40, 2**10, 2, 3]),
    ],
    ids=["nested without end", "frames without number", "more than any memory holds"],
)
def test_a_pack_that_says_what_cannot_be_is_refused(data: bytes) -> None:
    with pytest.raises(PackInvalid, match=r"^k is not a valid frame pack: "):
        Pack.from_bytes(data, key="k")


class OnDisk(io.BytesIO):
    """A file on a disk that has no place beyond 16 TiB, as ext4, or none beyond `end`."""

    def __init__(self, data: bytes, *, end: int = 1 << 44, error: int = errno.EINVAL) -> None:
        super().__init__(data)
        self._end, self._error = end, error

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if offset >= self._end:
            raise OSError(self._error, os.strerror(self._error))
        return super().seek(offset, whence)


def test_a_file_whose_index_lies_where_no_disk_has_a_place_is_cut() -> None:
    data = clips.encode(30, container="nut", options=ULTRAFAST)
    back = (-(1 << 60)).to_bytes(8, signed=True)  # from its end, a checksum behind it
    found = cut_file(OnDisk(data + back + bytes(4)))
    assert found.source.num_frames == 30


def test_a_disk_that_fails_is_not_taken_for_a_clip_s_damage() -> None:
    data = clips.encode(30, size=(640, 480), options={**ULTRAFAST, "crf": "1"})
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        cut_file(OnDisk(data, end=1, error=errno.EIO))
