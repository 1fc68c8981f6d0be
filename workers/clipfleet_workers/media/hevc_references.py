"""Which pictures an HEVC picture references: short-term reference picture sets (H.265, 7.3.7)."""

from typing import NamedTuple

from clipfleet_workers.media.bits import Bits, Unknown

References = list[int]  # distances in display order: the nearest before first, then those after
_MOST = 64  # sets of a sequence (7.4.3.2.1), and far more than pictures in one


class Sets(NamedTuple):
    """What a sequence's parameters say of references."""

    sets: list[References]
    long_term: bool


def read_sets(bits: Bits, sub_layers: int) -> Sets:
    """The rest of a sequence's parameters, from sps_sub_layer_ordering_info_present_flag on."""
    for _ in range(sub_layers + 1 if bits.take() else 1):
        _skip(bits, 3)
    _skip(bits, 6)
    if bits.take() and bits.take():
        _skip_scaling_lists(bits)
    bits.take(2)
    if bits.take():
        bits.take(8)
        _skip(bits, 2)
        bits.take()
    count = bits.golomb()
    if count > _MOST:
        raise Unknown
    sets: list[References] = []
    for _ in range(count):
        sets.append(_read_set(bits, sets, of_slice=False))
    return Sets(sets=sets, long_term=bool(bits.take()))


def of_slice(bits: Bits, known: Sets) -> References:
    """A slice's own set, from short_term_ref_pic_set_sps_flag on (7.3.6.1)."""
    if not bits.take():
        return _read_set(bits, known.sets, of_slice=True)
    if not known.sets:
        raise Unknown
    place = bits.take((len(known.sets) - 1).bit_length())
    if place >= len(known.sets):
        raise Unknown
    return known.sets[place]


def _read_set(bits: Bits, before: list[References], *, of_slice: bool) -> References:
    if before and bits.take():
        back = bits.golomb() + 1 if of_slice else 1
        if back > len(before):
            raise Unknown
        negative = bits.take()
        shift = (bits.golomb() + 1) * (-1 if negative else 1)
        found = []
        for distance in [*before[-back], 0]:
            used = bits.take()
            if used or bits.take():
                found.append(distance + shift)
    else:
        counts = bits.golomb(), bits.golomb()
        if max(counts) > _MOST:
            raise Unknown
        found = []
        for count, sign in zip(counts, (-1, 1), strict=True):
            distance = 0
            for _ in range(count):
                distance += sign * (bits.golomb() + 1)
                bits.take()
                found.append(distance)
    return sorted(d for d in found if d < 0)[::-1] + sorted(d for d in found if d > 0)


def _skip(bits: Bits, count: int) -> None:
    for _ in range(count):
        bits.golomb()


def _skip_scaling_lists(bits: Bits) -> None:
    """7.3.4"""
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            if bits.take():
                _skip(bits, min(64, 1 << (4 + 2 * size)) + (size > 1))
            else:
                bits.golomb()
