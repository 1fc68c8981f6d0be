"""Sample clips for tests: encoded once, and kept from run to run while the code is the same."""

import functools
import hashlib
import os
import shutil
from pathlib import Path

import av

import clipfleet_producer.samples
from clipfleet_producer.samples import write_samples

CACHE = Path(__file__).parents[2] / ".cache" / "samples"
# The weights of `mini` were made without these, as without all that `clipfleet samples` writes.
SEED, COUNT = 31_415, 12


def copy_samples(folder: Path, *, count: int) -> list[Path]:
    """The first so many of the clips, with their truth beside them, in a folder that is made.

    A clip follows from the seed and its own number. Their windows: one of 150 frames; 256 and 144;
    300; 90; 256, 256 and 128; 360; 225; 256 and 200; 200; and the first three again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number in range(count):
        for ending in (".mp4", ".json"):
            name = f"sample-{number:03d}{ending}"
            shutil.copyfile(_written() / name, folder / name)
        found.append(folder / f"sample-{number:03d}.mp4")
    return found


@functools.cache
def _written() -> Path:
    """The folder of them all; written if this code has not yet."""
    folder = CACHE / _version()
    if not folder.exists():
        unfinished = CACHE / f"unfinished-{os.getpid()}"
        shutil.rmtree(unfinished, ignore_errors=True)
        assert len(list(write_samples(unfinished, count=COUNT, seed=SEED))) == COUNT
        try:
            unfinished.rename(folder)
        except OSError:  # another process was quicker
            shutil.rmtree(unfinished)
    return folder


def _version() -> str:
    """What the clips follow from: the code that draws them, the encoders, and the seed."""
    digest = hashlib.sha256(f"{SEED} {COUNT} {av.__version__} {av.library_versions}".encode())
    for path in sorted(Path(clipfleet_producer.samples.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
