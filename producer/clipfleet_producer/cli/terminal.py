"""What a terminal is sent by commands that lay things out; plain lines are made `printable`."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import rich.console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.style import Style

from clipfleet.printable import printable_lines

# Where there is no terminal to draw on, a line so often.
LINE_EVERY_S = 10.0


class Console(rich.console.Console):
    """A console on which nothing that is printed reaches the terminal as an order to it.

    Callers make `printable` what has to stay on one line, before it is laid out; what they forget,
    such as a table's cell or a path, is made so here. Colours and moves of rich's own pass.
    """

    def __init__(self, **of_rich: Any) -> None:
        super().__init__(highlight=False, **of_rich)

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        return super()._render_buffer(
            part if part.control else Segment(printable_lines(part.text), _unlinked(part.style))
            for part in buffer
        )


def _unlinked(style: Style | None) -> Style | None:
    """The style without a link, which would say one thing and open another."""
    return style.update_link(None) if style is not None and style.link else style


console = Console()


@contextmanager
def watched(console: Console, clips: int, doing: str) -> Iterator[Callable[[int], None]]:
    """Shows how many of so many clips are dealt with; what it gives is called with each more."""
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


def duration(seconds: float) -> str:
    """Seconds as people say them: 42 s, 3 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
