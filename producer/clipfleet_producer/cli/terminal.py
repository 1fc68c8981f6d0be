"""What a terminal is sent by commands that lay things out; plain lines are made `printable`."""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import rich.console
from rich.cells import cell_len
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
from rich.text import Text

from clipfleet.printable import printable_lines

# Where there is no terminal to draw on, a line so often.
LINE_EVERY_S = 10.0
_WORD = re.compile(r"\s*\S+\s*")


class Console(rich.console.Console):
    """A console on which nothing that is printed reaches the terminal as an order to it.

    Callers make `printable` what has to stay on one line, before it is laid out; what they forget,
    such as a table's cell or a path, is made so here. Colours and moves of rich's own pass.
    """

    def __init__(self, **of_rich: Any) -> None:
        super().__init__(highlight=False, **of_rich)

    def print(self, *objects: Any, **how: Any) -> None:
        """Print, with no word broken, at any width.

        Lines of a terminal break between words; a longer word, such as an address, is left to the
        terminal, so that it is copied whole. Elsewhere lines are not broken at all.
        """
        if all(isinstance(each, str | Text) for each in objects):
            markup = how.pop("markup", None)
            texts = [_text(self, each, markup=markup) for each in objects]
            line = Text(str(how.pop("sep", " "))).join(texts)
            objects = (_between_words(line, self.width) if self.is_terminal else line,)
            how["soft_wrap"] = True
        super().print(*objects, **how)

    def on_broken_pipe(self) -> None:
        """Nobody reads it any more: the command ends, as `main` says."""
        raise BrokenPipeError

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        return super()._render_buffer(
            part if part.control else Segment(printable_lines(part.text), _unlinked(part.style))
            for part in buffer
        )


def _text(console: Console, line: str | Text, *, markup: bool | None) -> Text:
    return line if isinstance(line, Text) else console.render_str(line, markup=markup)


def _between_words(text: Text, width: int) -> Text:
    """The text in lines of the width, in cells; a longer word has a line of its own."""
    lines: list[Text] = []
    for line in text.split("\n", allow_blank=True):
        breaks, filled = [], 0
        for word in _WORD.finditer(line.plain):
            if filled and filled + cell_len(word[0].rstrip()) > width:
                breaks.append(word.start())
                filled = 0
            filled += cell_len(word[0])
        parts = line.divide(breaks)
        for part in parts[:-1]:
            part.rstrip()
        lines += parts
    return Text("\n").join(lines)


def _unlinked(style: Style | None) -> Style | None:
    """The style without a link, which would say one thing and open another."""
    return style.update_link(None) if style is not None and style.link else style


console = Console()


@contextmanager
def watched(
    console: Console, total: int, doing: str, *, of: str = "clips"
) -> Iterator[Callable[[int], None]]:
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
            task = bars.add_task(doing, total=total)
            yield lambda count: bars.advance(task, count)
        return
    done, said_at = 0, time.monotonic()

    def tick(count: int) -> None:
        nonlocal done, said_at
        done += count
        if (now := time.monotonic()) - said_at >= LINE_EVERY_S:
            console.print(f"  {doing}: {done:,} of {total:,} {of}", soft_wrap=True)
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


def size(num_bytes: int) -> str:
    """Bytes as people say them: 512 bytes, 3.4 MB, 1.2 GB."""
    if num_bytes < 1000:
        return f"{num_bytes} bytes"
    power = min((len(str(num_bytes)) - 1) // 3, 4)
    return f"{num_bytes / 1000**power:,.1f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"
