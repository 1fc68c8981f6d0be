"""Streams that differ in all that their codec has, cut and joined, decoded by halves.

A few hundred of those that `benchmarks/fuzz` makes by the ten thousand. A clip with no warning has
the frames of a full decode; one with a warning has no others.
"""

import functools
import random
from dataclasses import replace

import pytest

from tests.support.fuzz.encodings import ENCODINGS
from tests.support.fuzz.exact import FAULTS, Verdict, full_decode
from tests.support.fuzz.joining import alone, write
from tests.support.fuzz.splices import KINDS, Splicer

SEED, SPLICES = 1, 600


@functools.cache
def splicer() -> Splicer:
    return Splicer(SEED)


@functools.cache
def verdicts(kind: str) -> dict[int, Verdict]:
    """How the clips of a kind were cut, by their numbers."""
    numbers = [number for number in range(SPLICES) if KINDS[number % len(KINDS)] == kind]
    return {number: splicer().make(number).check() for number in numbers}


@pytest.mark.parametrize("kind", ENCODINGS)
@pytest.mark.parametrize("sort", FAULTS)
def test_a_clip_without_a_warning_is_a_full_decode(kind: str, sort: str) -> None:
    """In its pixels, in their order, in how many there are; and it is taken where any are."""
    bad = {number: v.fault for number, v in verdicts(kind).items() if v.fault.startswith(sort)}
    shown = "\n".join(f"{number}: {fault}" for number, fault in bad.items())
    assert not bad, f"of {len(verdicts(kind))}, seed {SEED}:\n{shown}"


@pytest.mark.parametrize("kind", ENCODINGS)
def test_most_clips_are_exact(kind: str) -> None:
    """Else the others would show nothing."""
    ends = [verdict.end for verdict in verdicts(kind).values()]
    assert ends.count("exact") >= len(ends) / 3


def test_a_clip_follows_from_its_number_alone() -> None:
    again = Splicer(SEED)
    assert [again.make(n) for n in (7, 8)] == [splicer().make(n) for n in (7, 8)]
    assert again.make(7).data != again.make(7 + len(KINDS)).data


@pytest.mark.parametrize("kind", ["MPEG-1", "MPEG-2", "MPEG-4", "motion JPEG"])
def test_tables_that_are_written_into_a_stream_take_hold(kind: str) -> None:
    """As many frames, with other pixels: what no encoder here can be told is told all the same."""
    encoding = replace(ENCODINGS[kind], edit=lambda part, _: part)
    container, changed = encoding.containers[0], 0
    for number in range(12):
        plain = encoding.part(random.Random(number))
        edited = ENCODINGS[kind].edit(plain, random.Random(number))
        before, after = (full_decode(write(alone(part), container)) for part in (plain, edited))
        assert len(after) == len(before) == len(plain.chunks)
        changed += before != after
    assert changed
