"""Which of the clips found are taken: a part of so many, the first so many."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from clipfleet.errors import UsageError
from clipfleet.records import ManifestLine

_MOST_PARTS = 1_000_000


def read_part(text: str) -> tuple[int, int]:
    """(i, n) of "i/n": part i of n, counted from 1. Raises `UsageError`."""
    found = re.fullmatch(r"([0-9]{1,7})/([0-9]{1,7})", text.strip())
    part, parts = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= part <= parts <= _MOST_PARTS:
        raise UsageError(
            f"--shard {text}: write it as i/n, such as 1/8 to 8/8; n is at most {_MOST_PARTS:,}"
        )
    return part, parts


def sample(
    lines: Iterable[ManifestLine], *, limit: int | None = None, shard: tuple[int, int] | None = None
) -> Iterator[ManifestLine]:
    """The clips that fall into part i of n, for `shard` (i, n); of these the first `limit`.

    A clip's part hangs on its UUID alone, whatever else is named and in which order: the n parts
    together are all clips, each once.
    """
    if shard is not None:
        part, parts = shard
        lines = (line for line in lines if int(line.clip_uuid[:8], 16) % parts == part - 1)
    return islice(lines, limit)
