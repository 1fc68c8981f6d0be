"""`clipfleet export`: what it shows while it writes, and what it says in the end."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from clipfleet.errors import ExitCode, UsageError
from clipfleet.printable import printable
from clipfleet_producer.cli import commands
from clipfleet_producer.cli.terminal import Console
from clipfleet_producer.export import Exported, ExportSpec, Format, Per, export_run, make_spec
from clipfleet_producer.feeding.progress import duration
from clipfleet_producer.runs import manifest

# Where there is no terminal to draw on, a line so often.
LINE_EVERY_S = 10.0

_console = Console()


def export(
    run_id: str,
    dest: str,
    flags: dict[str, Any],
    *,
    format: Format,
    per: Per,
    only_valid: bool,
    only_approved: bool,
    pictures: bool,
    escape_formulas: bool,
    shard_size: int | None,
) -> int:
    """`clipfleet export`: write a run's results to the folder `dest`; returns the exit code."""
    if "://" in dest:
        raise UsageError(
            f"{dest} is not a folder: an export goes to a folder of this machine, from where other "
            "tools copy it"
        )
    settings = commands.store_settings(flags)
    store = settings.open_store()
    head = manifest.read_head(store, manifest.check_run_id(run_id))
    spec = make_spec(
        head,
        format,
        per=per,
        only_valid=only_valid,
        only_approved=only_approved,
        pictures=pictures,
        escape_formulas=escape_formulas,
        shard_size=shard_size,
    )
    began = time.monotonic()
    with watched(_console, head.clips, "exporting") as tick:
        exported = export_run(store, head, spec, Path(dest).expanduser(), tick=tick)
    _say(spec, exported, dest, seconds=time.monotonic() - began)
    return ExitCode.FAILED_CLIPS if exported.counts.missing else ExitCode.OK


@contextmanager
def watched(console: Console, clips: int, doing: str) -> Iterator[Callable[[int], None]]:
    """Shows how many of so many clips are dealt with; told by calls of what it gives."""
    if console.is_terminal:
        columns = (MofNCompleteColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=32),
            *columns,
            console=console,
            transient=True,
        ) as bars:
            task = bars.add_task(doing, total=clips)
            yield lambda count: bars.advance(task, count)
        return
    done, said_at = 0, time.monotonic()

    def tick(count: int) -> None:
        nonlocal done, said_at
        done += count
        if (now := time.monotonic()) - said_at >= LINE_EVERY_S:
            console.print(f"  {doing}: {done:,} of {clips:,} clips", soft_wrap=True)
            said_at = now

    yield tick


def _say(spec: ExportSpec, exported: Exported, dest: str, *, seconds: float) -> None:
    counts = exported.counts
    kept = exported.parts - exported.parts_written
    lines = [
        f"{counts.rows:,} rows, one a {spec.per}, of {counts.clips:,} clips in {dest} "
        f"({spec.format}): {exported.parts_written:,} parts written in {duration(seconds)}"
        + (f", {kept:,} were there." if kept else ".")
    ]
    lines += _counted(
        (counts.left_out, "clips were left out, as asked."),
        (counts.windowless, "clips have no windows, so no captions."),
        (counts.unreviewed, "clips have no verdict yet; the same command again looks anew."),
        (counts.missing, "clips have no record yet; the same command again adds them."),
    )
    for line in (*lines, *exported.remarks):
        _console.print(printable(line), soft_wrap=True, markup=False)


def _counted(*counts: tuple[int, str]) -> list[str]:
    return [f"{count:,} {words}" for count, words in counts if count]
