"""Streams that differ in all that their codec has, cut and joined, decoded by halves.

A few hundred of those that `benchmarks/fuzz` makes by the ten thousand. A clip with no warning has
the frames of a full decode; one with a warning has no others.
"""

import functools

import pytest

from tests.support.fuzz.encodings import ENCODINGS
from tests.support.fuzz.exact import FAULTS, Verdict
from tests.support.fuzz.splices import KINDS, Splicer

SEED, SPLICES = 1, 600


@functools.cache
def splicer() -> Splicer:
    return Splicer(SEED)


@functools.cache
def verdicts(kind: str) -> dict[int, Verdict]:
    """What comes of the clips of a kind, by their numbers."""
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
