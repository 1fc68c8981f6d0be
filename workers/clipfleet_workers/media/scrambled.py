"""Which share of scrambled packets means that a track is scrambled."""

_MANY = 8  # a damaged header is one packet, and broadcasters scramble seconds at a time


def is_scrambled(scrambled: int, of: int) -> bool:
    """Whether that many packets of a track, marked as scrambled, are no damage."""
    return scrambled >= _MANY or 1 < of <= 2 * scrambled
