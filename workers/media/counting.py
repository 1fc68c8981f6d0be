"""The frames that a clip shows, counted and timed: by its packets, or by what decoding gives."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from clipfleet.errors import ClipUnreadable
from workers.media.decoder import Decoder
from workers.media.demux import Contents, contents
from workers.media.limits import Guard
from workers.media.timeline import Timeline, by_rate, by_timestamps
from workers.media.windows import MIN_FRAMES


@dataclass(frozen=True, kw_only=True)
class ClipIndex:
    """The frames that a clip shows.

    `numbers` has each frame's number by the place of its packet in the file; None where only the
    decoder knows the order. `settled`: it is what a whole decode gave; `numbers` then go by the
    place among all frames that it gives. `strict`: frames whose decoding meets any error are
    lost, where the decoder would give what it has of them without a word.
    """

    contents: Contents
    num_frames: int
    timeline: Timeline
    numbers: dict[int, int] | None
    warnings: list[str]
    guard: Guard
    settled: bool = False
    strict: bool = False


def index(file: BinaryIO, guard: Guard | None = None) -> ClipIndex:
    """Count and time the clip's frames by demuxing; by decoding them all where that cannot do.

    Raises `ClipUnreadable` or `ClipTooLarge`.
    """
    guard = guard or Guard()
    held = contents(file, guard)
    places = [i for i, packet in enumerate(held.packets) if packet.shown]
    if held.ordered:
        places.sort(key=lambda i: held.packets[i].pts or 0)
    found = ClipIndex(
        contents=held,
        num_frames=len(places),
        timeline=_timeline(held, places),
        numbers={place: n for n, place in enumerate(places)} if held.ordered else None,
        warnings=held.warnings,
        guard=guard,
        strict=held.intra_only,  # where they cost no other frame
    )
    damaged = any(packet.corrupt for packet in held.packets)
    found = settle(file, found) if damaged else found
    guard.duration(found.timeline.end_time_s)
    return found


def _timeline(held: Contents, places: Sequence[int]) -> Timeline:
    pts = [held.packets[place].pts or 0 for place in places if place >= 0]
    rising = all(a < b for a, b in itertools.pairwise(pts))
    if not held.timed or not rising or len(pts) < len(places) or not places:
        return by_rate(len(places), held.rates[0])
    last = held.packets[places[-1]].duration
    return by_timestamps(pts, time_base=held.time_base, rates=held.rates, last_ticks=last)


def settle(file: BinaryIO, index: ClipIndex) -> ClipIndex:
    """The index of what a whole decode gives, without what damage spoiled.

    A frame that leans on a lost or broken one is broken too, up to the next key frame.
    Raises `ClipUnreadable` where nothing can be decoded.
    """
    settled = _settled(file, index, strict=index.strict)
    if settled.num_frames < index.num_frames / 2 and index.strict:
        settled = _settled(file, index, strict=False)
    if not settled.num_frames:
        raise ClipUnreadable("it holds no frame that can be decoded")
    lost = index.num_frames - settled.num_frames
    if lost <= 0:
        return settled
    warning = (
        f"{lost} of {index.num_frames} frames are lost: damaged, or leaning on frames that are "
        "damaged or missing"
    )
    return replace(settled, warnings=[*index.warnings, warning])


def _settled(file: BinaryIO, index: ClipIndex, *, strict: bool) -> ClipIndex:
    held = index.contents
    given: list[int] = []
    keys, broken = set(), set()
    decoder = Decoder(file, [True] * len(held.packets), index.guard, strict=strict)
    for place, frame in decoder.frames():
        given.append(place)
        if frame.key_frame:
            keys.add(place)
        if frame.is_corrupt:
            broken.add(place)
    broken |= decoder.failures | (_known_broken(held) - keys)
    spoiled = _spoiled(held, keys - broken, broken)
    kept = [n for n, place in enumerate(given) if place not in spoiled]
    if len(kept) < MIN_FRAMES:
        kept = [n for n, place in enumerate(given) if place not in broken] or [*range(len(given))]
    return replace(
        index,
        num_frames=len(kept),
        timeline=_timeline(held, [given[n] for n in kept]),
        numbers={given: number for number, given in enumerate(kept)},
        settled=True,
        strict=strict,
    )


# Decoders that say so where a frame's bytes are missing: they did in 27 trials of 27 with one
# packet of a transport stream gone. HEVC's said nothing in 14 of 14.
_SPEAKING_UP = frozenset({"h264", "mpeg1video", "mpeg2video"})


def _known_broken(held: Contents) -> set[int]:
    """Packets that the demuxer calls corrupt, but for those whose decoder would have said so.

    Where streams are joined, transport streams call the last packets before the join corrupt;
    if frames are missing there as well, they are.
    """
    broken, stretch = set(), list[int]()
    for place in [*range(len(held.packets)), None]:
        if place is None or held.packets[place].kind.starts:
            corrupt = {i for i in stretch if held.packets[i].corrupt}
            if corrupt and (held.codec not in _SPEAKING_UP or _frames_miss(held, stretch)):
                broken |= corrupt
            stretch = []
        if place is not None:
            stretch.append(place)
    return broken


def _frames_miss(held: Contents, stretch: Sequence[int]) -> bool:
    times = sorted({held.packets[i].pts or 0 for i in stretch})
    steps = [b - a for a, b in itertools.pairwise(times)]
    return bool(steps) and max(steps) > 1.5 * min(steps)


def _spoiled(held: Contents, keys: set[int], broken: set[int]) -> set[int]:
    """Packets whose frames are broken, or may lean on such.

    A broken one that none should lean on counts as any other: its neighbours may be broken too
    without a word (seen in H.264).
    """
    spoiled = set(broken)
    if held.intra_only:
        return spoiled
    spoiling, key_pts = False, None
    for place, packet in enumerate(held.packets):
        if place in keys:
            # Frames shown before this key, though decoded after it, may lean on older ones.
            key_pts = packet.pts if spoiling else None
            spoiling = False
        spoiling |= place in broken
        leading = key_pts is not None and packet.pts is not None and packet.pts < key_pts
        if spoiling or leading:
            spoiled.add(place)
    return spoiled
