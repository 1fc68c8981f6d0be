"""Packets of GIF: whether they contain a picture."""

from clipfleet_workers.media.kind import Kind

_EXTENSION, _IMAGE = 0x21, 0x2C
_COLOURS, _HEADER_BYTES = 0x80, 13


def gif(data: bytes) -> Kind:
    """GIF89a, 17 to 26: blocks up to the first image; FFmpeg makes a packet of the trailer too."""
    at = 0
    if data.startswith(b"GIF8") and len(data) >= _HEADER_BYTES:
        colours = data[10]
        at = _HEADER_BYTES + (3 << (colours & 7) + 1 if colours & _COLOURS else 0)
    while at + 1 < len(data) and data[at] == _EXTENSION:
        at += 2
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    if at < len(data) and data[at] == _IMAGE:
        return Kind()
    return Kind(hidden=True, empty=True)
