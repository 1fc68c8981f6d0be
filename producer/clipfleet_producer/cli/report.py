"""The result of a run: tables of its clips, captions and counts."""

import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from clipfleet import keys
from clipfleet.errors import ExitCode
from clipfleet.options import DEFAULT, Options
from clipfleet.printable import printable
from clipfleet.records import ClipRecord
from clipfleet.runs import RunCounts, count_record
from clipfleet.sets import label as set_label
from clipfleet_producer.cli.terminal import console, duration
from clipfleet_producer.feeding.progress import ProgressObserver
from clipfleet_producer.feeding.sample import ROWS_SHOWN, Pair
from clipfleet_producer.feeding.submission import SubmittedRun
from clipfleet_producer.runs.model import Run
from clipfleet_producer.runs.sets import SetPlan
from clipfleet_producer.sources.passed_over import PassedOver
from clipfleet_producer.sources.problems import Problems
from clipfleet_producer.sources.uris import short_name

WINDOWS_SHOWN = 8
IDLE = "There was nothing to do: no run is kept of it."


def clip_table(found: Sequence[Pair], *, enhance: bool, count: int | None = None) -> Table:
    """A row for each clip, at most `ROWS_SHOWN`; `count` is how many there are."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("clip", overflow="ellipsis", no_wrap=True, max_width=32)
    for name in ("frames", "windows", "captions", *(["enhanced"] if enhance else []), "previews"):
        table.add_column(name, justify="right")
    table.add_column("result", overflow="fold")
    for line, record in found[:ROWS_SHOWN]:
        table.add_row(escape(printable(short_name(line.source))), *_cells(record, enhance=enhance))
    more = (len(found) if count is None else count) - len(found[:ROWS_SHOWN])
    if more > 0:
        table.add_row(f"… and {more} more", "", "", "", *([""] if enhance else []), "", "")
    return table


def _cells(record: ClipRecord | None, *, enhance: bool) -> list[str]:
    if record is None:
        return ["", "", "", *([""] if enhance else []), "", "[red]no record yet[/]"]
    counts = count_record(record, record.run_id)
    cells = [str(record.num_frames or ""), str(counts.windows), str(counts.captions)]
    cells += [str(counts.enhanced)] if enhance else []
    error = escape(printable(record.first_error()))
    result = "[green]ok[/]" if record.valid else f"[red]{error}[/]"
    return [*cells, str(counts.previews), result]


def print_captions(console: Console, found: Sequence[Pair], uri: str) -> None:
    """Print each window's captions and its preview's address; of many windows, the first alone."""
    said = [
        (short_name(line.source), window)
        for line, record in found
        for window in (record.windows if record else ())
        if window.caption and window.caption.text
    ]
    shown = said if len(said) <= WINDOWS_SHOWN else said[:1]
    for name, window in shown:
        console.print(
            f"\n[bold]{escape(printable(name))}[/], frames {window.start_frame}–{window.end_frame}"
        )
        for label, text in (("caption", window.caption), ("enhanced", window.enhanced)):
            if text and text.text:
                _print_line(console, label, _shortened(text.text))
        if window.preview:
            _print_line(console, "preview", f"{uri}/{window.preview.key}")


def _print_line(console: Console, label: str, text: str) -> None:
    console.print(Text.assemble((f"  {label:9}", "dim"), printable(text)), soft_wrap=True)


def _shortened(text: str | None) -> str:
    return textwrap.shorten(text or "", 400, placeholder=" …")


def print_totals(
    console: Console,
    uri: str,
    counts: RunCounts,
    *,
    done_now: int,
    seconds: float,
    set_name: str = "",
) -> None:
    """The last lines: counts, throughput of the clips done now, and where the results are."""
    texts = [f"{counts.captions:,} captions", f"{counts.previews:,} previews"]
    texts[1:1] = [f"{counts.enhanced:,} enhanced"] if counts.enhanced else []
    console.print(
        f"\n{counts.done:,} of {counts.clips:,} clips done, {counts.failed:,} with errors: "
        f"{counts.windows:,} windows, {', '.join(texts)}."
    )
    known = f"; {counts.done - done_now:,} done already" if counts.done > done_now else ""
    if done_now:
        rate = done_now / max(seconds, 1e-9)
        console.print(f"{done_now:,} done now in {duration(seconds)} ({rate:.2f} clips/s){known}.")
    elif known:
        console.print(known.removeprefix("; ") + ".")
    root = f"{uri}/{keys.in_set(set_name)}"
    places = f"Records: {root}{keys.RECORDS}   Previews: {root}{keys.PREVIEWS}"
    console.print(places, soft_wrap=True, markup=False)


def print_result(
    run: Run,
    options: Options,
    progress: ProgressObserver,
    *,
    seconds: float,
    logs: str = "",
    kept: bool = True,
) -> int:
    """Print the result of a run, which is `kept` or did nothing; returns the exit code for it."""
    counts, sample = progress.counts, progress.sample
    table = clip_table(sample.clips, enhance=options.enhance.enabled, count=sample.count)
    console.print(table)
    print_captions(console, sample.clips, run.store.uri)
    print_totals(
        console,
        run.store.uri,
        counts,
        done_now=progress.done_now,
        seconds=seconds,
        set_name=run.head.set_name,
    )
    print_changed(counts)
    if not kept:
        console.print(IDLE, soft_wrap=True)
    if counts.failed:
        listed = f" (clipfleet failures {run.run_id})" if kept else ""
        console.print(
            f"{counts.failed} clips have errors{listed}; once their "
            "cause is mended, --retry-failed does them again." + (f" Logs: {logs}" if logs else ""),
            style="yellow",
            soft_wrap=True,
            markup=False,
        )
    wrong = counts.failed or counts.missing or counts.clips < run.head.clips
    return ExitCode.FAILED_CLIPS if wrong else ExitCode.OK


def print_changed(counts: RunCounts) -> None:
    """Print how many clips' sources were replaced since, and how to have these done again."""
    if counts.changed:
        line = f"changed: {counts.changed:,}; --redo-changed does them again"
        console.print(line, style="yellow", soft_wrap=True)


def print_submitted(submitted: SubmittedRun) -> None:
    """Print what was found, what is no clip, and the run that was created."""
    print_passed_over(submitted.passed)
    print_problems(submitted.problems)
    run = submitted.run
    plural = "clip" if run.head.clips == 1 else "clips"
    in_set = f", set {run.head.set_name}" if run.head.set_name else ""
    print_set_changes(submitted.plan, done=True)
    console.print(
        f"{run.head.clips:,} {plural} → {run.store.uri}{in_set}, run {run.run_id}",
        soft_wrap=True,
        markup=False,
    )


def print_set_changes(plan: SetPlan, *, done: bool) -> None:
    """Print what a run adds to its set, and what it replaces there; `done` or only planned."""
    name = set_label(plan.name)
    if plan.added:
        would = "gets" if done else "would get"
        line = f"Set {name} {would} what it had none of: {', '.join(map(_product, plan.added))}."
        console.print(line, soft_wrap=True, markup=False)
    if plan.replaced:
        would = "are" if done else "would be"
        listed = "; ".join(
            f"{printable(each.what)} from {printable(each.of_set)} to {printable(each.asked)}"
            for each in plan.replaced
        )
        line = f"Options of set {name} {would} replaced, and records as their clips are done again"
        console.print(f"{line}: {listed}.", style="yellow", soft_wrap=True, markup=False)


def _product(product: str) -> str:
    kind, _, name = product.partition(":")
    words = {"caption": "captions", "enhanced": "enhanced captions", "preview": "previews"}
    return words.get(kind, kind) + ("" if name in ("", DEFAULT) else f" {name}")


def print_passed_over(passed: PassedOver) -> None:
    """Print what was found where clips were looked for and is not one."""
    if passed:
        console.print(f"Passed over: {printable(str(passed))}.", soft_wrap=True, markup=False)


def print_problems(problems: Problems) -> None:
    """Print how manifests are read, where that is not plain, and what was named and is no clip."""
    for note in problems.notes:
        console.print(f"clipfleet: {printable(note)}", style="yellow", soft_wrap=True, markup=False)
    if problems.rows:
        plural = "row" if problems.rows == 1 else "rows"
        console.print(
            f"{problems.rows:,} {plural} of manifests, {problems.wrong_rows:,} of them wrong"
        )
    for problem in problems:
        console.print(f"clipfleet: {printable(problem)}", style="red", soft_wrap=True, markup=False)
    if problems.left_out:
        more = f"clipfleet: … and {problems.left_out:,} more like these"
        console.print(more, style="red", soft_wrap=True)
