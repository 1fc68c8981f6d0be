"""One run through one trouble: how long until it is done, and what is wrong with it."""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.outages.fleet import LEASE_S, OutageFleet, Running, write_clips
from tests.support.outages.troubles import TROUBLES
from tests.support.outages.upgrades import RESTARTS, newer_tree
from tests.support.outages.visitors import VISITORS

# Everything must be done so long after a broker is well again, by nobody's hand.
BAR_S = 3 * LEASE_S + 30
CLIPS = 40


@dataclass(frozen=True)
class Outcome:
    """The outcome of one trial: `seconds` from the end of the trouble; None: never."""

    trouble: str
    seed: int
    seconds: float | None
    done_before: int
    wrong: list[str]


def kinds() -> list[str]:
    """All that can be tried."""
    return [*TROUBLES, *RESTARTS, *VISITORS]


def trials(
    folder: Path, trouble: str, seeds: list[int], *, clips: int = CLIPS
) -> Iterator[Outcome]:
    """A trial for each seed, one after the other on one fleet that nobody helps."""
    tree = newer_tree(folder / "newer") if trouble == "upgrade" else None
    if tree is not None:  # which is upgraded once
        for seed in seeds:
            with OutageFleet(folder / f"fleet-{seed}") as fleet:
                yield _one(fleet, trouble, seed=seed, clips=clips, tree=tree)
        return
    with OutageFleet(folder / "fleet") as fleet:
        for seed in seeds:
            yield _one(fleet, trouble, seed=seed, clips=clips, tree=tree)


def _one(fleet: OutageFleet, trouble: str, *, seed: int, clips: int, tree: Path | None) -> Outcome:
    chance = random.Random(f"{trouble} {seed}")
    name = f"{trouble}-{seed}"
    paths = write_clips(fleet.folder / "clips" / name, clips, seed=seed)
    since, before = time.time(), fleet.records()
    if trouble in TROUBLES:
        steps = TROUBLES[trouble](fleet, chance)
        next(steps)
    running = fleet.submit(paths, name, by_s3=trouble == "credentials")
    at = chance.randint(1, clips // 2)
    deadline = time.monotonic() + 60
    while fleet.records() - before < at and time.monotonic() < deadline:
        time.sleep(0.02)
    done = fleet.records() - before
    wrong: list[str] = []
    if trouble in TROUBLES:
        next(steps, None)
    elif trouble in RESTARTS:
        wrong += RESTARTS[trouble](fleet, chance, name, tree)
    else:
        wrong += VISITORS[trouble](fleet, chance, running)
    return _outcome(fleet, running, Outcome(trouble, seed, None, done, wrong), since=since)


def _outcome(fleet: OutageFleet, running: Running, so_far: Outcome, *, since: float) -> Outcome:
    seconds = running.wait(fleet.store, 3 * BAR_S)
    wrong = so_far.wrong + fleet.wrong(running.head, running.sources, since=since)
    if running.failed is not None:
        wrong.append(f"its feeder failed: {running.failed!r}")
    if seconds is None:
        wrong.append(f"not done {3 * BAR_S:g} s after it")
    return Outcome(so_far.trouble, so_far.seed, seconds, so_far.done_before, wrong)
