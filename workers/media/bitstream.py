"""What a packet's own headers say of its frame, read from the bytes and never from flags.

Containers may lie: an mp4 without a table of sync samples calls every sample one. What is read
here decides which packets need no decoding, so it must be exact; of a codec that is not known
here, nothing is ever passed over.
"""

from collections.abc import Callable, Iterator

from workers.media import av1
from workers.media.kind import Kind

Look = Callable[[bytes], Kind]


def reader(codec: str, *, extradata: bytes | None, intra_only: bool) -> Look:
    """What reads packets of this codec; `codec` is FFmpeg's name, `extradata` the stream's."""
    if intra_only:
        return lambda _: Kind(starts=True)
    if codec in ("h264", "hevc"):
        kind_of = _h264 if codec == "h264" else _hevc
        # avcC and hvcC (ISO/IEC 14496-15) begin with version 1, and say how long lengths are.
        place = 4 if codec == "h264" else 21
        if extradata and len(extradata) > place and extradata[0] == 1:
            length_size = (extradata[place] & 3) + 1
            return lambda data: kind_of(_by_length(data, length_size))
        return lambda data: kind_of(_by_start_code(data))
    if codec == "av1":
        return av1.Reader(extradata)
    others: dict[str, Look] = {
        "mpeg1video": _mpeg2,
        "mpeg2video": _mpeg2,
        "mpeg4": _mpeg4,
        "vp8": _vp8,
        "vp9": _vp9,
    }
    return others.get(codec, lambda _: Kind())


def _by_length(data: bytes, length_size: int) -> Iterator[bytes]:
    """The first two bytes of each NAL unit."""
    at = 0
    while at + length_size < len(data):
        length = int.from_bytes(data[at : at + length_size])
        at += length_size
        yield data[at : at + 2]
        at += length


def _by_start_code(data: bytes) -> Iterator[bytes]:
    """The two bytes after each start code 00 00 01."""
    at = data.find(b"\0\0\1")
    while 0 <= at < len(data) - 4:
        yield data[at + 3 : at + 5]
        at = data.find(b"\0\0\1", at + 3)


def _h264(units: Iterator[bytes]) -> Kind:
    """ITU-T H.264, 7.4.1: nal_ref_idc and nal_unit_type. Field pairs count as one."""
    starts = sets = referenced = seen = False
    for unit in units:
        kind = unit[0] & 0x1F
        if 1 <= kind <= 5:
            seen = True
            referenced |= kind not in (1, 5) or unit[0] & 0x60 != 0
            starts |= kind == 5
        sets |= kind in (7, 8, 13, 15)
    return Kind(starts=starts, disposable=seen and not referenced, sets=sets)


def _hevc(units: Iterator[bytes]) -> Kind:
    """ITU-T H.265, 7.4.2.2: even types below 16 are sub-layer non-reference pictures."""
    starts = sets = referenced = seen = False
    layer = 0
    for unit in units:
        if len(unit) < 2:
            continue
        kind = unit[0] >> 1 & 0x3F
        if kind < 32:
            seen = True
            layer = (unit[1] & 7) - 1
            referenced |= kind > 15 or kind % 2 == 1
            starts |= 16 <= kind <= 21
        sets |= 32 <= kind <= 34
    return Kind(starts=starts, disposable=seen and not referenced, layer=layer, sets=sets)


def _mpeg2(data: bytes) -> Kind:
    """ISO/IEC 13818-2, 6.2.3: picture_coding_type, 3 for B; both of a pair of fields."""
    kinds = []
    at = data.find(b"\0\0\1\0")
    while 0 <= at < len(data) - 5:
        kinds.append(data[at + 5] >> 3 & 7)
        at = data.find(b"\0\0\1\0", at + 4)
    b_only = bool(kinds) and set(kinds) == {3}
    sets = b"\0\0\1\xb3" in data
    return Kind(starts=kinds[:1] == [1], disposable=b_only, sets=sets)


def _mpeg4(data: bytes) -> Kind:
    """ISO/IEC 14496-2, 6.2.5: vop_coding_type, 0 for I and 2 for B."""
    kinds = []
    at = data.find(b"\0\0\1\xb6")
    while 0 <= at < len(data) - 4:
        kinds.append(data[at + 4] >> 6)
        at = data.find(b"\0\0\1\xb6", at + 4)
    sets = any(bytes((0, 0, 1, code)) in data for code in range(0x20, 0x30))
    return Kind(starts=kinds == [0], disposable=kinds == [2], sets=sets)


def _vp8(data: bytes) -> Kind:
    """RFC 6386, 9.1: the first bit is 0 for a key frame, the fifth 1 for one that is shown."""
    return Kind(starts=data[0] & 1 == 0, hidden=data[0] & 0x10 == 0)


def _vp9(data: bytes) -> Kind:
    """The VP9 specification, 6.2: marker 2, profile, shown anew or not, 0 for a key frame.

    Frames that are no reference still change the probabilities that the next ones start from.
    """
    if data[0] >> 6 != 2 or data[0] & 0x30 == 0x30:
        return Kind()
    return Kind(starts=data[0] & 0x0C == 0)
