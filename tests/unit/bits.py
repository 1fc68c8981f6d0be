"""Headers written bit by bit."""

Field = int | tuple[int, int]


def packed(*fields: Field) -> bytes:
    """Numbers as Exp-Golomb codes, (value, length) as they are; then a 1 and zeros to the byte."""
    text = ""
    for field in fields:
        if isinstance(field, tuple):
            text += f"{field[0]:0{field[1]}b}" if field[1] else ""
        else:
            code = f"{field + 1:b}"
            text += "0" * (len(code) - 1) + code
    text += "1"
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))


def by_length(*units: bytes) -> bytes:
    """NAL units as in mp4."""
    return b"".join(len(unit).to_bytes(4) + unit for unit in units)


def by_start_code(*units: bytes) -> bytes:
    """NAL units as in transport streams."""
    return b"".join(b"\0\0\1" + unit for unit in units)
