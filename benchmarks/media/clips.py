"""The clips that are measured: which, and how each is made and kept in `.bench/clips`."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
from av.video.stream import VideoStream

from benchmarks.media.scenes import film

SEED = 7
VERSION = 1  # of what is drawn and how it is encoded; another one makes the clips anew
THREADS = 4  # fixed: x264 writes other bytes with another number of threads
_BT709 = {"color_primaries": "1", "color_trc": "1", "colorspace": "1", "color_range": "1"}


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One clip. `options` are its encoder's; `noise` the sensor's, in steps of luma."""

    name: str
    width: int
    height: int
    fps: int
    seconds: int
    scenes: int
    noise: float
    encoder: str
    pixel_format: str
    options: dict[str, str]

    @property
    def num_frames(self) -> int:
        """How many frames it has."""
        return self.fps * self.seconds

    @property
    def file_name(self) -> str:
        """Its file's name."""
        return f"{self.name}-v{VERSION}.mp4"


def _clips() -> list[Clip]:
    """Four shapes in three codecs, and one without B-frames."""
    # name, width, height, fps, seconds, scenes, noise, presets of x264, x265 and SVT-AV1.
    # Presets are chosen by how long large frames take; all of them use B-frames.
    shapes = (
        ("10s-720p", 1280, 720, 30, 10, 2, 2.5, ("medium", "fast", "8")),
        ("30s-1080p", 1920, 1080, 30, 30, 3, 2.0, ("medium", "superfast", "9")),
        ("60s-360p", 640, 360, 25, 60, 3, 1.5, ("medium", "fast", "8")),
        ("10s-2160p60", 3840, 2160, 60, 10, 1, 2.0, ("veryfast", "ultrafast", "11")),
    )
    clips = []
    for shape, width, height, fps, seconds, scenes, noise, presets in shapes:
        for codec, encoder, pixel_format, options in (
            ("h264", "libx264", "yuv420p", {"preset": presets[0], "crf": "23", "bf": "3"}),
            ("hevc", "libx265", "yuv420p10le", {"preset": presets[1], "crf": "25"}),
            ("av1", "libsvtav1", "yuv420p", {"preset": presets[2], "crf": "42"}),
        ):
            clips.append(
                Clip(
                    name=f"{shape}-{codec}",
                    width=width,
                    height=height,
                    fps=fps,
                    seconds=seconds,
                    scenes=scenes,
                    noise=noise,
                    encoder=encoder,
                    pixel_format=pixel_format,
                    options=options,
                )
            )
            if shape == "10s-720p" and codec == "h264":
                without = options | {"bf": "0"}
                clips.append(replace(clips[-1], name="10s-720p-h264-nob", options=without))
    return clips


CLIPS = _clips()
QUICK = ("10s-720p-h264", "10s-720p-h264-nob")


def make(clip: Clip, folder: Path, *, done: Callable[[int], None] = lambda _: None) -> Path:
    """The clip's file, made on the first call; `done` is called with each frame's number."""
    path = folder / clip.file_name
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("SVT_LOG", "1")  # errors only; it is told in no other way
    unfinished = path.with_name(f".{path.name}.part")
    quiet = {"x265-params": "log-level=error"} if clip.encoder == "libx265" else {}
    options = clip.options | quiet | _BT709
    with av.open(str(unfinished), "w", format="mp4") as container:
        stream = container.add_stream(clip.encoder, rate=Fraction(clip.fps), options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = clip.width, clip.height
        stream.pix_fmt = clip.pixel_format
        stream.codec_context.thread_count = THREADS
        for number, frame in enumerate(
            film(
                width=clip.width,
                height=clip.height,
                frames=clip.num_frames,
                fps=clip.fps,
                scenes=clip.scenes,
                noise=clip.noise,
                seed=SEED,
            )
        ):
            frame.pts, frame.time_base = number, Fraction(1, clip.fps)
            container.mux(stream.encode(frame.reformat(format=clip.pixel_format)))
            done(number + 1)
        container.mux(stream.encode(None))
    unfinished.replace(path)
    return path


def repeat(source: Path, path: Path, *, times: int) -> Path:
    """A clip that shows another `times` over, by copying its packets, without encoding."""
    if path.exists():
        return path
    unfinished = path.with_name(f".{path.name}.part")
    with av.open(str(source)) as one, av.open(str(unfinished), "w", format="mp4") as many:
        given = one.streams.video[0]
        stream = many.add_stream_from_template(given)
        packets = [packet for packet in one.demux(given) if packet.size]
        length = sum(packet.duration or 0 for packet in packets)
        for turn in range(times):
            one.seek(0)
            for packet in one.demux(given):
                if not packet.size or packet.pts is None or packet.dts is None:
                    continue
                packet.pts += turn * length
                packet.dts += turn * length
                packet.stream = stream
                many.mux(packet)
    unfinished.replace(path)
    return path
