"""Sample clips as files: drawn scenes, encoded as video, each with its truth as JSON beside it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from clipfleet.errors import UsageError
from clipfleet_producer.samples.scene import Scene, draw_scene, facts
from clipfleet_producer.samples.words import caption

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from clipfleet_producer.samples.stage import Staged

# Frames of each scene, and frames a second. At the default window size a scene is one window: clips
# of one, of two, of one extended by a short remainder, of a short one, of three; at several rates.
LENGTHS = (
    ((150,), 30),
    ((256, 144), 30),
    ((300,), 25),
    ((90,), 24),
    ((256, 256, 128), 30),
    ((360,), 60),
    ((225,), 15),
    ((256, 200), 24),
    ((200,), 25),
)
SIZES = ((640, 360), (480, 480), (360, 640), (854, 480), (640, 480), (426, 240), (320, 240))
# (encoder, its options): three codecs, good and middling quality.
ENCODERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("libx264", {"preset": "veryfast", "crf": "20"}),
    ("libx264", {"preset": "veryfast", "crf": "26"}),
    ("libx265", {"preset": "ultrafast", "crf": "24", "x265-params": "log-level=error"}),
    ("libx264", {"preset": "fast", "crf": "29"}),
    ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "crf": "32", "b": "0"}),
)


@dataclass(frozen=True)
class SampleClip:
    """One clip before it is written: its scenes with their frames, and how it is encoded."""

    name: str
    seed: str
    scenes: tuple[Scene, ...]
    frames: tuple[int, ...]
    fps: int
    size: tuple[int, int]
    encoder: tuple[str, dict[str, str]]

    def truth(self) -> dict[str, Any]:
        """What its captions must say, scene by scene."""
        ends = [sum(self.frames[: i + 1]) for i in range(len(self.frames))]
        return {
            "clip": self.name,
            "scenes": [
                {
                    "start_frame": end - count,
                    "end_frame": end - 1,
                    "caption": caption(scene),
                    "facts": facts(scene),
                }
                for scene, count, end in zip(self.scenes, self.frames, ends, strict=True)
            ],
        }


def draw_clips(*, count: int, seed: int) -> Iterator[SampleClip]:
    """`count` clips; the same seed gives the same ones, and each is independent of the others."""
    for i in range(count):
        own = f"{seed}/{i}"
        random = Random(own)
        frames, fps = LENGTHS[i % len(LENGTHS)]
        yield SampleClip(
            name=f"sample-{i:03d}.mp4",
            seed=own,
            scenes=tuple(draw_scene(random, seconds=n / fps) for n in frames),
            frames=frames,
            fps=fps,
            size=SIZES[i % len(SIZES)],
            encoder=ENCODERS[i % len(ENCODERS)],
        )


def write_samples(folder: Path, *, count: int, seed: int) -> Iterator[Path]:
    """Write `count` clips to `folder`, yielding each; its truth is beside it, as .json.

    The same seed gives the same pictures. Raises `UsageError` if PyAV is not installed.
    """
    try:
        import av  # noqa: F401
        import numpy as np  # noqa: F401
    except ImportError:
        raise UsageError("samples need PyAV and numpy: pip install 'clipfleet[media]'") from None
    folder.mkdir(parents=True, exist_ok=True)
    for clip in draw_clips(count=count, seed=seed):
        path = folder / clip.name
        _encode(path, clip)
        path.with_suffix(".json").write_text(json.dumps(clip.truth(), indent=1) + "\n")
        yield path


def draw_frames(clip: SampleClip) -> Iterator["NDArray[np.uint8]"]:
    """The clip's frames: RGB, height × width × 3."""
    import numpy as np

    from clipfleet_producer.samples.stage import stage

    width, height = clip.size
    random = Random(f"{clip.seed}/stage")
    for scene, count in zip(clip.scenes, clip.frames, strict=True):
        times = np.arange(count) / clip.fps
        staged = stage(scene, random, times_s=times, width=width, height=height)
        ground = _paint_ground(staged, width, height, np.random.default_rng(random.getrandbits(64)))
        for number in range(count):
            frame = ground.copy()
            for track in staged.tracks:
                _paint_thing(frame, track[number])
            yield frame


def _paint_ground(
    staged: "Staged", width: int, height: int, random: "np.random.Generator"
) -> "NDArray[np.uint8]":
    import numpy as np

    from clipfleet_producer.samples.paint import texture

    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + np.float32(0.5)
    light = texture(np, staged.ground, x, y, np.float32(1))
    grain = random.normal(0, 1.5, (height, width)).astype(np.float32)
    shade = light * staged.ground[3] + grain
    bright = staged.ground[:3] + shade[..., None]
    return bright.clip(0, 255).round().astype(np.uint8)  # type: ignore[no-any-return]


def _paint_thing(frame: "NDArray[np.uint8]", track: "NDArray[np.float32]") -> None:
    """Paint one thing over the frame, within its box; one that wraps re-enters opposite."""
    import numpy as np

    from clipfleet_producer.samples import paint
    from clipfleet_producer.samples.stage import (
        ANGLE,
        BLUE,
        RADIUS,
        RED,
        SHAPE,
        VISIBLE,
        WRAPS,
        X,
        Y,
    )

    if not track[VISIBLE]:
        return
    height, width = frame.shape[:2]
    reach = int(paint.REACH * track[RADIUS]) + 2
    left, top = int(track[X]) - reach, int(track[Y]) - reach
    columns, rows = np.arange(left, left + 2 * reach + 1), np.arange(top, top + 2 * reach + 1)
    if not track[WRAPS]:
        columns = columns[(columns >= 0) & (columns < width)]
        rows = rows[(rows >= 0) & (rows < height)]
    covered = paint.cover(
        np,
        int(track[SHAPE]),
        (columns + np.float32(0.5) - track[X])[None, :],
        (rows + np.float32(0.5) - track[Y])[:, None],
        track[RADIUS],
        track[ANGLE],
        np.float32(1),
    )[..., None]
    for inside, there in _boxes(columns, rows, width, height):
        under = frame[there].astype(np.float32)
        frame[there] = (under + covered[inside] * (track[RED : BLUE + 1] - under)).round()


def _boxes(
    columns: "NDArray[np.int64]", rows: "NDArray[np.int64]", width: int, height: int
) -> "Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]":
    """The contiguous parts of a thing's box: their slices of the box, and of the frame."""
    for across, x in _spans(columns, width):
        for down, y in _spans(rows, height):
            yield (down, across), (y, x)


def _spans(places: "NDArray[np.int64]", length: int) -> Iterator[tuple[slice, slice]]:
    """Runs of positions that stay contiguous modulo `length`."""
    start = 0
    while start < len(places):
        first = int(places[start]) % length
        count = min(len(places) - start, length - first)
        yield slice(start, start + count), slice(first, first + count)
        start += count


def _encode(path: Path, clip: SampleClip) -> None:
    import av

    unfinished = path.with_name(f".{path.name}.part")
    encoder, options = clip.encoder
    with av.open(str(unfinished), "w", format="mp4") as container:
        stream: Any = container.add_stream(encoder, Fraction(clip.fps), options=dict(options))
        stream.width, stream.height = clip.size
        stream.pix_fmt = "yuv420p"
        for rgb in draw_frames(clip):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
    unfinished.replace(path)
