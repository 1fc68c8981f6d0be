"""An mp4's index is looked at within bounds, whatever it lists."""

import io
from itertools import chain, repeat
from types import SimpleNamespace
from typing import Any

from clipfleet_workers.media import cut_short

FILE = bytes(100)
WITHIN, BEYOND = SimpleNamespace(pos=90, size=10), SimpleNamespace(pos=91, size=10)


def warnings(entries: Any) -> list[str]:
    stream: Any = SimpleNamespace(index_entries=entries)
    return cut_short.warnings(io.BytesIO(FILE), "mov,mp4,m4a,3gp,3g2,mj2", stream, most=1000)


def test_an_index_without_end_is_no_trouble() -> None:
    assert warnings(repeat(WITHIN)) == []


def test_the_first_sample_beyond_the_end_is_enough() -> None:
    (warning,) = warnings(chain([WITHIN, BEYOND], repeat(WITHIN)))

    assert "the file is cut short" in warning
