"""Which packets must be decoded for some frames to come out right: no more, and never fewer."""

from collections.abc import Sequence

from workers.media.counting import ClipIndex
from workers.media.demux import Contents


def needed_packets(index: ClipIndex, wanted: Sequence[int]) -> list[bool]:
    """Which packets must be decoded for the wanted frames to come out right."""
    packets = index.contents.packets
    if index.numbers is None or index.settled:
        return [True] * len(packets)
    numbers, asked = index.numbers, set(wanted)
    starts = _clean_starts(index.contents)
    top_layer = max((packet.kind.layer for packet in packets), default=0)
    needed = [False] * len(packets)
    leaned_on = False
    for place in reversed(range(len(packets))):
        kind = packets[place].kind
        if numbers.get(place) in asked:
            needed[place] = leaned_on = True
        else:
            disposable = kind.disposable and kind.layer == top_layer
            needed[place] = kind.sets or (leaned_on and not disposable)
        if place in starts:
            leaned_on = False
    return needed


def _clean_starts(held: Contents) -> set[int]:
    """Packets that nothing shown later leans across: key frames that no leading frame follows."""
    starts = set()
    earliest: int | None = None  # of the packets from here to the next start
    for place in reversed(range(len(held.packets))):
        packet = held.packets[place]
        if packet.pts is not None and (earliest is None or packet.pts < earliest):
            earliest = packet.pts
        if packet.kind.starts:
            if held.intra_only or packet.pts == earliest:
                starts.add(place)
            earliest = None
    return starts
