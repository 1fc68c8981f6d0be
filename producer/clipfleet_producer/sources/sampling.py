"""Which of the clips found are taken: one partition of so many, the first so many."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from clipfleet.errors import UsageError
from clipfleet.records import ManifestLine

_MOST_PARTITIONS = 1_000_000


def read_partition(text: str) -> tuple[int, int]:
    """(i, n) of "i/n": the i-th of n partitions, counted from 1. Raises `UsageError`."""
    found = re.fullmatch(r"([0-9]{1,7})/([0-9]{1,7})", text.strip())
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= count <= _MOST_PARTITIONS:
        raise UsageError(
            f"--partition {text}: write it as i/n, such as 1/8 to 8/8; "
            f"n is at most {_MOST_PARTITIONS:,}"
        )
    return number, count


def sample(
    lines: Iterable[ManifestLine],
    *,
    limit: int | None = None,
    partition: tuple[int, int] | None = None,
) -> Iterator[ManifestLine]:
    """The clips of the i-th of n partitions, for `partition` (i, n); of these the first `limit`.

    A clip's partition depends on its UUID alone, whatever else is named and in which order: the n
    partitions together are all clips, each once.
    """
    if partition is not None:
        number, count = partition
        lines = (line for line in lines if int(line.clip_uuid[:8], 16) % count == number - 1)
    return islice(lines, limit)
