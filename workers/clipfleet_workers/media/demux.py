"""What a clip's file contains, found by demuxing it once: its packets, and when each is shown."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import BinaryIO

import av
from av.video.stream import VideoStream

from clipfleet.errors import ClipUnreadable
from clipfleet_workers.media import bitstream, cut_short, headers, tracks
from clipfleet_workers.media.cropping import Margins
from clipfleet_workers.media.kind import Kind, Reader
from clipfleet_workers.media.limits import Guard
from clipfleet_workers.media.opening import make_ready, opened_file, packets_of, why

# These have no times of their own: FFmpeg makes them up from a rate of 25.
_WITHOUT_TIMES = frozenset({"h264", "hevc", "m4v", "mpegvideo", "obu", "mjpeg", "rawvideo"})
# In these, frames in another display order than file order have the times of their positions.
_TIMES_IN_FILE_ORDER = frozenset({"avi", "asf"})
_HIGHEST_RATE = 1000  # above it, the stated rate is a clock's
# These state how long each frame is shown; for others FFmpeg makes it up.
_DURATIONS = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "gif", "avi"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Packet:
    """One packet of the video stream. Times in the stream's ticks.

    `pts` is when its frame is shown, `dts` when it is decoded. `shown` is false if it gives no
    frame of its own, or one that an edit list hides. `corrupt`: the demuxer knows that it is
    incomplete. `key` is the container's flag, `kind` what its own bytes say.
    """

    pts: int | None
    dts: int | None
    duration: int
    shown: bool
    corrupt: bool
    key: bool
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Contents:
    """A clip's packets, in file order, and what is known of them.

    `rates` are those that the file states, in frames a second, the likeliest first. `timed`: the
    packets' times, of those that have one, are when frames are shown; `ordered`: all of them give
    at least the display order. `filed`: only the time of decoding is known of each packet.
    `states_durations`: the packets' durations are the file's own. `knows_starts`: packets of this
    codec say where decoding can start. `stream` is the index of the stream used; `margins` are
    what its container says to crop.
    """

    packets: list[Packet]
    time_base: Fraction
    rates: list[float]
    timed: bool
    ordered: bool
    filed: bool
    states_durations: bool
    knows_starts: bool
    intra_only: bool
    container: str
    codec: str
    video_streams: int
    stream: int
    margins: Margins | None
    warnings: list[str]

    @property
    def changes(self) -> bool:
        """Whether parameters change after the first picture."""
        first = next((i for i, packet in enumerate(self.packets) if packet.shown), 0)
        return any(packet.kind.sets for packet in self.packets[first + 1 :])

    def picture_of(self, place: int) -> int:
        """The place of the packet that begins the picture of this one."""
        while place > 0 and self.packets[place].kind.joins:
            place -= 1
        return place


def contents(file: BinaryIO, guard: Guard) -> Contents:
    """What the file contains, without decoding. Raises `ClipUnreadable` or `ClipTooLarge`."""
    headed = headers.read(guard.timed(file))
    with opened_file(file, guard) as container:
        streams = tracks.video_streams(container)
        if not streams:
            held = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise ClipUnreadable(f"it has no video stream (it holds: {held})")
        taken = tracks.choose(streams, headed)
        stream, header = taken.stream, taken.header
        headers.refuse_encrypted(header)
        make_ready(stream, guard)
        codec = stream.codec_context.codec
        reader, knows_starts = bitstream.reader(
            codec.canonical_name,
            extradata=stream.codec_context.extradata,
            intra_only=codec.intra_only,
        )
        packets, warnings = _read_all(packets_of(container, stream, guard), reader, guard)
        if not warnings:
            most = guard.limits.max_frames
            warnings += cut_short.warnings(file, container.format.name, stream, most=most)
        filed = False
        if container.format.name in _TIMES_IN_FILE_ORDER:
            reordered = bool(stream.codec_context.has_b_frames)
            packets, filed = _as_filed(packets, reordered=reordered)
        if container.format.name == "gif":
            packets = _as_browsers(packets)
        packets = _with_times_once(packets)
        shown = [packet.pts for packet in packets if packet.shown]
        known = [pts for pts in shown if pts is not None]
        own_times = container.format.name not in _WITHOUT_TIMES
        rises = _keys_rise(packets)
        return Contents(
            packets=packets,
            time_base=stream.time_base or Fraction(1, 1000),
            rates=_stated_rates(stream, own_times=own_times),
            timed=own_times and rises and bool(known),
            ordered=rises and len(known) == len(shown),
            filed=filed,
            states_durations=_states_durations(container.format.name, packets),
            knows_starts=knows_starts,
            intra_only=codec.intra_only,
            container=container.format.name,
            codec=codec.canonical_name,
            video_streams=len(streams),
            stream=stream.index,
            margins=header.margins if header else None,
            warnings=[*taken.warnings, *warnings],
        )


def _states_durations(container: str, packets: list[Packet]) -> bool:
    """Whether packets' durations come from the file.

    Matroska may state one for a whole track; if a file has none, FFmpeg makes up one for all from a
    rate that it guesses, which may be four times too high.
    """
    shown = [packet.duration for packet in packets if packet.shown]
    return container in _DURATIONS and (len(shown) == 1 or len({*shown} - {0}) > 1)


def _read_all(
    demuxed: Iterable["av.Packet[VideoStream]"], reader: Reader, guard: Guard
) -> tuple[list[Packet], list[str]]:
    """The packets, and a warning where reading them ended in an error."""
    packets: list[Packet] = []
    try:
        for packet in demuxed:
            packets.append(_read(packet, reader))
            guard.frames(len(packets))
    except av.FFmpegError as error:
        guard.memory(error)
        return packets, [f"reading stopped after {len(packets)} packets ({why(error)})"]
    return packets, []


def _read(packet: "av.Packet[VideoStream]", reader: Reader) -> Packet:
    sets = False
    if next(packet.iter_sidedata(), None) is not None:  # a tenth of the time of asking by name
        headers.refuse_encrypted_packet(packet)
        sets = bitstream.brings_parameters(packet, reader)
    kind = reader.read(bytes(packet))
    if sets:
        kind = kind._replace(sets=True)
    return Packet(
        pts=packet.pts,
        dts=packet.dts,
        duration=packet.duration or 0,
        shown=not (packet.is_discard or kind.hidden or kind.joins),
        corrupt=packet.is_corrupt,
        key=packet.is_keyframe,
        kind=kind,
    )


def _as_filed(packets: list[Packet], *, reordered: bool) -> tuple[list[Packet], bool]:
    """Packets of a file that has one time for each, and whether that is the time of decoding.

    Rising times are. Others can only be when frames are shown; if no frame is reordered, both are
    the same. For H.264 FFmpeg makes up the other time, from the packet after.
    """
    times = [packet.pts if packet.dts is None else packet.dts for packet in packets]
    known = [time for time in times if time is not None]
    if reordered and all(a < b for a, b in itertools.pairwise(known)):
        filed = zip(packets, times, strict=True)
        return [replace(packet, pts=None, dts=time) for packet, time in filed], True
    return [replace(packet, pts=time) for packet, time in zip(packets, times, strict=True)], False


_FLEETING, _USUAL = 2, 10  # of a GIF's ticks, which are hundredths of a second


def _as_browsers(packets: list[Packet]) -> list[Packet]:
    """A GIF's packets, with frames of 0 or 10 ms shown for 100 ms, as all browsers do."""
    found, pts = [], 0
    for packet in packets:
        duration = packet.duration if packet.duration >= _FLEETING else _USUAL
        found.append(replace(packet, pts=pts, dts=pts, duration=duration))
        pts += duration
    return found


def _with_times_once(packets: list[Packet]) -> list[Packet]:
    """The packets; of several with the same time, only the first keeps it."""
    seen: set[int | None] = set()
    found = []
    for packet in packets:
        pts = packet.pts if packet.shown else None
        found.append(replace(packet, pts=None) if pts in seen else packet)
        if pts is not None:
            seen.add(pts)
    return found


def _keys_rise(packets: list[Packet]) -> bool:
    """Whether each key frame is shown after all packets before it, as in every codec."""
    latest = None
    for packet in packets:
        if packet.pts is None:
            continue
        if packet.key and packet.kind.starts and latest is not None and packet.pts < latest:
            return False
        latest = packet.pts if latest is None else max(latest, packet.pts)
    return True


def _stated_rates(stream: VideoStream, *, own_times: bool) -> list[float]:
    guessed, coded = stream.guessed_rate, stream.codec_context.framerate
    rates = [guessed, stream.average_rate, stream.base_rate] if own_times else [coded, guessed]
    return [float(rate) for rate in rates if rate and rate <= _HIGHEST_RATE] or [25.0]
