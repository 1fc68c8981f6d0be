"""Windows of sample clips as the caption worker gets them: encoded, decoded, cut, sampled."""

from collections.abc import Iterator
from pathlib import Path

from clipfleet.options import PrepareOptions, PreviewOptions
from producer.samples import write_samples
from workers import models
from workers.engines.base import Video
from workers.media import onepass

# Frames a second: what the model was trained for, from end to end.
SAMPLING_FPS = (2.0, 1.6, 3.0, 4.0)


def cut_windows(folder: Path, *, count: int, seed: int) -> Iterator[Video]:
    """Every window of `count` clips, each clip sampled at one of the rates in turn."""
    grid = models.find("mini").grid
    assert grid is not None
    for number, path in enumerate(write_samples(folder, count=count, seed=seed)):
        cut: list[onepass.Window] = []
        fps = SAMPLING_FPS[number % len(SAMPLING_FPS)]
        prepare = PrepareOptions(sampling_fps=fps, generate_previews=False)
        with path.open("rb") as file:
            onepass.cut(
                file, prepare=prepare, preview=PreviewOptions(), grid=grid, write=cut.append
            )
        for window in cut:
            plan, pack = window.plan, window.frames
            yield Video(
                frames=pack.frames,
                indices=[number - plan.start_frame for number in pack.indices],
                num_frames=plan.end_frame - plan.start_frame + 1,
                fps=pack.source_fps,
            )
