"""`clipfleet compare`: two sets side by side, and the clips whose captions differ most."""

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from clipfleet.errors import ExitCode
from clipfleet.printable import printable
from clipfleet.sets import label, read_set_name
from clipfleet_producer.cli.params import store_settings
from clipfleet_producer.cli.terminal import Console, watched
from clipfleet_producer.runs import comparison
from clipfleet_producer.runs.comparison import Comparison, DifferentClip
from clipfleet_producer.runs.digests import record_sizes
from clipfleet_producer.runs.statistics import Summary
from clipfleet_producer.sources.uris import short_name

_SHOWN = 600  # letters of a clip's captions

_console = Console()


def compare(first: str, second: str, flags: dict[str, Any], *, limit: int, as_json: bool) -> int:
    """`clipfleet compare`: print it; returns the exit code."""
    names = read_set_name(first), read_set_name(second)
    store = store_settings(flags).open_store()
    sizes = record_sizes(store, names[0]), record_sizes(store, names[1])
    with watched(Console(stderr=True), sum(map(len, sizes)), "reading records") as tick:
        found = comparison.compare(store, *names, limit=limit, tick=tick, sizes=sizes)
    if as_json:
        print(json.dumps(found.as_dict()))
    else:
        print_comparison(_console, found)
    return ExitCode.OK


def print_comparison(console: Console, found: Comparison) -> None:
    """Print figures side by side, then the clips that differ most."""
    labels = [printable(label(name)) for name in found.names]
    console.print(Text(f"{labels[0]}  |  {labels[1]}", style="bold"), soft_wrap=True)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", overflow="fold")
    table.add_column(justify="right")
    table.add_column(justify="right")
    of_first, of_second = (dict(_figures(each)) for each in found.figures)
    for name in dict.fromkeys([*of_first, *of_second]):
        table.add_row(Text(name), of_first.get(name, "0"), of_second.get(name, "0"))
    console.print(table)
    console.print(f"\n{found.in_both:,} clips are in both sets.", soft_wrap=True)
    if found.mean_overlap is not None:
        console.print(
            f"The captions of {found.captioned_in_both:,} clips share "
            f"{found.mean_overlap:.0%} of their words on average.",
            soft_wrap=True,
        )
    if found.clips:
        console.print("\nThose that differ most:", style="bold")
    for clip in found.clips:
        _print_clip(console, clip, labels)


def _figures(found: Summary) -> Iterator[tuple[str, str]]:
    counts = found.counts
    yield "clips", f"{counts.clips:,}"
    yield "with errors", f"{counts.failed:,}"
    for name in ("windows", "captions", "enhanced", "previews"):
        yield name, f"{getattr(counts, name):,}"
    yield "tokens read", f"{counts.prompt_tokens:,}"
    yield "tokens written", f"{counts.output_tokens:,}"
    for name, lengths in found.lengths.items():
        if not lengths.counts:
            continue
        words = lengths.figures()
        for each in ("median", "p05", "p95", "shortest", "longest"):
            yield f"{name} words, {each.replace('p0', 'p')}", f"{words[each]:,}"
        for reason, count in sorted(found.finish_reasons[name].items()):
            yield f"{name} ended by {printable(reason)}", f"{count:,}"
        for flag, count in sorted(found.flags[name].items()):
            yield f"{name} {printable(flag)}", f"{count:,}"


def _print_clip(console: Console, clip: DifferentClip, labels: list[str]) -> None:
    title = f"{printable(short_name(clip.source))}, {clip.overlap:.0%} of their words shared"
    console.print(Text(f"\n{title}", style="bold"), soft_wrap=True)
    console.print(Text(f"  {clip.clip_uuid}", style="dim"), soft_wrap=True)
    for name, texts in zip(labels, clip.captions, strict=True):
        said = textwrap.shorten(" / ".join(texts), _SHOWN, placeholder=" …")
        line = Text.assemble((f"  {name}: ", "dim"), printable(said))
        console.print(line, soft_wrap=True)
