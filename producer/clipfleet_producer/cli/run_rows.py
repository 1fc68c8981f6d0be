"""Runs in rows: a table where it fits, else each run's name on a line of its own.

A run's name is there to be copied: it is cut nowhere, however narrow the screen.
"""

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from clipfleet.printable import printable
from clipfleet_producer.cli.terminal import console

_TEXTS = ("state", "set", "submitted", "options")  # columns that are no numbers


def run_rows(runs: Sequence[tuple[str, Mapping[str, str]]]) -> RenderableType:
    """Rows of (run, cells by their columns); all have the same columns."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("run", no_wrap=True)
    for column in runs[0][1] if runs else ():
        table.add_column(column, justify="left" if column in _TEXTS else "right", no_wrap=True)
    for name, cells in runs:
        table.add_row(Text(printable(name)), *(Text(printable(cell)) for cell in cells.values()))
    if table.__rich_measure__(console, console.options.update(max_width=10_000)).maximum <= (
        console.width
    ):
        return table
    return Group(*(part for name, cells in runs for part in _block(name, cells)))


def run_name(name: str) -> Text:
    """A run's name, whole also on a screen that is narrower."""
    return Text(printable(name), style="bold", no_wrap=True, overflow="ignore")


def _block(name: str, cells: Mapping[str, str]) -> list[RenderableType]:
    given = ((column, value) for column, value in cells.items() if value)
    said = [value if column in _TEXTS else f"{value} {column}" for column, value in given]
    return [run_name(name), Padding(Text(printable(", ".join(said))), (0, 0, 0, 2))]
