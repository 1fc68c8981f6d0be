"""Matroska files edited by hand: elements that muxers do not write for us (RFC 8794, RFC 9559)."""

_SEGMENT, _TRACKS, _TRACK, _VIDEO = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae", b"\xe0"


def with_display_size(data: bytes, width: int, height: int) -> bytes:
    """A file written with `live`, whose lengths need no mending, shown at this size."""
    return in_track(
        data,
        element("54b0", width.to_bytes(2)) + element("54ba", height.to_bytes(2)),
        video=True,
    )


def in_track(data: bytes, added: bytes, *, video: bool = False) -> bytes:
    """A file written with `live`, more elements in its first track, or that's `video`."""
    at = data.index(_SEGMENT)
    head = at + len(_SEGMENT) + _octets(data[at + len(_SEGMENT)])
    path = [_TRACKS, _TRACK, _VIDEO] if video else [_TRACKS, _TRACK]
    return data[:head] + _with_child(data[head:], path, added)


def element(name: str, content: bytes | int) -> bytes:
    """An element, its name in hexadecimal digits, of bytes or of a number."""
    return _element(
        bytes.fromhex(name), content.to_bytes(8) if isinstance(content, int) else content
    )


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
