"""Sample clips to try things on: coloured shapes that move, really encoded in H.264."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipfleet.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# (frames, frames a second): one window, two windows, one whose remainder extends the last window.
SHAPES_OF_CLIP = ((150, 30), (400, 30), (300, 25), (90, 24), (640, 30))
SIZES = ((640, 360), (480, 480), (360, 640), (854, 480))


def write_samples(folder: Path, *, count: int, seed: int) -> Iterator[Path]:
    """Write `count` clips to `folder`, yielding each; the same seed gives the same pictures.

    Raises `UsageError` where PyAV is not installed.
    """
    try:
        import av  # noqa: F401
        import numpy as np
    except ImportError:
        raise UsageError("samples need PyAV and numpy: pip install 'clipfleet[media]'") from None
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        frames, fps = SHAPES_OF_CLIP[i % len(SHAPES_OF_CLIP)]
        width, height = SIZES[i % len(SIZES)]
        path = folder / f"sample-{i:03d}.mp4"
        random = np.random.default_rng([seed, i])
        _write(path, _moving_shape(random, width, height, frames), width, height, fps)
        yield path


def _moving_shape(
    random: "np.random.Generator", width: int, height: int, frames: int
) -> Iterator["NDArray[np.uint8]"]:
    import numpy as np

    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    dark, bright = random.integers(0, 110, 3), random.integers(130, 255, 3)
    slope = (x / width + y / height)[..., None] * 40
    noise = random.normal(0, 4, (height, width, 1))
    ground = np.clip(dark + slope + noise, 0, 255).astype(np.uint8)
    radius = round(height * random.uniform(0.08, 0.2))
    start = random.uniform(0.2, 0.8, 2) * (width, height)
    speed = random.uniform(-1.2, 1.2, 2)
    square = bool(random.integers(2))
    down, across = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    inside = (down**2 + across**2 < radius**2) | square
    for i in range(frames):
        centre_x, centre_y = ((start + speed * i) % (width, height)).astype(int)
        left, top = centre_x - radius, centre_y - radius
        seen = inside[max(0, -top) : height - top, max(0, -left) : width - left]
        frame = ground.copy()
        frame[max(0, top) :, max(0, left) :][: seen.shape[0], : seen.shape[1]][seen] = bright
        yield frame


def _write(
    path: Path, frames: Iterator["NDArray[np.uint8]"], width: int, height: int, fps: int
) -> None:
    import av

    unfinished = path.with_name(f".{path.name}.part")
    options: dict[str, Any] = {"preset": "veryfast", "crf": "23"}
    with av.open(str(unfinished), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for rgb in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
    unfinished.replace(path)
