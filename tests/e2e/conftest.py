"""Clips and disks to run into trouble with."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest


@pytest.fixture(scope="session")
def bad_clips() -> dict[str, str]:
    """What each file of `bad_folder` is told off with."""
    return {
        "empty.mp4": "the file is empty (0 bytes)",
        "text.mp4": "not a video file that can be read",
        "truncated.mp4": "not a video file that can be read",
        "audio.mp4": "no video stream",
        "three-frames.mp4": "it has 3 frames, and a window needs at least 4",
    }


@pytest.fixture(scope="session")
def bad_folder(
    bad_clips: dict[str, str], sample_clips: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder of clips that cannot be captioned."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("this is not a video\n" * 100)
    whole = (sample_clips / "sample-000.mp4").read_bytes()
    (folder / "truncated.mp4").write_bytes(whole[: len(whole) // 2])  # its index is at the end
    _write_audio(folder / "audio.mp4")
    _write_three_frames(folder / "three-frames.mp4")
    assert {p.name for p in folder.iterdir()} == set(bad_clips)
    return folder


def _write_audio(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        for i in range(20):
            frame = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts = 48_000, i * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _write_three_frames(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for i in range(3):
            rgb = np.full((64, 64, 3), i * 80, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB. Needs the right to mount one."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk; the store's own tests cover a full one")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
