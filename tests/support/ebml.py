"""Matroska files edited by hand: elements that muxers do not write for us (RFC 8794, RFC 9559)."""

_SEGMENT, _TRACKS, _TRACK, _VIDEO = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae", b"\xe0"
_DISPLAY_WIDTH, _DISPLAY_HEIGHT = b"\x54\xb0", b"\x54\xba"


def with_display_size(data: bytes, width: int, height: int) -> bytes:
    """A file written with `live`, whose lengths need no mending, shown at this size."""
    at = data.index(_SEGMENT)
    head = at + len(_SEGMENT) + _octets(data[at + len(_SEGMENT)])
    added = _element(_DISPLAY_WIDTH, width.to_bytes(2)) + _element(
        _DISPLAY_HEIGHT, height.to_bytes(2)
    )
    return data[:head] + _with_child(data[head:], [_TRACKS, _TRACK, _VIDEO], added)


def _with_child(data: bytes, path: list[bytes], added: bytes) -> bytes:
    """The elements in `data`, those on the path made longer by `added`."""
    at = 0
    while at < len(data):
        name = data[at : at + _octets(data[at])]
        octets = _octets(data[at + len(name)])
        start = at + len(name) + octets
        length = int.from_bytes(data[start - octets : start]) & (1 << 7 * octets) - 1
        if name == path[0]:
            inner = data[start : start + length]
            inner = inner + added if len(path) == 1 else _with_child(inner, path[1:], added)
            return data[:at] + _element(name, inner) + data[start + length :]
        at = start + length
    raise ValueError(f"there is no element {path[0].hex()}")


def _octets(first: int) -> int:
    """How long a name or a length is, by its first byte."""
    return 9 - first.bit_length()


def _element(name: bytes, content: bytes) -> bytes:
    return name + (1 << 56 | len(content)).to_bytes(8) + content
