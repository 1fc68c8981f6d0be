"""One pass of a clip's packets through its decoder, those that are needed."""

from collections.abc import Iterator
from typing import BinaryIO

import av

from clipfleet_workers.media.demux import Contents
from clipfleet_workers.media.limits import Guard
from clipfleet_workers.media.opening import opened, packets_of
from clipfleet_workers.media.pyav import translate_errors


class FramesDiffer(Exception):
    """A clip gives other frames or packets than it did before."""


class Decoder:
    """One pass over the packets of `held` that are needed.

    `failures` are the positions of packets that failed; `delay` is the position of the packet at
    which the first frame came out.
    """

    def __init__(
        self, file: BinaryIO, held: Contents, needed: list[bool], guard: Guard, *, strict: bool
    ) -> None:
        self.failures: set[int] = set()
        self.delay = 0
        self.pixel_aspect_ratio = 0.0
        self._file, self._held, self._needed = file, held, needed
        self._guard, self._strict = guard, strict

    @property
    def failed(self) -> bool:
        """Whether any packet has failed so far."""
        return bool(self.failures)

    def frames(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """Each frame with the position of its packet; packets that fail are skipped."""
        held = self._held
        with opened(self._file, self._guard, stream=held.stream, look=held.changes) as (
            container,
            stream,
        ):
            if self._strict:
                stream.codec_context.options |= {"err_detect": "explode"}
            place, began = -1, False
            packets = packets_of(container, stream, self._guard)
            while True:
                self._guard.frames(place)
                try:
                    packet = next(packets, None)
                except av.FFmpegError as error:
                    self._guard.memory(error)
                    packet = None
                if packet is not None:
                    place += 1
                    if place >= len(self._needed):
                        raise FramesDiffer
                    if not self._needed[place]:
                        continue
                    # Frames carry their packet's timestamp, which files may repeat or lack.
                    packet.pts = place
                try:
                    with translate_errors():
                        frames = stream.decode(packet)
                    self._guard.memory()
                except av.FFmpegError as error:
                    self._guard.memory(error)
                    if isinstance(error, av.EOFError):
                        return
                    # Some decoders report a packet without a frame as an error.
                    if packet is None or not held.packets[place].kind.empty:
                        self.failures.add(place)
                    frames = []
                if frames:
                    self.delay = self.delay if began or packet is None else place
                    began = True
                    coded = stream.codec_context.sample_aspect_ratio
                    self.pixel_aspect_ratio = float(stream.sample_aspect_ratio or coded or 0)
                frames.reverse()
                while frames:
                    yield -1 if frames[-1].pts is None else frames[-1].pts, frames.pop()
                if packet is None:
                    return
