"""Clips as those who encrypt them leave them, by what their containers say of it."""

import struct
import uuid

from tests.support import clips, ebml, mp4_boxes
from tests.support.mp4_boxes import box
from tests.support.program_maps import TS_BYTES, pid_of


def mp4_with_entry(
    data: bytes, scheme: str, *, name: str = "encv", protected: bool = True, twice: bool = False
) -> bytes:
    """An mp4 whose sample entry is `name`, of that scheme (ISO/IEC 23001-7)."""
    return mp4_boxes.with_entry(
        data, name=name, added=_protection(scheme, protected=protected), twice=twice
    )


def _protection(scheme: str, *, protected: bool) -> bytes:
    defaults = bytes(6) + bytes([protected, 8]) + bytes(range(16))
    return box(
        "sinf",
        box("frma", b"avc1")
        + box("schm", bytes(4) + scheme.encode() + struct.pack(">I", 1 << 16))
        + box("schi", box("tenc", defaults)),
    )


def last_fragment_grouped(data: bytes) -> bytes:
    """A fragmented mp4 whose last fragment says for itself that its samples are encrypted."""
    start, end = [(start, end) for name, start, end in clips.boxes(data) if name == "moof"][-1]
    groups = box("sgpd", bytes([1, 0, 0, 0]) + b"seig" + struct.pack(">II", 20, 0))
    moof = mp4_boxes.edited(data[start:end], "moof/traf", lambda old: old + groups)
    return data[:start] + moof + data[end:]


def with_key_systems(data: bytes) -> bytes:
    """An mp4 that says where to ask for keys, as is left in decrypted ones."""
    asked = box("pssh", bytes(4) + bytes(range(16)) + bytes(4))
    return mp4_boxes.edited(data, "moov", lambda old: old + asked)


def sound_encrypted(data: bytes) -> bytes:
    """An mp4 whose sound alone is encrypted, by its entry's name."""
    return data.replace(b"mp4a", b"enca", 1)


def matroska_encoded(data: bytes, *, kind: int, algorithm: int | None = None) -> bytes:
    """A file written with `live`, its track of one encoding: 0 is compression, 1 encryption."""
    inside = ebml.element("5033", kind)
    if kind == 0:
        inside += ebml.element("5034", ebml.element("4254", 3) + ebml.element("4255", b""))
    elif algorithm is None:
        inside += ebml.element("5035", ebml.element("47e2", b"key"))
    else:
        inside += ebml.element("5035", ebml.element("47e1", algorithm))
    return ebml.in_track(data, ebml.element("6d80", ebml.element("6240", inside)))


def transport(data: bytes, pid: int, *, share: float = 1.0, most: int | None = None) -> bytes:
    """A transport stream, the last `share` of a PID's packets marked as scrambled, and so."""
    places = [at for at in range(0, len(data), TS_BYTES) if pid_of(data, at) == pid]
    out = bytearray(data)
    chosen = places[len(places) - round(len(places) * share) :][:most]
    for at in chosen:
        out[at + 3] |= 0x80
        payload = at + 4 + (1 + out[at + 4] if out[at + 3] & 0x20 else 0)
        for i in range(payload, at + TS_BYTES):
            out[i] ^= 0x5A
    return bytes(out)


def transport_pes(data: bytes) -> bytes:
    """A transport stream of which PES headers alone say that video is scrambled."""
    return _pes_marked(data)


def program(data: bytes) -> bytes:
    """A program stream with every other packet of video marked, as a disc has it with CSS."""
    return _pes_marked(data, every=2)


def _pes_marked(data: bytes, every: int = 1) -> bytes:
    out, at, count = bytearray(data), data.find(b"\0\0\1\xe0"), 0
    while at >= 0:
        if out[at + 6] & 0xC0 == 0x80:
            out[at + 6] |= 0x10 if count % every == 0 else 0
            count += 1
        at = data.find(b"\0\0\1\xe0", at + 9)
    return bytes(out)


def asf_with_object(data: bytes, name: str) -> bytes:
    """An ASF file with one more object in its header."""
    added = uuid.UUID(name).bytes_le + (24 + 16).to_bytes(8, "little") + bytes(16)
    size, count = (int.from_bytes(data[a:b], "little") for a, b in ((16, 24), (24, 28)))
    head = data[:16] + (size + len(added)).to_bytes(8, "little")
    head += (count + 1).to_bytes(4, "little") + data[28:30]
    return head + data[30:size] + added + data[size:]


def asf_flagged(data: bytes, *, sound: bool = False) -> bytes:
    """An ASF file whose stream of video, or of sound, is flagged as encrypted."""
    kind = (
        "F8699E40-5B4D-11CF-A8FD-00805F5C442B"
        if sound
        else ("BC19EFC0-5B4D-11CF-A8FD-00805F5C442B")
    )
    at = data.index(uuid.UUID(kind).bytes_le) + 49
    return data[:at] + bytes([data[at] | 0x80]) + data[at + 1 :]


def flv(data: bytes) -> bytes:
    """A Flash Video whose video tags are filtered."""
    out, at = bytearray(data), 13
    while at + 11 < len(out):
        if out[at] == 9:
            out[at] |= 0x20
        at += 15 + int.from_bytes(out[at + 1 : at + 4])
    return bytes(out)
