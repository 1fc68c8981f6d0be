"""Transport streams whose programs' maps say other things (ISO/IEC 13818-1, 2.4.4.8)."""

TS_BYTES = 188


def pid_of(data: bytes, at: int) -> int:
    """The PID of the packet that begins there."""
    return int.from_bytes(data[at + 1 : at + 3]) & 0x1FFF


def with_stream_type(data: bytes, old: int, new: int, *, descriptor: bytes = b"") -> bytes:
    """A stream whose maps call a stream of one type another, and add a descriptor to it."""
    out = bytearray(data)
    for at in range(0, len(data), TS_BYTES):
        section = at + 5
        if data[at + 1] & 0x40 and data[section] == 2 and pid_of(data, at):
            changed = _changed(data[section : at + TS_BYTES], old, new, descriptor)
            out[section : at + TS_BYTES] = changed.ljust(at + TS_BYTES - section, b"\xff")
    return bytes(out)


def _changed(section: bytes, old: int, new: int, descriptor: bytes) -> bytes:
    """The section with its length and its check sum put right."""
    end = 3 + (int.from_bytes(section[1:3]) & 0xFFF) - 4
    at = 12 + (int.from_bytes(section[10:12]) & 0xFFF)
    body = section[3:at]
    while at < end:
        length = int.from_bytes(section[at + 3 : at + 5]) & 0xFFF
        kind, pid, said = section[at], section[at + 1 : at + 3], section[at + 5 : at + 5 + length]
        if kind == old:
            kind, said = new, said + descriptor
        body += bytes([kind]) + pid + (0xF000 | len(said)).to_bytes(2) + said
        at += 5 + length
    whole = section[:1] + (0xB000 | len(body) + 4).to_bytes(2) + body
    return whole + _crc(whole).to_bytes(4)


def _crc(data: bytes) -> int:
    """Annex A."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc
