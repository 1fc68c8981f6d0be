"""`--dry-run`: what a command would do, what is done already, and how long it may take.

Nothing is written. How fast it goes is what the last run with these options measured.
"""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from clipfleet.errors import ExitCode
from clipfleet.options import Options
from clipfleet.printable import printable
from clipfleet.records import ManifestLine
from clipfleet.runs import RunCounts, RunHead
from clipfleet.settings import Settings
from clipfleet.store import Store
from clipfleet_producer.cli.report import (
    print_changed,
    print_passed_over,
    print_problems,
    print_set_changes,
)
from clipfleet_producer.cli.terminal import console, duration
from clipfleet_producer.feeding.submission import RunRequest
from clipfleet_producer.runs.like_clips import MeasuredRun, measured_run
from clipfleet_producer.runs.model import Run
from clipfleet_producer.runs.sets import SetPlan
from clipfleet_producer.sources.overrides import OptionOverrides
from clipfleet_producer.sources.passed_over import PassedOver
from clipfleet_producer.sources.problems import Problems
from clipfleet_producer.sources.uris import local_path, short_name

NAMED = 5
_AT_ONCE = 1000


@dataclass
class _Seen:
    """What the clips come to. `num_bytes` is that of clips to be fed, as far as it is known.

    `windows` is how many those may have, by clips like them.
    """

    clips: int = 0
    done: RunCounts = field(default_factory=RunCounts)
    num_bytes: int = 0
    windows: float = 0.0
    redone: int = 0
    empty: int = 0
    unreadable: list[str] = field(default_factory=list)
    first: list[str] = field(default_factory=list)

    @property
    def todo(self) -> int:
        """How many would be fed."""
        return self.clips - self.done.done


def dry_run(
    request: RunRequest, settings: Settings, options: Options, *, as_json: bool = False
) -> int:
    """Say it all; returns the exit code. Raises `SetConflict` where the run would be refused."""
    problems = Problems()
    store = settings.open_store()
    plan = request.plan(store, options)
    options = plan.options
    measured = measured_run(store, options.hash)
    with OptionOverrides(options) as variants, console.status("looking for clips") as shown:
        lines = request.clips(settings, variants, problems)
        seen = _look_up(
            lines,
            _run(request, options, store),
            variants,
            measured,
            tick=lambda count: shown.update(f"looking for clips: {count:,} so far"),
        )
    if as_json:
        _print_json(seen, plan, request.passed, problems, measured)
    else:
        print_set_changes(plan, done=False)
        _say(seen, request.passed, problems)
        console.print(_estimate(seen, measured), soft_wrap=True, markup=False)
    return ExitCode.FAILED_CLIPS if problems or seen.unreadable else ExitCode.OK


def _run(request: RunRequest, options: Options, store: Store) -> Run:
    head = RunHead(
        run_id=request.run_id,
        options_hash=options.hash,
        set_name=request.set_name,
        manifest_version="0" * 8,
        clips=0,
        shards=0,
        created_at=datetime.now(UTC).isoformat(),
        retry_failed=request.retry_failed,
        redo_changed=request.redo_changed,
    )
    return Run(head=head, store=store)


def _look_up(
    lines: Iterator[ManifestLine],
    run: Run,
    variants: OptionOverrides,
    measured: MeasuredRun | None,
    tick: Callable[[int], None],
) -> _Seen:
    seen = _Seen()
    while batch := list(islice(lines, _AT_ONCE)):
        run.known.clear()
        run.known.update(
            {name: variants.find(name).recipes for name in set(map(run.options_hash, batch))}
        )
        for clip in run.check_all(batch):
            if clip.counts is not None:
                seen.done += clip.counts
                continue
            seen.redone += clip.replaces is not None
            seen.num_bytes += clip.line.num_bytes or 0
            seen.windows += measured.windows(clip.line) if measured else 0.0
            seen.empty += clip.line.num_bytes == 0
            if not _readable(clip.line):
                seen.unreadable.append(clip.line.source)
            elif len(seen.first) < NAMED:
                seen.first.append(clip.line.source)
        seen.clips += len(batch)
        tick(seen.clips)
    return seen


def _print_json(
    seen: _Seen,
    plan: SetPlan,
    passed: PassedOver,
    problems: Problems,
    measured: MeasuredRun | None,
) -> None:
    """One object on standard output; `seconds` is None where no run was measured."""
    replaced = [
        {"option": each.what, "of_set": each.of_set, "asked": each.asked} for each in plan.replaced
    ]
    said = {
        "set": plan.name,
        "set_begins": plan.pinned is None,
        "added": plan.added,
        "replaced": replaced,
        "clips": seen.clips,
        "done": seen.done.done,
        "done_with_errors": seen.done.failed,
        "changed": seen.done.changed,
        "to_feed": seen.todo,
        "done_again": seen.redone,
        "bytes": seen.num_bytes,
        "empty": seen.empty,
        "unreadable": len(seen.unreadable),
        "passed_over": passed.counts(),
        "rows": problems.rows,
        "wrong_rows": problems.wrong_rows,
        "notes": problems.notes,
        "problems": [*problems],
        "problems_left_out": problems.left_out,
        "seconds": seen.windows / measured.windows_per_s if measured else None,
    }
    print(json.dumps(said))


def _say(seen: _Seen, passed: PassedOver, problems: Problems) -> None:
    print_passed_over(passed)
    print_problems(problems)
    for source in seen.unreadable[:NAMED]:
        console.print(f"{_name(source)} cannot be read by this user", style="red", markup=False)
    empty = f" {seen.empty:,} of them are empty." if seen.empty else ""
    console.print(
        f"{seen.clips:,} clips: {seen.done.done:,} are done already "
        f"({seen.done.failed:,} with errors), {seen.todo:,} would be fed "
        f"({seen.num_bytes / 1e9:,.1f} GB, {seen.redone:,} of them done again), "
        f"{len(seen.unreadable):,} of those cannot be read here.{empty}",
        soft_wrap=True,
    )
    print_changed(seen.done)
    for source in seen.first:
        console.print(f"  {_name(source)}", markup=False)
    more = seen.todo - len(seen.unreadable) - len(seen.first)
    if more > 0:
        console.print(f"  … and {more:,} more")


def _readable(line: ManifestLine) -> bool:
    """Whether this user can read the clip; of clips elsewhere, workers will say."""
    path = local_path(line)
    return path is None or os.access(path, os.R_OK)


def _name(source: str) -> str:
    return printable(short_name(source))


def _estimate(seen: _Seen, measured: MeasuredRun | None) -> str:
    if measured is None:
        return "How long it takes is not known: no run with these options has finished here."
    return (
        f"They may have about {seen.windows:,.0f} windows, as clips of their sizes had; at the "
        f"{measured.windows_per_s:.2f} windows/s of run {measured.run_id}, which had these "
        f"options, that takes {duration(seen.windows / measured.windows_per_s)}."
    )
