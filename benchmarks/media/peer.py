"""The peer's side: NeMo Curator's own windowing and preview code, in a separate environment.

`media_setup` makes that environment, without the peer's cluster; this runs in it. Only what pulls
the cluster in is replaced: two packages' `__init__` and the base class of its stages, which holds
no media code. What it calls is the peer's, unchanged, with the settings its pipeline would use:
one thread to cut windows (`CaptionPreparationStage` asks for one CPU), previews at their defaults.
Frames stay uint8, the least that it can be asked for, and at the clip's size: this version leaves
it to the engine to resize them, so its figures are without.
"""

import argparse
import importlib
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

from benchmarks.media.meter import Details, cpu_seconds, report

WINDOW_SIZE = 256
REMAINDER_THRESHOLD = 128
SAMPLING_FPS = 2.0


class _Stage:
    """In place of the peer's `ProcessingStage[X, Y]`."""

    def __class_getitem__(cls, _: object) -> type:
        return cls


def main() -> None:
    """Do the peer's work on one clip and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--threads", type=int, default=1, help="of its ffmpeg, to cut windows")
    parser.add_argument("--frames-only", action="store_true", help="no previews")
    parser.add_argument("--keep", type=Path, help="folder for the previews")
    arguments = parser.parse_args()
    _stand_in_for_the_cluster()
    windowing = importlib.import_module("nemo_curator.utils.windowing_utils")
    video = importlib.import_module("nemo_curator.tasks.video")
    stage = importlib.import_module("nemo_curator.stages.video.preview.preview").PreviewStage()
    previews: dict[str, bytes] = {}

    def work() -> Details:
        files, frames, spans = windowing.split_video_into_windows(
            arguments.clip.read_bytes(),
            window_size=WINDOW_SIZE,
            remainder_threshold=REMAINDER_THRESHOLD,
            sampling_fps=SAMPLING_FPS,
            return_bytes=not arguments.frames_only,
            num_threads=arguments.threads,
        )
        details = {"windows": float(len(spans)), "frames": float(sum(map(len, frames)))}
        if not arguments.frames_only:
            started_s = cpu_seconds()
            previews.update(_previews(stage, video, files, spans))
            details["preview_stage_cpu_s"] = cpu_seconds() - started_s
            details["preview_bytes"] = float(sum(map(len, previews.values())))
        return details

    report(work)
    if arguments.keep is not None:
        for name, data in previews.items():
            (arguments.keep / name).write_bytes(data)


def _previews(stage: Any, video: Any, files: list[bytes], spans: list[Any]) -> dict[str, bytes]:
    """Each window's preview, by the name that a preview file has."""
    previews: dict[str, bytes] = {}
    for data, span in zip(files, spans, strict=True):
        window = video._Window(span.start, span.end, mp4_bytes=data)
        stage._generate_preview(window)
        if window.webp_bytes is None:
            raise SystemExit(f"the peer made no preview of frames {span.start} to {span.end}")
        previews[f"{span.start}_{span.end}.webp"] = window.webp_bytes
    return previews


def _stand_in_for_the_cluster() -> None:
    """Make the peer's media modules importable alone.

    `nemo_curator` starts Ray's client on import, `nemo_curator.tasks` loads pandas and Arrow, and
    `nemo_curator.stages.base` the executors.
    """
    found = importlib.util.find_spec("nemo_curator")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("nemo-curator is not installed in this environment")
    root = Path(next(iter(found.submodule_search_locations)))
    for name in ("nemo_curator", "nemo_curator.tasks"):
        package = types.ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
    base = types.ModuleType("nemo_curator.stages.base")
    vars(base)["ProcessingStage"] = _Stage
    sys.modules[base.__name__] = base


if __name__ == "__main__":
    main()
