"""`--dry-run`: what a command would do, what is done already, and how long it may take.

Nothing is written. How fast it goes is what the last run with these options measured.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

from rich.console import Console

from clipfleet import keys
from clipfleet.errors import ExitCode, ObjectMissing
from clipfleet.options import Options
from clipfleet.printable import printable
from clipfleet.records import ManifestLine
from clipfleet.runs import RunHead, Standing, standing
from clipfleet.settings import Settings
from clipfleet.store import Store
from producer import manifest
from producer.feed import Run
from producer.plan import Asked, say_problems
from producer.problems import Problems
from producer.progress import duration
from producer.sources import local_path, short_name
from producer.variants import Variants

NAMED = 5
_AT_ONCE = 1000


def dry_run(asked: Asked, settings: Settings, options: Options, console: Console) -> int:
    """Say it all."""
    problems = Problems()
    store = settings.open_store(settings.store)
    head = RunHead(
        run_id=asked.run_id,
        options_hash=options.hash,
        edition="0" * 8,
        clips=0,
        shards=0,
        created_at=datetime.now(UTC).isoformat(),
        retry_failed=asked.retry_failed,
    )
    run = Run(head=head, store=store)
    done, clips, num_bytes, redone = Standing(), 0, 0, 0
    unreadable: list[str] = []
    first: list[str] = []
    with Variants(options) as variants, console.status("looking for clips") as shown:
        lines = asked.clips(settings, variants, problems)
        while batch := list(islice(lines, _AT_ONCE)):
            for found in run.look_up(batch):
                if found.record is not None:
                    done += standing(found.record, head.run_id)
                    continue
                redone += found.replaces is not None
                num_bytes += found.line.num_bytes or 0
                if not _readable(found.line):
                    unreadable.append(found.line.source)
                elif len(first) < NAMED:
                    first.append(found.line.source)
            clips += len(batch)
            shown.update(f"looking for clips: {clips:,} so far")
    say_problems(problems, console)
    for source in unreadable[:NAMED]:
        console.print(f"{_name(source)} cannot be read by this user", style="red", markup=False)
    todo = clips - done.done
    console.print(
        f"{clips:,} clips: {done.done:,} are done already ({done.failed:,} with errors), "
        f"{todo:,} would be fed ({num_bytes / 1e9:,.1f} GB, {redone:,} of them done again), "
        f"{len(unreadable):,} of those cannot be read here.",
        soft_wrap=True,
    )
    for source in first:
        console.print(f"  {_name(source)}", markup=False)
    more = todo - len(unreadable) - len(first)
    if more > 0:
        console.print(f"  … and {more:,} more")
    console.print(_estimate(store, options, todo), soft_wrap=True, markup=False)
    return ExitCode.FAILED_CLIPS if problems or unreadable else ExitCode.OK


def _readable(line: ManifestLine) -> bool:
    """Whether this user can read the clip; of what lies elsewhere, workers will tell."""
    path = local_path(line)
    return path is None or os.access(path, os.R_OK)


def _name(source: str) -> str:
    return printable(short_name(source))


def _estimate(store: Store, options: Options, todo: int) -> str:
    for run_id, clips, seconds in _measured(store, options):
        rate = clips / seconds
        return (
            f"At the {rate:.2f} clips/s of run {run_id}, which had these options, that takes "
            f"{duration(todo / rate)}."
        )
    return "How long it takes is not known: no run with these options has come to its end here."


def _measured(store: Store, options: Options) -> Iterator[tuple[str, int, float]]:
    """(run, clips it did itself, seconds) of finished runs with these options, latest first."""
    try:
        names = {item.key.split("/")[1] for item in store.list(keys.RUNS) if _is_summary(item.key)}
    except ObjectMissing:
        return
    for run_id in sorted(names, reverse=True):
        summary = manifest.last_summary(store, run_id)
        clips = int(summary.get("done", 0)) - int(summary.get("before", 0))
        if summary.get("options_hash") == options.hash and clips > 0:
            yield run_id, clips, float(summary["seconds"]) or 1.0


def _is_summary(key: str) -> bool:
    return key.endswith("/summary.json") and key.count("/") == 2
