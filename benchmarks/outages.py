"""Runs through trouble of the broker and of others: does a fleet go on, and is everything done?

Each trial is one run of clips on a fleet of real workers (an engine that only waits), which goes on
from trial to trial and is never helped. At a random moment of the run the broker answers errors for
eight seconds (oom, readonly, noreplicas), is killed and started again, has every open connection go
dead, or fails over to a replica that lacks its last second; or workers are restarted or replaced by
a newer version, two submit one name at once, keys are poisoned, credentials are refused. Then: how
long until all is done, and what does the checker find in the history of every message, in the
store and in the broker?
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.report import Row, publish
from tests.support.outages.trials import BAR_S, CLIPS, Outcome, kinds, trials


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outages", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one trial each")
    parser.add_argument("--only", nargs="*", choices=kinds(), help="[default: all]")
    parser.add_argument("--seeds", type=int, default=10, help="trials of each [default: 10]")
    parser.add_argument("--clips", type=int, default=CLIPS, help=f"a trial [default: {CLIPS}]")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    seeds = [1] if given.quick else list(range(1, given.seeds + 1))
    rows = []
    for trouble in given.only or kinds():
        with tempfile.TemporaryDirectory(prefix="clipfleet-bench-") as name:
            found = []
            for outcome in trials(Path(name), trouble, seeds, clips=given.clips):
                found.append(outcome)
                print(f"{trouble} {outcome.seed}: {shown(outcome)}", file=sys.stderr, flush=True)
        rows += rows_of(trouble, found)
    title = f"{len(seeds)} trials each, {given.clips} clips a trial"
    publish(title, rows, json_file=given.json, settings={"bar_s": f"{BAR_S:g}"})


def shown(outcome: Outcome) -> str:
    """One trial as a line."""
    seconds = "never" if outcome.seconds is None else f"{outcome.seconds:.1f} s after"
    wrong = f"; wrong: {'; '.join(outcome.wrong)}" if outcome.wrong else ""
    return f"struck with {outcome.done_before} done, all done {seconds}{wrong}"


def rows_of(trouble: str, found: list[Outcome]) -> list[Row]:
    """The figures of one trouble."""
    seconds = [each.seconds for each in found if each.seconds is not None]
    late = sum(each.seconds is None or each.seconds > BAR_S for each in found)
    rows = [Row(f"late/{trouble}", late, f"of {len(found)} trials, over {BAR_S:g} s")]
    if seconds:
        rows += [
            Row(f"seconds_median/{trouble}", statistics.median(seconds), "s after it"),
            Row(f"seconds_max/{trouble}", max(seconds), "s after it"),
        ]
    wrong = sum(len(each.wrong) for each in found)
    return [*rows, Row(f"wrong/{trouble}", wrong, f"in {len(found)} trials, by the checker")]


if __name__ == "__main__":
    main()
