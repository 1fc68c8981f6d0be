"""What came of a run, counted from its records, and the tables that show it."""

import textwrap
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from clipfleet.broker import WorkerBeat
from clipfleet.records import ClipRecord, ManifestLine, Status
from producer.progress import duration
from producer.sources import printable, short_name

ROWS_SHOWN = 20
WINDOWS_SHOWN = 8


def standing(records: Iterable[ClipRecord | None]) -> dict[str, int]:
    """Counts over a run's clips; None stands for a clip without a record."""
    counts = dict.fromkeys(
        ("clips", "done", "failed", "missing", "windows", "captions", "enhanced", "previews"), 0
    )
    for record in records:
        counts["clips"] += 1
        if record is None:
            counts["missing"] += 1
            continue
        counts["done"] += 1
        counts["failed"] += not record.valid
        counts["windows"] += len(record.windows)
        for window in record.windows:
            counts["captions"] += window.caption_status is Status.OK
            counts["enhanced"] += window.enhance_status is Status.OK
            counts["previews"] += window.preview_status is Status.OK
    return counts


def clip_table(found: Sequence[tuple[ManifestLine, ClipRecord | None]], *, enhance: bool) -> Table:
    """A row for each clip, those with errors first, at most `ROWS_SHOWN`."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("clip", overflow="ellipsis", no_wrap=True, max_width=32)
    for name in ("frames", "windows", "captions", *(["enhanced"] if enhance else []), "previews"):
        table.add_column(name, justify="right")
    table.add_column("result", overflow="fold")
    failed_first = sorted(found, key=lambda pair: pair[1] is not None and pair[1].valid)
    for line, record in failed_first[:ROWS_SHOWN]:
        table.add_row(escape(printable(short_name(line.source))), *_cells(record, enhance=enhance))
    more = len(found) - ROWS_SHOWN
    if more > 0:
        table.add_row(f"… and {more} more", "", "", "", *([""] if enhance else []), "", "")
    return table


def _cells(record: ClipRecord | None, *, enhance: bool) -> list[str]:
    if record is None:
        return ["", "", "", *([""] if enhance else []), "", "[red]no record yet[/]"]
    counts = standing([record])
    cells = [str(record.num_frames or ""), str(counts["windows"]), str(counts["captions"])]
    cells += [str(counts["enhanced"])] if enhance else []
    error = escape(printable(record.first_error()))
    result = "[green]ok[/]" if record.valid else f"[red]{error}[/]"
    return [*cells, str(counts["previews"]), result]


def print_captions(
    console: Console, found: Sequence[tuple[ManifestLine, ClipRecord | None]], uri: str
) -> None:
    """What was said of each window and the preview to hold it against; of many, the first alone."""
    said = [
        (short_name(line.source), window)
        for line, record in found
        for window in (record.windows if record else ())
        if window.qwen_caption
    ]
    shown = said if len(said) <= WINDOWS_SHOWN else said[:1]
    for name, window in shown:
        console.print(
            f"\n[bold]{escape(printable(name))}[/], frames {window.start_frame}–{window.end_frame}"
        )
        _print_line(console, "caption", _shortened(window.qwen_caption))
        if window.qwen_lm_enhanced_caption:
            _print_line(console, "enhanced", _shortened(window.qwen_lm_enhanced_caption))
        if window.preview_key:
            _print_line(console, "preview", f"{uri}/{window.preview_key}")


def _print_line(console: Console, label: str, text: str) -> None:
    console.print(Text.assemble((f"  {label:9}", "dim"), printable(text)), soft_wrap=True)


def _shortened(text: str | None) -> str:
    return textwrap.shorten(text or "", 400, placeholder=" …")


def print_totals(
    console: Console, uri: str, counts: dict[str, int], *, done_now: int, seconds: float
) -> None:
    """The last lines: what there is, how fast it came, and where it lies."""
    texts = [f"{counts['captions']} captions", f"{counts['previews']} previews"]
    texts[1:1] = [f"{counts['enhanced']} enhanced"] if counts["enhanced"] else []
    console.print(
        f"\n{counts['done']} of {counts['clips']} clips done, {counts['failed']} with errors: "
        f"{counts['windows']} windows, {', '.join(texts)}."
    )
    if done_now:
        rate = done_now / seconds
        console.print(f"{done_now} done now in {duration(seconds)} ({rate:.2f} clips/s).")
    lie = f"Records: {uri}/metas/v0/   Previews: {uri}/previews/"
    console.print(lie, soft_wrap=True, markup=False)


def status_table(
    run_id: str,
    counts: dict[str, int],
    backlog: dict[str, int] | None,
    workers: Sequence[WorkerBeat],
) -> Table:
    """How a run stands, with the queues and the workers that live; None: the broker is away."""
    table = Table(title=f"run {run_id}", show_header=False, title_justify="left", box=None)
    for name, value in counts.items():
        table.add_row(name, f"{value:,}")
    if backlog is None:
        return table
    waiting = ", ".join(f"{queue} {n:,}" for queue, n in backlog.items() if n)
    table.add_row("in queues", waiting or "nothing")
    live = ", ".join(f"{beat.name} (holds {beat.holds})" for beat in workers)
    table.add_row("live workers", live or "none; start some with clipfleet-worker")
    return table
