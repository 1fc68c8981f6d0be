"""`clipfleet summary`: a run's figures as tables, bars in the terminal, JSON or a PNG."""

import json
from pathlib import Path
from typing import Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from clipfleet.errors import ExitCode, UsageError
from clipfleet.printable import printable
from clipfleet_producer.cli.params import stored_run
from clipfleet_producer.cli.terminal import Console, duration, watched
from clipfleet_producer.export.libraries import load
from clipfleet_producer.runs.digests import run_digests
from clipfleet_producer.runs.statistics import Lengths, Summary

BAR_WIDTH = 40
_TITLES = {"caption": "captions", "enhanced": "enhanced captions"}

_console = Console()


def summary(run_id: str, flags: dict[str, Any], *, as_json: bool, plot: Path | None) -> int:
    """`clipfleet summary`: a run in figures, from its records; returns the exit code."""
    if plot is not None:
        _check_plot(plot)  # before minutes of reading
    run = stored_run(run_id, flags)
    found = Summary()
    with watched(Console(stderr=True), run.head.clips, "reading records") as tick:
        for clip in run_digests(run):
            found.note(clip)
            tick(1)
    if plot is not None:
        draw(found, plot, title=f"run {run.run_id}")
    if as_json:
        print(json.dumps({"run": run.run_id, **found.figures()}))
    else:
        print_summary(_console, found, title=f"run {run.run_id}")
        if plot is not None:
            _console.print(f"\nDrawn: {printable(str(plot))}", soft_wrap=True, markup=False)
    return ExitCode.OK


def print_summary(console: Console, found: Summary, *, title: str) -> None:
    """Print figures of clips, without what has nothing to say."""
    console.print(Text(title, style="bold"), soft_wrap=True)
    console.print(Padding(_counts(found), (0, 0, 0, 2)))
    for name, lengths in found.lengths.items():
        if lengths.counts:
            _print_texts(console, name, lengths, found)
    if found.errors:
        table = Table(box=None, header_style="dim", pad_edge=False)
        table.add_column("errors", justify="right")
        table.add_column("step")
        table.add_column("error", overflow="fold")
        for (step, error), count in found.errors.most_common():
            table.add_row(f"{count:,}", Text(printable(step)), Text(printable(error)))
        console.print()
        console.print(table)


def _counts(found: Summary) -> Table:
    counts = found.counts
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in (
        ("clips", f"{counts.clips:,}"),
        ("done", f"{counts.done:,}, {duration(found.video_s)} of video"),
        ("with errors", f"{counts.failed:,}"),
        ("no record yet", f"{counts.missing:,}"),
        ("windows", f"{counts.windows:,}"),
        ("captions", f"{counts.captions:,}"),
        ("enhanced", f"{counts.enhanced:,}"),
        ("previews", f"{counts.previews:,}"),
        ("tokens", f"{counts.prompt_tokens:,} read, {counts.output_tokens:,} written"),
    ):
        table.add_row(Text(name, style="dim"), value)
    return table


def _print_texts(console: Console, name: str, lengths: Lengths, found: Summary) -> None:
    words = lengths.figures()
    console.print(
        f"\n[bold]{_TITLES[name]}[/], in words: median {words['median']:,}, "
        f"5% {words['p05']:,}, 95% {words['p95']:,}, "
        f"shortest {words['shortest']:,}, longest {words['longest']:,}",
        soft_wrap=True,
    )
    reasons = found.finish_reasons[name].most_common()
    ends = ", ".join(f"{printable(reason)} {count:,}" for reason, count in reasons)
    flags = found.flags[name]
    odd = ", ".join(f"{printable(flag)} {count:,}" for flag, count in flags.most_common())
    line = f"  ended by {ends}; {odd or 'none flagged'}"
    console.print(line, soft_wrap=True, markup=False)
    console.print(Padding(_histogram(lengths), (0, 0, 0, 2)))


def _histogram(lengths: Lengths) -> Table:
    bins = lengths.bins()
    most = max(texts for _, _, texts in bins)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right", style="dim")
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    for first, last, texts in bins:
        span = f"{first}" if first == last else f"{first}–{last}"
        bar = "█" * max(round(texts / most * BAR_WIDTH), int(texts > 0))
        table.add_row(span, Text(bar, style="cyan"), f"{texts:,}")
    return table


def _check_plot(file: Path) -> None:
    """Raises `UsageError` where no PNG can be drawn to this file."""
    if file.suffix.lower() != ".png":
        raise UsageError(f"--plot {file}: a plot is a PNG; give a name that ends in .png")
    if not file.absolute().parent.is_dir():
        raise UsageError(f"--plot {file}: its folder does not exist; make it first")
    load("matplotlib.figure", needed_for="--plot")


def draw(found: Summary, file: Path, *, title: str) -> None:
    """Draw how long captions are, as a PNG. Raises `UsageError` without matplotlib."""
    figures = load("matplotlib.figure", needed_for="--plot")
    drawn = {name: lengths for name, lengths in found.lengths.items() if lengths.counts}
    figure = figures.Figure(figsize=(8, 1 + 3 * max(len(drawn), 1)), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(max(len(drawn), 1), squeeze=False)[:, 0]
    for axis, (name, lengths) in zip(axes, drawn.items(), strict=False):
        bins = lengths.bins(60)
        width = bins[0][1] - bins[0][0] + 1
        axis.bar([first for first, _, _ in bins], [n for _, _, n in bins], width, align="edge")
        axis.axvline(lengths.quantile(0.5), color="black", linestyle="--", label="median")
        axis.set_xlabel(f"words of {_TITLES[name]}")
        axis.set_ylabel("windows")
        axis.legend()
    try:
        figure.savefig(file, dpi=150)
    except OSError as error:
        raise UsageError(f"--plot {file}: {error.strerror or error}") from None
