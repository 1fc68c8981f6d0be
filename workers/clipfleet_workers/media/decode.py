"""A clip's frames by number, decoding no more than they need.

A clip is demuxed once to count and time its frames, then decoded once. Packets that no wanted
frame references never reach the decoder. Where anything then differs from what the packets promised
(damage, mostly) the clip is decoded whole to find out which frames there are, and once more to
take them.
"""

from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from clipfleet_workers.media.counting import ClipIndex, index, settle
from clipfleet_workers.media.decoder import Decoder, FramesDiffer
from clipfleet_workers.media.side_data import display_matrix
from clipfleet_workers.media.skipping import needed_packets

__all__ = ["ClipIndex", "Frame", "FramesDiffer", "frames", "index", "needed_packets", "settle"]


class Frame(NamedTuple):
    """A decoded frame, its number, and the shape of its pixels (width / height, 0 unknown).

    `display_matrix` is its rotation: its own, or that of the last frame before it that states one.
    """

    number: int
    picture: av.VideoFrame
    pixel_aspect_ratio: float
    display_matrix: NDArray[np.int32] | None


def frames(file: BinaryIO, index: ClipIndex, wanted: Sequence[int]) -> Iterator[Frame]:
    """The frames with the `wanted` numbers, in ascending order.

    Raises `FramesDiffer` at the first sign that `index` is wrong.
    """
    due = list(reversed(wanted))
    given = last = -1
    needed = needed_packets(index, wanted)
    awaited = {place for place in index.numbers or () if not index.settled and needed[place]}
    held = index.contents
    decoder = Decoder(file, held, needed, index.guard, strict=index.strict)
    matrix, turns = None, held.changes or held.intra_only or not held.knows_starts
    for packet_place, frame in decoder.frames():
        given += 1
        place = given if index.settled else packet_place
        if index.numbers is None:
            number = last + 1
        elif place in index.numbers:
            number = index.numbers[place]
        elif index.settled:
            continue
        else:
            raise FramesDiffer
        failed = not index.settled and (frame.is_corrupt or decoder.failed)
        if failed or number <= last or number >= index.num_frames or (due and number > due[-1]):
            raise FramesDiffer
        last = number
        awaited.discard(place)
        if turns or given == 0:
            own = display_matrix(frame)
            matrix = matrix if own is None else own
        if due and number == due[-1]:
            due.pop()
            yield Frame(number, frame, decoder.pixel_aspect_ratio, matrix)
        del frame  # else the decoder allocates one more: 30 MB in HEVC at 2160p
    short = index.numbers is None and last + 1 != index.num_frames
    if due or short or awaited or (decoder.failed and not index.settled):
        raise FramesDiffer
