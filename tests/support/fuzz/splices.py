"""Streams that differ in all that their codec has, cut and joined: is every frame still exact?

`python -m tests.support.fuzz.splices NUMBER [--seed SEED] [--save FILE]` says all about one.
"""

import argparse
import contextlib
import random
from dataclasses import dataclass, replace
from pathlib import Path

import av

from tests.support.fuzz.encodings import ENCODINGS
from tests.support.fuzz.exact import Verdict, check
from tests.support.fuzz.joining import SAYS_ANEW, alone, join, write
from tests.support.fuzz.parts import Part

ALONE = 0.1  # of clips are a part alone, whole: what clips are like that nobody cut
CAREFUL = 0.6  # of the others are cut at key frames, and say what holds
TWINS, ALIKE = 0.4, 0.4  # have parts of few differences; of one size and format
POOL = 10  # parts of a kind, from which clips are made
TRIALS = 50  # until a container takes what was drawn
RENEWED = 4000  # clips, after which the parts are others

# Those by which most of the world's video is coded come three times as often.
OFTEN = ("H.264", "HEVC", "MPEG-2", "MPEG-4", "VP9", "AV1", "motion JPEG", "raw with a palette")
KINDS = [*ENCODINGS, *OFTEN, *OFTEN]


@dataclass(frozen=True, kw_only=True)
class Splice:
    """A clip, how it came about, and what is asked of it."""

    kind: str
    data: bytes
    how: str
    whole: bool  # it was cut with care
    share: float
    span: tuple[float, float]

    def check(self) -> Verdict:
        """How it was cut. A damaged stream may give fewer frames than it states.

        Damage that no wanted frame references is not seen.
        """
        found = check(self.data, self.share, self.span)
        if self.whole or not found.fault.startswith("count"):
            return found
        return replace(found, fault="", unseen=True)


class Splicer:
    """Makes clips by their number. Parts are kept, so that few are encoded."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._pool: dict[tuple[str, int, int], Part] = {}

    def make(self, number: int) -> Splice:
        """The clip of this number."""
        kind = KINDS[number % len(KINDS)]
        chance = random.Random(f"{self._seed}/splice/{number}")
        for _ in range(TRIALS):
            with contextlib.suppress(av.FFmpegError):
                return self._drawn(kind, number // RENEWED, chance)
        raise AssertionError(f"no container takes what becomes of {kind}, {number}")

    def _drawn(self, kind: str, age: int, chance: random.Random) -> Splice:
        """One clip. Raises `av.FFmpegError` where the container's writer does not take it."""
        encoding = ENCODINGS[kind]
        container = chance.choice(encoding.containers)
        care = chance.random() < CAREFUL
        if single := chance.random() < ALONE:
            joined = alone(self._part(kind, age, chance.randrange(POOL)))
        else:
            ways = ["each", "each", "first", "ahead"] if encoding.in_band else []
            ways += ["said"] * 5 if container in SAYS_ANEW else []
            ways += [] if care and ways else ["never"]
            way = chance.choice(ways)
            joined = join(self._parts(kind, age, way, chance), way, chance, careful=care)
        ends = sorted((chance.random(), chance.random()))
        return Splice(
            kind=f"{kind}, alone" if single else kind,
            data=write(joined, container),
            how=f"{container}, {joined.how}",
            whole=care or single,
            share=chance.choice((0.03, 0.1, 0.1, 0.3, 1.0)),
            span=(ends[0], max(ends[1], ends[0] + 0.2)),
        )

    def _parts(self, kind: str, age: int, way: str, chance: random.Random) -> list[Part]:
        """Two to four parts, mostly of one look, as those of most joined clips are.

        Where nothing can say what holds for a part, what holds for the first must hold for all.
        """
        pool = [self._part(kind, age, place) for place in range(POOL)]
        place, drawn = chance.randrange(POOL), chance.random()
        first = pool[place]
        if drawn < TWINS:
            pool = pool[place - place % 2 :][:2]
        elif drawn < TWINS + ALIKE:
            pool = [part for part in pool if part.look == first.look]
        if way == "never" and not first.in_band:
            pool = [part for part in pool if part.headers == first.headers]
        return [first, *(chance.choice(pool) for _ in range(chance.choice((1, 1, 2, 2, 3))))]

    def _part(self, kind: str, age: int, place: int) -> Part:
        """Those of odd places are like the one before."""
        name = (kind, age, place)
        if name not in self._pool:
            chance = random.Random(f"{self._seed}/{name}")
            like = self._part(kind, age, place - 1) if place % 2 else None
            self._pool[name] = ENCODINGS[kind].part(chance, like=like)
        return self._pool[name]


def main() -> None:
    """Say all about one clip."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.fuzz.splices")
    parser.add_argument("number", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="a file for the clip")
    given = parser.parse_args()
    splice = Splicer(given.seed).make(given.number)
    if given.save is not None:
        given.save.write_bytes(splice.data)
    print(f"{splice.kind}: {splice.how}\nshare {splice.share}, span {splice.span}")
    print(splice.check())


if __name__ == "__main__":
    main()
