"""Windows of sample clips as the caption worker gets them: encoded, decoded, cut, sampled."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from clipfleet import models
from clipfleet.options import PrepareOptions, PreviewOptions
from clipfleet_workers.inference.engine import Video
from clipfleet_workers.media import onepass
from clipfleet_workers.steps.caption import window_video

# Frames a second: the rates that the model was trained at. Some windows have more frames than any
# that it was trained on.
SAMPLING_FPS = (2.0, 1.6, 3.0, 4.0)


def cut_windows(clips: Iterable[Path]) -> Iterator[Video]:
    """Every window of these clips, each clip sampled at each of the rates."""
    for path in clips:
        for fps in SAMPLING_FPS:
            cut: list[onepass.Window] = []
            prepare = PrepareOptions(sampling_fps=fps, generate_previews=False)
            with path.open("rb") as file:
                onepass.cut(
                    file,
                    prepare=prepare,
                    preview=PreviewOptions(),
                    grid=models.MINI_GRID,
                    write=cut.append,
                )
            for window in cut:
                span = (window.plan.start_frame, window.plan.end_frame)
                yield window_video(window.frames, *span, prepare)
