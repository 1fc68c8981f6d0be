"""Bits of a header, taken from the left, and the codes that standards write numbers in."""


class Unknown(Exception):
    """These bytes end early, or have syntax that is not supported here."""


class Bits:
    """The first `most` bytes of some data, as bits."""

    def __init__(self, data: bytes, most: int = 64) -> None:
        head = data[:most]
        self._value, self._left = int.from_bytes(head), 8 * len(head)

    def take(self, count: int = 1) -> int:
        """The next `count` bits as a number. Raises `Unknown` where they are not there."""
        self._left -= count
        if self._left < 0:
            raise Unknown
        return self._value >> self._left & (1 << count) - 1

    def golomb(self) -> int:
        """ue(v) of ITU-T H.264, 9.1: an Exp-Golomb code. Raises `Unknown` beyond 32 bits."""
        zeros = 0
        while not self.take():
            zeros += 1
            if zeros > 32:
                raise Unknown
        return (1 << zeros) - 1 + self.take(zeros)


def unescaped(unit: bytes) -> bytes:
    """A NAL unit without the bytes that keep start codes out of it (H.264 and H.265, 7.4.1)."""
    return unit.replace(b"\0\0\3", b"\0\0")
