"""A process that takes thousands of inputs, one after another, and says a line of JSON about each.

`python -m tests.support.fuzz.child clips|texts|splices FOLDER SEED FIRST END`. The clips that it
starts from lie in the folder, and there it writes each input before it looks at it, so that it can
be had if the process ends.
"""

import json
import random
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from clipfleet.options import Options
from tests.support.fuzz import texts as fuzz_texts
from tests.support.fuzz.mutations import mutate
from tests.support.fuzz.readers import make_readers
from tests.support.fuzz.splices import Splicer
from tests.support.fuzz.worker import ASKED, Worker

SEEDS_NAME, INPUT_NAME = "seeds.json", "input"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of one input.

    `end` is how it ended: an error's name, `cut`, `read`. `fault` is what must not be, or empty.
    `counts` is what else was counted, by name. Memory is the process's: now, and at its most.
    """

    number: int
    kind: str
    how: str
    end: str
    fault: str
    seconds: float
    resident_mb: float
    peak_mb: float
    counts: Mapping[str, int] = field(default_factory=dict)


def clip_of(seed: int, number: int, seeds: Mapping[str, bytes]) -> tuple[str, bytes, str, Options]:
    """A clip by its number: its kind, its bytes, how it came about, and what is asked of it."""
    kind = list(seeds)[number % len(seeds)]
    chance = random.Random(f"{seed}/clip/{number}")
    data, how = mutate(kind, seeds, chance)
    return kind, data, how, chance.choice(ASKED)


# How an input ended, what must not be, and what was counted.
Found = tuple[str, str, Mapping[str, int]]
# How an input of a number is taken: its kind, its bytes, how it came about, and what looks at it.
Take = Callable[[int], tuple[str, bytes, str, Callable[[], Found]]]


def taking_clips(folder: Path, seed: int) -> Take:
    """Clips, by a prepare and a preview worker."""
    names = json.loads((folder / SEEDS_NAME).read_text())
    seeds = {kind: (folder / name).read_bytes() for kind, name in names.items()}
    worker = Worker(folder)

    def take(number: int) -> tuple[str, bytes, str, Callable[[], Found]]:
        kind, data, how, asked = clip_of(seed, number, seeds)
        return kind, data, how, lambda: (*worker.take(data, asked), {})

    return take


def taking_texts(folder: Path, seed: int) -> Take:
    """Texts, by those who read them."""
    readers = make_readers(folder)

    def take(number: int) -> tuple[str, bytes, str, Callable[[], Found]]:
        kind, text = fuzz_texts.text_of(seed, number, readers)
        return kind, text, "", lambda: (*fuzz_texts.take(readers[kind], text), {})

    return take


def taking_splices(_: Path, seed: int) -> Take:
    """Streams cut and joined, by a comparison with a full decode."""
    splicer = Splicer(seed)

    def take(number: int) -> tuple[str, bytes, str, Callable[[], Found]]:
        splice = splicer.make(number)

        def look() -> Found:
            verdict = splice.check()
            return verdict.end, verdict.fault, verdict.counts()

        return splice.kind, splice.data, splice.how, look

    return take


TAKING = {"clips": taking_clips, "texts": taking_texts, "splices": taking_splices}


def memory_mb() -> tuple[float, float]:
    """This process's resident memory: now, and at its most (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    said = dict(line.split(":", 1) for line in lines)
    now, peak = (int(said[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, peak


def main() -> None:
    """Take the inputs from FIRST to END."""
    what, folder = sys.argv[1], Path(sys.argv[2])
    seed, first, end = map(int, sys.argv[3:6])
    take = TAKING[what](folder, seed)
    for number in range(first, end):
        kind, data, how, look = take(number)
        (folder / INPUT_NAME).write_bytes(data)
        began = time.perf_counter()
        try:
            ended, fault, counts = look()
        except Exception as error:
            ended, fault, counts = type(error).__name__, traceback.format_exc(), {}
        seconds = time.perf_counter() - began
        resident, peak = memory_mb()
        outcome = Outcome(
            number=number,
            kind=kind,
            how=how,
            end=ended,
            fault=fault,
            seconds=seconds,
            resident_mb=resident,
            peak_mb=peak,
            counts=counts,
        )
        print(json.dumps(asdict(outcome)), flush=True)


if __name__ == "__main__":
    main()
