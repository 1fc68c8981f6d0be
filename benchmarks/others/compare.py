"""One video as our code decodes it, compared with a full decode by the ffmpeg command."""

import contextlib
import itertools
import json
import re
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clipfleet.errors import ClipError
from clipfleet.grid import QWEN2_5_VL
from clipfleet.options import PrepareOptions, PreviewOptions
from clipfleet.records import SourceInfo
from clipfleet_workers.media import onepass
from clipfleet_workers.media.limits import Guard
from clipfleet_workers.media.packs import Frames as Image  # here height × width × 3
from tests.integration.reference import block_difference

# The largest mean difference of any 16×16 block, in levels of 255. Most frames are equal.
SAME = 1.0
TICK_S = 0.0021  # containers round times, and ours count from the first frame
FALSE_WORDS = ("lost", "damaged", "cut short", "stopped")  # not of whole files
# Decoders that do not matter for whether the video is intact.
_OF_SOUND = re.compile(r"\[(aac|ac3|adpcm|amr|flac|mp2|mp3|opus|vorbis|wma)|Last message")
# Chroma location, which the ffmpeg command's scaler must be told once frames are rotated.
_CHROMA = {
    ("left", 0): "in_h_chr_pos=0:in_v_chr_pos=128",
    ("left", 90): "in_h_chr_pos=128:in_v_chr_pos=0",
    ("left", 180): "in_h_chr_pos=256:in_v_chr_pos=128",
    ("left", 270): "in_h_chr_pos=128:in_v_chr_pos=256",
    ("topleft", 0): "in_h_chr_pos=0:in_v_chr_pos=0",
}
_STRICT = ("-strict", "1")  # else H.264's decoder drops frames that come later than it guesses
SPAN_FRAMES = 10  # that a file must have for its middle to be cut out


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What ffprobe says of every frame that a full decode gives.

    `times_s` count from the first; None where any frame has none. `said` is what FFmpeg complains
    of: a file of which it says nothing is whole. `chroma` is where chroma is measured.
    """

    codec: str
    container: str
    num_frames: int
    times_s: list[float] | None
    length_s: float
    said: str
    chroma: str = "unspecified"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A frame that our code gave: its number among all frames of the file, its time, its pixels."""

    number: int
    time_s: float
    image: Image
    of: str = "frame"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The comparison of a file. `differs` says how it differs from FFmpeg's, a line each."""

    truth: Truth
    source: SourceInfo | None = None
    refused: str = ""
    warnings: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)
    compared: int = 0
    apart: float = 0.0

    @property
    def false_warnings(self) -> list[str]:
        """Warnings of loss or damage although FFmpeg finds the file intact."""
        said = [each for each in self.warnings if any(word in each for word in FALSE_WORDS)]
        return [] if self.truth.said else said

    @property
    def verdict(self) -> str:
        """`agrees`, `differs`, `refused`, `unprobed` by ffprobe, `warned` of true damage."""
        if self.refused:
            return "refused"
        if not self.truth.num_frames:
            return "unprobed"
        if self.truth.said and self.differs and self.warnings:
            return "warned"
        return "differs" if self.differs else "agrees"


class Ffmpeg:
    """A full decode by the ffprobe and ffmpeg commands."""

    def truth(self, path: Path) -> Truth:
        """What ffprobe says of every frame of the file's first video stream."""
        entries = "frame=best_effort_timestamp_time,pkt_duration_time,duration_time"
        entries += ":stream=codec_name,chroma_location:format=format_name"
        command = ["ffprobe", "-v", "error", *_STRICT, "-select_streams", "V:0", "-show_entries"]
        done = subprocess.run(
            [*command, entries, "-of", "json", path],
            capture_output=True,
            text=True,
            errors="replace",
        )
        found: dict[str, Any] = {}
        with contextlib.suppress(ValueError):  # where it opens no stream, it leaves its JSON open
            found = json.loads(done.stdout)
        frames = found.get("frames", [])
        times, length_s = _times(frames)
        streams = found.get("streams") or [{}]
        lines = [line.strip() for line in done.stderr.splitlines()]
        return Truth(
            codec=streams[0].get("codec_name", "unknown"),
            container=found.get("format", {}).get("format_name", "unknown"),
            num_frames=len(frames),
            times_s=times,
            length_s=length_s,
            said=next((line for line in lines if line and not _OF_SOUND.match(line)), ""),
            chroma=streams[0].get("chroma_location", "unspecified"),
        )

    def pictures(
        self, path: Path, truth: Truth, source: SourceInfo, size: tuple[int, int]
    ) -> Iterator[Image]:
        """Every frame by ffmpeg, upright, at this (width, height): uint8 RGB."""
        width, height = size
        matrix = f"in_color_matrix={source.color_matrix}" if source.color_matrix_guessed else ""
        chroma = _CHROMA.get((truth.chroma, source.rotation_degrees))
        scale = f"scale={width}:{height}:flags=bicubic+accurate_rnd+full_chroma_int"
        filters = (
            ":".join(part for part in (scale, matrix, chroma) if part) + ",format=gbrp,format=rgb24"
        )
        # Crop at the left exactly, not aligned for the processor.
        command = ["ffmpeg", "-nostdin", "-v", "quiet", "-threads", "1", "-flags", "unaligned"]
        command += [*_STRICT, "-i", str(path), "-map", "0:V:0", "-fps_mode", "passthrough", "-vf"]
        command += [f"field=top,{filters}" if source.interlaced else filters, "-f", "rawvideo"]
        with subprocess.Popen([*command, "pipe:1"], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            whole = width * height * 3
            while len(data := process.stdout.read(whole)) == whole:
                yield np.frombuffer(data, np.uint8).reshape(height, width, 3)


def compare(path: Path, by: Ffmpeg) -> Comparison | None:
    """The file's comparison; None if neither finds a frame in it."""
    truth = by.truth(path)
    try:
        clip, seen = cut(path)
    except ClipError as error:
        if not truth.num_frames:
            return None
        return Comparison(truth=truth, refused=str(error))
    except Exception as error:  # what a worker turns into the clip's record
        return Comparison(truth=truth, refused=f"{type(error).__name__}: {error}")
    differs = list(differences(truth, clip.source, seen))
    if middle := span_of(truth.times_s):
        first, last, span_s = middle
        try:
            part, more = cut(path, span_s)
        except ClipError as error:
            differs.append(f"the span from {span_s[0]:.3f} s is refused: {error}")
        else:
            count = part.span.num_frames if part.span else 0
            if count != last - first:
                differs.append(f"the span holds {count} frames, not {last - first}")
            seen += [
                Seen(number=first + each.number, time_s=each.time_s, image=each.image, of="span's")
                for each in more
            ]
    found: list[tuple[float, str]] = []
    for height, width, _ in {each.image.shape for each in seen}:  # a span may begin at another size
        same = [each for each in seen if each.image.shape[:2] == (height, width)]
        found += pixels_apart(by.pictures(path, truth, clip.source, (width, height)), same)
    differs += [said for _, said in found if said]
    return Comparison(
        truth=truth,
        source=clip.source,
        warnings=clip.warnings,
        differs=differs,
        compared=len(found),
        apart=max((apart for apart, _ in found), default=0.0),
    )


def cut(path: Path, span_s: Sequence[float] | None = None) -> tuple[onepass.CutClip, list[Seen]]:
    """The clip as a worker cuts it, its frames at source size. Raises `ClipError`."""
    windows: dict[tuple[int, int], list[Seen]] = {}

    def write(window: onepass.Window) -> None:
        pack = window.frames
        windows[window.plan.start_frame, window.plan.end_frame] = [
            Seen(number=number, time_s=time_s, image=image.copy())
            for number, time_s, image in zip(pack.indices, pack.times_s, pack.frames, strict=True)
        ]

    with path.open("rb") as file:
        clip = onepass.cut(
            file,
            prepare=PrepareOptions(model_does_preprocess=True, generate_previews=False),
            preview=PreviewOptions(),
            grid=QWEN2_5_VL,
            write=write,
            span_s=span_s,
            guard=Guard(),
        )
    kept = [(plan.start_frame, plan.end_frame) for plan in clip.windows]
    return clip, [each for window in kept for each in windows[window]]


def _times(frames: Sequence[dict[str, str]]) -> tuple[list[float] | None, float]:
    """The frames' times and how long they last, from the first one; 0 if unknown."""
    given = [frame.get("best_effort_timestamp_time", "") for frame in frames]
    if not given or "" in given:
        return None, 0.0
    times = [float(each) - float(given[0]) for each in given]
    steps = [b - a for a, b in itertools.pairwise(times)]
    usual_s = statistics.median(steps) if steps else 0.0
    stated = frames[-1].get("duration_time") or frames[-1].get("pkt_duration_time")
    return times, times[-1] + (float(stated) if stated else usual_s)


def differences(truth: Truth, source: SourceInfo, seen: Sequence[Seen]) -> Iterator[str]:
    """How the frames' number, times and length differ from those of a full decode."""
    if source.num_frames != truth.num_frames:
        yield f"{source.num_frames} frames, not {truth.num_frames}"
    times = truth.times_s
    if times is None:
        return
    for each in seen:
        if each.number < len(times) and abs(each.time_s - times[each.number]) > TICK_S:
            yield f"frame {each.number} is at {each.time_s:.3f} s, not {times[each.number]:.3f}"
            break
    steps = [b - a for a, b in itertools.pairwise(times)]
    # Versions of FFmpeg disagree on how long an mp4's last frame is shown.
    near_s = TICK_S + (statistics.median(steps) if steps else 0.1)
    if abs(source.duration_s - truth.length_s) > near_s:
        yield f"it lasts {source.duration_s:.3f} s, not {truth.length_s:.3f}"


def span_of(times_s: Sequence[float] | None) -> tuple[int, int, tuple[float, float]] | None:
    """A span from the middle: its first frame, the one after its last, and its ends in seconds.

    Each end lies between two frames. None for files of few frames or whose times do not rise.
    """
    if times_s is None or len(times_s) < SPAN_FRAMES:
        return None
    if any(a >= b for a, b in itertools.pairwise(times_s)):
        return None
    first, last = len(times_s) * 2 // 5, len(times_s) * 4 // 5
    start_s, end_s = ((times_s[n - 1] + times_s[n]) / 2 for n in (first, last))
    return first, last, (start_s, end_s)


def pixels_apart(truth: Iterator[Image], seen: Sequence[Seen]) -> Iterator[tuple[float, str]]:
    """For each frame that was seen, how far it is from the true one, and what is wrong with it.

    The distance is the largest mean difference of any 16×16 block in any colour. A frame is wrong
    where that is above `SAME`, or where the frame before or after the true one is nearer.
    """
    wanted: dict[int, list[Seen]] = {}
    for each in seen:
        wanted.setdefault(each.number, []).append(each)
    before = here = None
    for number, after in enumerate(itertools.chain(truth, [None]), -1):
        if here is not None:
            for each in wanted.pop(number, ()):
                yield _apart(each, here, before, after)
        if not wanted:
            return
        before, here = here, after
    for each in itertools.chain.from_iterable(wanted.values()):
        yield 255.0, f"{each.of} {each.number} is none of FFmpeg's frames"


def _apart(seen: Seen, true: Image, before: Image | None, after: Image | None) -> tuple[float, str]:
    if np.array_equal(seen.image, true):
        return 0.0, ""
    name = f"{seen.of} {seen.number}"
    own = _blocks_apart(seen.image, true)
    for image, which in ((before, "before"), (after, "after")):
        near = own if image is None else _blocks_apart(seen.image, image)
        if near < own:
            return own, f"{name} is {own:.1f} from FFmpeg's, and {near:.1f} from the one {which}"
    return own, f"{name} is {own:.1f} from FFmpeg's" if own > SAME else ""


def _blocks_apart(one: Image, other: Image) -> float:
    """The difference in the colour that differs most: brightness alone may hide another picture."""
    planes = zip(one.transpose(2, 0, 1), other.transpose(2, 0, 1), strict=True)
    return max(block_difference(a.astype(np.float32), b.astype(np.float32)) for a, b in planes)
