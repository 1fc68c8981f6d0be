"""The peer's environment: NeMo Curator, what its media code imports, and an ffmpeg, in `.bench/`.

Nothing needs root. Without its cluster (Ray, pandas, Arrow, transformers), which its media code
does not use.
"""

import os
import re
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BENCH = ROOT / ".bench"  # made here, never committed: environment, clips

_PEER = "nemo-curator==1.4.0"
_TORCH = "torch==2.13.0+cpu"
_TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_NEEDS = (
    "av==17.1.0",  # what the peer's own `video-cpu` extra asks for
    "numpy==2.4.6",
    "loguru==0.7.3",
    "attrs",
    "imageio-ffmpeg==0.8.1",  # carries an ffmpeg with libx264 and libwebp
)
_FIND_FFMPEG = "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """How to run the peer: its Python, and a folder for PATH whose `ffmpeg` it finds.

    `encoder` is what that ffmpeg writes mp4 with when it is not told, as the peer does not;
    `threads` are the ffmpeg's to cut windows.
    """

    python: Path
    path: Path
    ffmpeg: str
    encoder: str
    threads: int

    def environment(self) -> dict[str, str]:
        """The environment variables of its processes."""
        return os.environ | {"PATH": f"{self.path}{os.pathsep}{os.environ.get('PATH', '')}"}

    def describe(self) -> str:
        """One line for people: what was compared with."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{_PEER}; windows cut in {threads} by {self.encoder} of ffmpeg {self.ffmpeg}"


def workplace() -> Path:
    """The benchmark's working folder, which git ignores."""
    BENCH.mkdir(exist_ok=True)
    (BENCH / ".gitignore").write_text("*\n")
    return BENCH


def install_peer(*, ffmpeg: Path | None, threads: int) -> Peer:
    """The peer, installed on the first call. `ffmpeg` takes the place of the one from PyPI."""
    folder = workplace() / "peer"
    python = folder / "bin" / "python"
    wanted = "\n".join((_PEER, _TORCH, *_NEEDS))
    mark = folder / "installed"
    if not mark.exists() or mark.read_text() != wanted:
        print("installing the peer (its torch is large)", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        # The CPU build, from wherever pip looks, or else from PyTorch's own index.
        if subprocess.run([*install, _TORCH], check=False, stderr=subprocess.DEVNULL).returncode:
            elsewhere = ["--index-url", _TORCH_CPU_INDEX]
            subprocess.run([*install, *elsewhere, _TORCH], check=True, stdout=sys.stderr)
        subprocess.run([*install, *_NEEDS], check=True, stdout=sys.stderr)
        subprocess.run([*install, "--no-deps", _PEER], check=True, stdout=sys.stderr)
        mark.write_text(wanted)
    path = workplace() / "bin"
    path.mkdir(exist_ok=True)
    found = str(ffmpeg.resolve()) if ffmpeg else _output([str(python), "-c", _FIND_FFMPEG]).strip()
    link = path / "ffmpeg"
    link.unlink(missing_ok=True)
    link.symlink_to(found)
    return Peer(
        python=python,
        path=path,
        ffmpeg=_version(link),
        encoder=_default_encoder(link),
        threads=threads,
    )


def _version(ffmpeg: Path) -> str:
    return _output([str(ffmpeg), "-version"]).split()[2]


def _default_encoder(ffmpeg: Path) -> str:
    """What it picks for mp4: ffmpeg says so while it encodes, and nowhere else."""
    command = [str(ffmpeg), "-nostdin", "-hide_banner", "-f", "lavfi", "-i"]
    command += ["testsrc2=duration=0.2:size=64x64", "-f", "mp4", "-y", os.devnull]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    match = re.search(r"Stream #0:0 -> #0:0 \(.* -> h264 \((\w+)\)\)", said)
    return match[1] if match else "an encoder it does not name"


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
