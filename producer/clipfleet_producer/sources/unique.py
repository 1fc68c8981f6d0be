"""Each clip once, and in another order where that is asked for, at any number of clips."""

import hashlib
from collections.abc import Iterable, Iterator

from clipfleet.records import ManifestLine
from clipfleet_producer.sources.spool import open_spool
from clipfleet_producer.sources.uris import with_address


def unique(lines: Iterable[ManifestLine], *, shuffle: int | None = None) -> Iterator[ManifestLine]:
    """The lines, of each clip the first alone.

    In their order as they come; with a `shuffle` seed in one that depends on the seed and the set
    of clips alone, which begins once the last line has been read. What is remembered is on disk:
    about 30 bytes a clip, or its line's length and 30 more. Raises `SpoolFull`.
    """
    return _in_order(lines) if shuffle is None else _shuffled(lines, shuffle)


def _in_order(lines: Iterable[ManifestLine]) -> Iterator[ManifestLine]:
    with open_spool("seen (clip BLOB PRIMARY KEY) WITHOUT ROWID") as db:
        see = db.cursor()
        for line in lines:
            clip = bytes.fromhex(line.clip_uuid.replace("-", ""))
            if see.execute("INSERT OR IGNORE INTO seen VALUES (?)", (clip,)).rowcount:
                yield line


def _shuffled(lines: Iterable[ManifestLine], seed: int) -> Iterator[ManifestLine]:
    """The lines by a hash of seed and clip.

    Written as they come and sorted once: SQLite merges sorted runs on disk, where an index would be
    filled at random places, page after page. Lines of one clip are side by side, the first
    first.
    """
    key = hashlib.sha256(str(seed).encode()).digest()
    with open_spool("lines (place INTEGER PRIMARY KEY, rank BLOB, line TEXT, address TEXT)") as db:
        db.executemany(
            "INSERT INTO lines (rank, line, address) VALUES (?, ?, ?)",
            ((_rank(line, key), *_written(line)) for line in lines),
        )
        before = None
        wanted = "SELECT rank, line, address FROM lines ORDER BY rank, place"
        for rank, text, address in db.execute(wanted):
            if rank != before:
                line = ManifestLine.model_validate_json(text)
                yield with_address(line, address) if address else line
            before = rank


def _written(line: ManifestLine) -> tuple[str, str | None]:
    """The line as JSON, and its presigned address, which the JSON leaves out."""
    address = line.address.get_secret_value() if line.address else None
    return line.model_dump_json(exclude_defaults=True), address


def _rank(line: ManifestLine, key: bytes) -> bytes:
    return hashlib.blake2b(line.clip_uuid.encode(), key=key, digest_size=16).digest()
