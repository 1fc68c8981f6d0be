"""One case of the corpus: a file that the tests make, and what must be found in it."""

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.integration.reference import Look, stretched
from tests.support import clips
from tests.support.corpus.planes import Image

os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder writes a page to stderr for each clip

WIDTH, HEIGHT = 192, 128

# Encoder settings that are quick and near to lossless, so that a frame shows what was drawn.
X264 = {"preset": "veryfast", "crf": "12", "bf": "3", "g": "24", "threads": "1"}
X265 = {"preset": "ultrafast", "x265-params": "log-level=none:crf=12:pools=none:frame-threads=1"}
VP9 = {"deadline": "realtime", "cpu-used": "8", "crf": "12", "b": "0", "threads": "1"}
AV1 = {"preset": "6", "crf": "12", "svtav1-params": "lp=1"}  # 10 and up leave artifacts
MPEG2 = {"bf": "2", "g": "12", "b": "8M"}

# What decoders call what an encoder of another name writes.
CODEC_OF = {"libx264": "h264", "libx264rgb": "h264", "libx265": "hevc", "libsvtav1": "av1"}
CODEC_OF |= {"libvpx": "vp8", "libvpx-vp9": "vp9", "prores_ks": "prores"}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a file is, and what must be found. Sizes in pixels, after turning; times in seconds.

    None means that nothing is asked.
    """

    name: str
    make: Callable[[], bytes]
    # The number that each frame shown carries, in order.
    numbers: Sequence[int] | Callable[[], Sequence[int]] = range(60)
    # Damaged files: how many frames at least; the rest of `numbers` may be lost.
    at_least: int | None = None
    rate: float | None = 30.0
    times_s: Sequence[float] | None = None  # from the first frame; by the rate where not given
    length_s: float | None = None  # when the last frame ends; by the rate where not given
    size: tuple[int, int] = (WIDTH, HEIGHT)
    size_of: Callable[[int], tuple[int, int]] | None = None  # where it changes from frame to frame
    codec: str = "h264"
    pixel_format: str = "yuv420p"
    look: Look = field(default_factory=Look)
    matrix: str | None = ""  # as found; of `look` where not given
    guessed: bool | None = True  # whether the stream says nothing of its matrix
    transfer: str | None = None
    turned: int = 0
    mirrored: bool = False
    sampling: str | None = "index"
    windows: Sequence[tuple[int, int]] | None = None  # one of all frames where not given
    video_streams: int = 1
    warnings: Sequence[str] = ()  # a pattern for each that must be there
    may_warn: bool = False  # whether others may
    unreadable: str = ""  # the pattern of its error, where it holds nothing to cut
    colours: bool = True  # whether the picture has room for its patches and number
    grey: bool = False
    lossy: bool = False  # whether the codec's own losses hide what was drawn
    at_source_size: bool = True  # False: compared at the model's size only
    prepare: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    def shown(self) -> list[int]:
        """The number that each frame shown carries."""
        return list(self.numbers() if callable(self.numbers) else self.numbers)

    def times(self) -> list[float] | None:
        """When each frame is shown, from the first; None where not asked."""
        if self.times_s is not None:
            return list(self.times_s)
        if self.rate is None or self.at_least is not None:
            return None
        return [i / self.rate for i in range(len(self.shown()))]

    def length(self) -> float | None:
        """When the last frame ends; None where only containers could say, and do not agree."""
        if self.length_s is not None or self.rate is None or self.at_least is not None:
            return self.length_s
        return len(self.shown()) / self.rate

    def truth(self, number: int) -> Image:
        """The picture that was drawn, upright with square pixels; of a frame, its top field."""
        width, height = (self.size_of or (lambda _: self.size))(number)
        image = clips.picture(number, width=width, height=height)
        if self.look.interlaced:
            image = stretched(image[0::2], width, height)
        return stretched(image, round(self.size[0] * self.look.aspect), self.size[1])


@functools.cache
def h264(
    num_frames: int = 60,
    container: str = "mp4",
    muxer: tuple[tuple[str, str], ...] = (),
    **how: Any,
) -> bytes:
    """H.264 with B-frames; `muxer` are the container's options."""
    return clips.encode(
        num_frames, container=container, options=X264, container_options=dict(muxer), **how
    )


def coded(
    name: str,
    encoder: str,
    options: dict[str, str],
    *,
    container: str = "mp4",
    pixel_format: str = "yuv420p",
    decoded: str = "",
    **more: Any,
) -> Case:
    """60 frames from this encoder. `decoded` is the decoder's pixel format, where it differs."""
    return Case(
        name=name,
        make=functools.partial(
            clips.encode,
            60,
            codec=encoder,
            container=container,
            pixel_format=pixel_format,
            options=options,
        ),
        codec=CODEC_OF.get(encoder, encoder),
        pixel_format=decoded or pixel_format,
        look=Look(full_range=pixel_format.startswith("yuvj")),
        **more,
    )
