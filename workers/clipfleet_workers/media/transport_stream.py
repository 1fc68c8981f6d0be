"""Video tracks by a transport stream's own headers (ISO/IEC 13818-1), from all of its packets."""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from clipfleet_workers.media.dolby_vision import DolbyVision
from clipfleet_workers.media.scrambled import is_scrambled
from clipfleet_workers.media.track_header import TrackHeader

_SYNC = 0x47
# Packets alone, after a 4-byte timestamp (M2TS), and before 16 bytes of error correction.
_STRIDES = (188, 192, 204)
_LEAST_PACKETS = 4
_AT_ONCE = 16_384  # packets
_PIDS = 1 << 13
_MOST_SEEN = 10_000
_ASSOCIATIONS, _MAP = 0, 2  # table_id of a PAT and a PMT

# stream_type, 13818-1 table 2-34, and registered ones: MPEG-1, -2, -4, H.264, HEVC, VVC, AVS, VC-1.
_VIDEO = frozenset({0x01, 0x02, 0x10, 0x1B, 0x24, 0x33, 0x42, 0xD2, 0xD4, 0xD1, 0xEA})
_SAMPLE_AES = 0xDB  # H.264 of which samples are encrypted: Apple's MPEG-2 stream encryption format
_PRIVATE, _REGISTRATION, _DOLBY_VISION = 0x06, 0x05, 0xB0
_VIDEO_NAMES = (b"HEVC", b"AV01", b"VVC ", b"VC-1", b"drac")

Packets = NDArray[np.uint8]


def tracks(file: BinaryIO) -> list[TrackHeader]:
    """The video tracks; `number` is their PID. Empty if the file is no transport stream."""
    scan = _Scan()
    for packets in _packets(file):
        scan.look(packets)
    return scan.tracks()


def _packets(file: BinaryIO) -> Iterator[Packets]:
    """The file's packets, 188 bytes each, in batches; none if it has none."""
    file.seek(0)
    head = np.frombuffer(file.read(_STRIDES[-1] * 64), np.uint8)
    for stride in _STRIDES:
        rows = head[: len(head) // stride * stride].reshape(-1, stride)
        if len(rows) < _LEAST_PACKETS:
            return
        offset = int((rows == _SYNC).sum(axis=0).argmax())
        if (rows[:, offset] == _SYNC).mean() > 0.9:
            break
    else:
        return
    file.seek(offset)
    while len(data := file.read(stride * _AT_ONCE)) >= 188:
        whole = np.frombuffer(data, np.uint8)
        if len(whole) % stride:  # the last one may lack what follows it
            whole = np.pad(whole, (0, -len(whole) % stride))
        rows = whole.reshape(-1, stride)[:, :188]
        yield rows[rows[:, 0] == _SYNC]


class _Scan:
    """The tables and counts of all packets."""

    def __init__(self) -> None:
        self._maps: set[int] = set()  # PIDs of programs' maps
        self._sections: dict[int, bytes] = {}  # begun, by PID
        self._seen: set[bytes] = set()  # packets that begin sections: they come again and again
        self._kinds: dict[int, int] = {}  # stream_type, by PID
        self._dolby_vision: dict[int, DolbyVision] = {}
        self._dependent: set[int] = set()
        # Packets and those scrambled, and PES packets and those scrambled, by PID.
        self._counts = np.zeros((4, _PIDS), np.int64)

    def look(self, packets: Packets) -> None:
        """Count these packets, and read the tables among them."""
        head = packets[:, 1:4].astype(np.int64)
        pids = (head[:, 0] & 0x1F) << 8 | head[:, 1]
        usable = (head[:, 0] & 0x80 == 0) & (head[:, 2] & 0x10 != 0)  # no error; some payload
        scrambled = head[:, 2] & 0x80 != 0
        self._add(0, pids[usable])
        self._add(1, pids[usable & scrambled])
        starts = usable & ~scrambled & (head[:, 0] & 0x40 != 0)
        self._count_pes(packets[starts], pids[starts])
        tables = np.flatnonzero(usable & ~scrambled & np.isin(pids, [0, *self._maps]))
        for place in tables:
            self._read_table(int(pids[place]), packets[place].tobytes())
        if not self._kinds and self._maps:  # the first map came after its PAT
            for place in np.flatnonzero(usable & ~scrambled & np.isin(pids, [*self._maps])):
                self._read_table(int(pids[place]), packets[place].tobytes())

    def tracks(self) -> list[TrackHeader]:
        """The video tracks found."""
        return [
            TrackHeader(
                number=pid,
                encryption=self._encryption(pid),
                dolby_vision=self._dolby_vision.get(pid),
                auxiliary=pid in self._dependent,
            )
            for pid in self._kinds
        ]

    def _encryption(self, pid: int) -> str:
        packets, scrambled, pes, scrambled_pes = (int(n) for n in self._counts[:, pid])
        if self._kinds[pid] == _SAMPLE_AES:
            return "HLS Sample-AES"
        if is_scrambled(scrambled, packets):
            return "scrambled transport stream"
        return "scrambled PES packets" if is_scrambled(scrambled_pes, pes) else ""

    def _add(self, row: int, pids: NDArray[np.int64]) -> None:
        self._counts[row] += np.bincount(pids, minlength=_PIDS)

    def _count_pes(self, packets: Packets, pids: NDArray[np.int64]) -> None:
        """PES headers of video (2.4.3.7): two bits 10, then PES_scrambling_control."""
        adapted = packets[:, 3] & 0x20 != 0
        at = 4 + np.where(adapted, packets[:, 4].astype(np.int64) + 1, 0)
        within = at <= 188 - 7
        packets, pids, at = packets[within], pids[within], at[within]
        places = np.arange(len(packets))
        start = [packets[places, at + i] for i in range(4)]
        flags = packets[places, at + 6]
        video = (start[0] == 0) & (start[1] == 0) & (start[2] == 1) & (flags & 0xC0 == 0x80)
        video &= (start[3] & 0xF0 == 0xE0) | (start[3] == 0xFD)
        self._add(2, pids[video])
        self._add(3, pids[video & (flags & 0x30 != 0)])

    def _read_table(self, pid: int, packet: bytes) -> None:
        """Add a packet to its section, and read it once whole (2.4.4)."""
        at = 5 + packet[4] if packet[3] & 0x20 else 4
        payload = packet[at:]
        if packet[1] & 0x40:
            if not payload or packet[4:] in self._seen:
                return
            if len(self._seen) < _MOST_SEEN:
                self._seen.add(packet[4:])
            self._sections[pid] = payload[1 + payload[0] :]
        elif pid in self._sections:
            self._sections[pid] += payload
        section = self._sections.get(pid, b"")
        if len(section) < 3:
            return
        end = 3 + (int.from_bytes(section[1:3]) & 0xFFF)
        if len(section) < end:
            return
        del self._sections[pid]
        body = section[8 : end - 4]
        if section[0] == _ASSOCIATIONS and pid == 0:
            entries = [body[i : i + 4] for i in range(0, len(body) - 3, 4)]
            self._maps |= {
                int.from_bytes(entry[2:]) & 0x1FFF for entry in entries if any(entry[:2])
            }
        elif section[0] == _MAP and pid in self._maps:
            self._read_map(body)

    def _read_map(self, body: bytes) -> None:
        at = 4 + (int.from_bytes(body[2:4]) & 0xFFF)
        while at + 5 <= len(body):
            kind, pid = body[at], int.from_bytes(body[at + 1 : at + 3]) & 0x1FFF
            length = int.from_bytes(body[at + 3 : at + 5]) & 0xFFF
            descriptors = dict(_descriptors(body[at + 5 : at + 5 + length]))
            at += 5 + length
            named = descriptors.get(_REGISTRATION, b"")[:4] in _VIDEO_NAMES
            if kind in _VIDEO or kind == _SAMPLE_AES or (kind == _PRIVATE and named):
                if self._kinds.get(pid) != _SAMPLE_AES:  # a clear beginning
                    self._kinds[pid] = kind
                record = descriptors.get(_DOLBY_VISION, b"")
                if len(record) >= 4 and not record[3] & 1:  # no base layer in it
                    self._dependent.add(pid)
                elif found := DolbyVision.of(record):
                    self._dolby_vision[pid] = found


def _descriptors(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 2 <= len(data):
        yield data[at], data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
