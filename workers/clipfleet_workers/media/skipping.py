"""Which packets must be decoded for some frames to come out right: no more, and never fewer."""

from collections.abc import Sequence

from clipfleet_workers.media.counting import ClipIndex
from clipfleet_workers.media.demux import Contents, Packet


def needed_packets(index: ClipIndex, wanted: Sequence[int]) -> list[bool]:
    """Which packets must be decoded for the wanted frames to come out right.

    What changes parameters is always decoded, and so is what it references: whatever is wanted
    finds the decoder in the state that a full decode would leave it in.
    """
    packets = index.contents.packets
    if index.numbers is None or index.settled or not index.contents.knows_starts:
        return [True] * len(packets)
    numbers, asked = index.numbers, set(wanted)
    starts = _clean_starts(index.contents)
    top_layer = max((packet.kind.layer for packet in packets), default=0)
    needed = [False] * len(packets)
    referenced = False
    for places in reversed(_pictures(packets)):
        kinds = [packets[place].kind for place in places]
        disposable = all(kind.disposable and kind.layer == top_layer for kind in kinds)
        sets = any(kind.sets for kind in kinds)
        if kinds[0].empty:
            here = sets
        elif numbers.get(places[0]) in asked or sets:
            referenced = here = True
        else:
            here = referenced and not disposable
        for place in places:
            needed[place] = here
        if places[0] in starts:
            referenced = False
    return needed


def _pictures(packets: Sequence[Packet]) -> list[list[int]]:
    """The positions of each picture's packets: one, or those of its two fields."""
    pictures: list[list[int]] = []
    for place, packet in enumerate(packets):
        if packet.kind.joins and pictures:
            pictures[-1].append(place)
        else:
            pictures.append([place])
    return pictures


def _clean_starts(held: Contents) -> set[int]:
    """Packets that no reference reaches across: key frames that no leading frame follows."""
    starts = set()
    earliest: int | None = None  # of the packets from here to the next start
    for place in reversed(range(len(held.packets))):
        packet = held.packets[place]
        pts = None if packet.kind.empty else packet.pts
        if pts is not None and (earliest is None or pts < earliest):
            earliest = pts
        if packet.kind.starts:
            if held.intra_only or packet.pts == earliest:
                starts.add(place)
            earliest = None
    return starts
