"""Whether a clip's frames are those of a full decode, bit for bit, or it says that they may not be.

A full decode takes every packet in one thread, and shares nothing with workers/.
"""

import hashlib
import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from unittest import mock

import av
import numpy as np
from av.video.reformatter import ColorRange

from clipfleet.errors import ClipUnreadable
from clipfleet.grid import QWEN2_5_VL
from clipfleet.options import PrepareOptions, PreviewOptions
from clipfleet.settings import ClipLimits
from clipfleet_workers.media import decode, onepass
from clipfleet_workers.media.limits import Guard
from tests.support.fuzz.parts import RATE

FEW = 3  # frames, of which no clip is made
FAULTS = ("pixels", "order", "colours", "count", "refused")
_PREVIEW = PreviewOptions()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The outcome of one clip.

    `end` is `exact`, `warned`, or an error's name. `fault` is how frames differ, or empty; its
    first word, one of `FAULTS`, is the sort. `frames` were compared; of `packets` so many were
    `skipped` for a few frames.
    """

    end: str
    fault: str
    frames: int = 0
    packets: int = 0
    skipped: int = 0
    unseen: bool = False

    def counts(self) -> dict[str, int]:
        """What a course adds up; a fault under the name of its sort."""
        found = {"frames": self.frames, "packets": self.packets, "skipped": self.skipped}
        found |= {"unseen": 1} if self.unseen else {}
        return found | ({self.fault.partition(":")[0]: 1} if self.fault else {})


class Seen(NamedTuple):
    """What stands for a frame's size and all its pixels; what is said of its colours; whether
    the decoder calls it whole."""

    pixels: bytes
    colours: str
    whole: bool


def seen(frame: av.VideoFrame) -> Seen:
    """What a frame is."""
    name = frame.format.name
    full_range = name.startswith("yuvj") or frame.color_range == ColorRange.JPEG
    layout = name.replace("yuvj", "yuv")
    found = hashlib.blake2b(f"{layout} {frame.width}x{frame.height}".encode())
    for number, plane in enumerate(frame.planes):
        data = np.frombuffer(memoryview(plane), np.uint8)
        if name == "pal8" and number == 1:
            found.update(data[:1024].tobytes())
            continue
        rows = data[: plane.line_size * plane.height].reshape(plane.height, plane.line_size)
        found.update(rows[:, : _row_bytes(frame.format, plane)].tobytes())
    colours = f"{'full' if full_range else 'limited'} range, matrix {int(frame.colorspace)}"
    return Seen(found.digest(), colours, not frame.is_corrupt)


def _row_bytes(layout: av.VideoFormat, plane: Any) -> int:
    if layout.is_planar or layout.name == "pal8":
        return int(plane.width) * -(-layout.components[0].bits // 8)
    return -(-int(plane.width) * layout.padded_bits_per_pixel // 8)


def full_decode(data: bytes, *, hold: bool = False) -> list[Seen]:
    """Every frame that a decode of all packets gives, in order; what fails is passed over.

    With `hold`, no frame's memory is used again.
    """
    found: list[Seen] = []
    held = []
    try:
        opened = av.open(io.BytesIO(data), "r")
    except av.FFmpegError:
        return found
    with opened as container:
        stream = next((s for s in container.streams.video if s.codec_context is not None), None)
        if stream is None:
            return found
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        for packet in _packets(container):
            try:
                frames = stream.decode(packet)
            except av.EOFError:
                break
            except av.FFmpegError:
                if stream.codec_context.name == "libdav1d":  # else it fails for ever after
                    stream.codec_context.flush_buffers()
                continue
            found += [seen(frame) for frame in frames]
            held += frames if hold else []
    return found


def _determined(data: bytes, truth: list[Seen]) -> list[Seen | None]:
    """A full decode, without frames that show what was in their memory before.

    Decoders leave pixels unwritten where the bytes say nothing of them: those have no right.
    """
    held = full_decode(data, hold=True)
    return [a if a == b else None for a, b in itertools.zip_longest(truth, held)][: len(truth)]


def _packets(container: Any) -> Iterator[Any]:
    """The packets, and None for the end."""
    packets = container.demux(video=0)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            packet = None
        if packet is None:
            yield None
            return
        if packet.size:
            yield packet


def check(data: bytes, share: float, span: tuple[float, float]) -> Verdict:
    """Compare some frames, `share` of them, and those of a span, in shares of the clip's length.

    With no warning, there are as many frames as a full decode gives, and each is its own; with
    one, each is one of a full decode's, and they rise.
    """
    truth = full_decode(data)
    frames, fault = 0, ""
    for within in (None, span):
        try:
            index, given = _given(data, share, within)
        except ClipUnreadable as error:
            if within is None:
                fault = f"refused: {error}" if sum(each.whole for each in truth) > FEW else ""
                return Verdict(end=type(error).__name__, fault=fault)
            continue
        frames += len(given)
        found = _judged(data, truth, index, given)
        if within is None:
            whole = index
        elif found.startswith("count"):  # what lies beyond a span need not be known
            continue
        fault = fault or found
    return Verdict(
        end="warned" if whole.warnings else "exact",
        fault=fault,
        frames=frames,
        packets=len(whole.contents.packets),
        skipped=_skipped(whole),
    )


def _judged(
    data: bytes, truth: list[Seen], index: decode.ClipIndex, given: list[tuple[int, Seen]]
) -> str:
    warned = bool(index.warnings)
    fault = _fault(truth, index.num_frames, given, warned=warned)
    if not fault:
        return ""
    return _fault(_determined(data, truth), index.num_frames, given, warned=warned)


def _skipped(index: decode.ClipIndex) -> int:
    """How many packets need no decoding for two frames a second."""
    needed = decode.needed_packets(index, range(0, index.num_frames, RATE // 2))
    return len(needed) - sum(needed)


def _wanted(count: int, share: float) -> list[int]:
    """Frames about as far apart, the first of them by the share itself."""
    step = max(1, round(1 / share))
    return list(range(round(1000 * share) % min(step, count), count, step))


def _given(
    data: bytes, share: float, span: tuple[float, float] | None
) -> tuple[decode.ClipIndex, list[tuple[int, Seen]]]:
    """The index that stood, and each frame's number and digest. Raises `ClipUnreadable`."""
    file = io.BytesIO(data)
    if span is not None:
        return _spanned(file, share, span)
    index = decode.index(file, _guard())
    while True:
        given: list[tuple[int, Seen]] = []
        try:
            for frame in decode.frames(file, index, _wanted(index.num_frames, share)):
                given.append((frame.number, seen(frame.picture)))
        except decode.FramesDiffer:
            if index.settled:
                raise ClipUnreadable("it decodes differently every time") from None
            index = decode.settle(file, index)
        else:
            return index, given


def _guard() -> Guard:
    """Whatever comes out right is taken, little as it may be."""
    return Guard(ClipLimits.model_construct(min_decodable_share=0.0))


def _spanned(
    file: io.BytesIO, share: float, span: tuple[float, float]
) -> tuple[decode.ClipIndex, list[tuple[int, Seen]]]:
    """As a prepare worker cuts a span: what it takes is noted on the way."""
    passes: list[tuple[decode.ClipIndex, list[tuple[int, Seen]]]] = []
    taken = decode.frames
    length_s = decode.index(file, _guard()).timeline.end_time_s

    def noted(
        file: io.BytesIO, index: decode.ClipIndex, wanted: Sequence[int]
    ) -> Iterator[decode.Frame]:
        passes.append((index, []))
        for frame in taken(file, index, wanted):
            passes[-1][1].append((frame.number, seen(frame.picture)))
            yield frame

    with mock.patch.object(decode, "frames", noted):
        onepass.cut(
            file,
            prepare=PrepareOptions(
                sampling_fps=max(1.0, 30 * share),
                model_does_preprocess=True,
                generate_previews=False,
                window_size=16,
                remainder_threshold=8,
            ),
            preview=_PREVIEW,
            grid=QWEN2_5_VL,
            write=lambda _: None,
            span_s=(span[0] * length_s, span[1] * length_s),
            guard=_guard(),
        )
    return passes[-1]


def _fault(
    truth: Sequence[Seen | None], count: int, given: list[tuple[int, Seen]], *, warned: bool
) -> str:
    """How frames differ: their pixels, their order, or only how many there are; or nothing.

    Of `truth`, what is None may be anything.
    """
    says = "a warning" if warned else "no warning"
    numbered = not warned and count == len(truth)
    if numbered:
        given = [(number, each) for number, each in given if truth[number] is not None]
    places: dict[bytes, list[int]] = {}
    for place, known in enumerate(truth):
        places.setdefault(known.pixels if known else b"", []).append(place)
    strange = [number for number, each in given if each.pixels not in places]
    if strange and (numbered or None not in truth):
        return f"pixels: frames {strange} are none of a full decode's, with {says}"
    if numbered:
        return _numbered(truth, given)
    last = -1
    for number, each in given:
        later = [place for place in places.get(each.pixels, []) if place > last]
        if not later and each.pixels in places:
            return f"order: frame {number} comes after one that is shown after it, with {says}"
        last = later[0] if later else last
    if warned or count == len(truth):
        return ""
    return f"count: {count} frames where a full decode gives {len(truth)}, with {says}"


def _numbered(truth: Sequence[Seen | None], given: list[tuple[int, Seen]]) -> str:
    """How frames differ from those of their own numbers."""
    pairs = [(number, each, known) for number, each in given if (known := truth[number])]
    wrong = [number for number, each, known in pairs if each.pixels != known.pixels]
    if wrong:
        return f"order: frames {wrong} are others of a full decode's, with no warning"
    wrong = [number for number, each, known in pairs if each.colours != known.colours]
    if not wrong:
        return ""
    right = {known.colours for number, _, known in pairs if number in wrong}
    found = {each.colours for number, each, _ in pairs if number in wrong}
    return f"colours: frames {wrong} say {found} for {right}, with no warning"
