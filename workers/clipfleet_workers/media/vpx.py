"""Packets of VP8 and VP9: their frames' first bits."""

from clipfleet_workers.media.kind import Kind


def vp8(data: bytes) -> Kind:
    """RFC 6386, 9.1: the first bit is 0 for a key frame, the fifth 1 for one that is shown."""
    return Kind(starts=data[0] & 1 == 0, hidden=data[0] & 0x10 == 0)


def vp9(data: bytes) -> Kind:
    """The VP9 specification, 6.2 and annex B: a frame, or a superframe of several.

    Frames that are no reference still change the probabilities that the next ones start from.
    """
    heads = [_head(frame) for frame in _frames(data)]
    if None in heads or not heads:
        return Kind(sets=True)
    shown = sum(head[1] for head in heads if head)
    starts = heads[0] is not None and heads[0][0]
    return Kind(starts=starts, hidden=shown == 0, unsure=shown > 1)


def _head(frame: bytes) -> tuple[bool, bool] | None:
    """Whether it is a key frame, and whether it is shown; None if it is no frame."""
    if not frame or frame[0] >> 6 != 2:
        return None
    bits = frame[0] << 8 | (frame[1] if len(frame) > 1 else 0)
    at = 11 if frame[0] & 0x30 != 0x30 else 10  # profile 3 has a bit more
    if bits >> at & 1:
        return False, True  # an older frame shown now
    return not bits >> at - 1 & 1, bool(bits >> at - 2 & 1)


def _frames(data: bytes) -> list[bytes]:
    """The first two bytes of each frame."""
    last = data[-1]
    count, octets = (last & 7) + 1, (last >> 3 & 3) + 1
    start = len(data) - 2 - count * octets
    if last & 0xE0 != 0xC0 or start < 0 or data[start] != last:
        return [data[:2]]
    found, at = [], 0
    for i in range(count):
        place = start + 1 + i * octets
        found.append(data[at : at + 2])
        at += int.from_bytes(data[place : place + octets], "little")
    return found
