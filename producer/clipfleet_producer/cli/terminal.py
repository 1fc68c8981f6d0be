"""What a terminal is sent by commands that lay things out; plain lines are made `printable`."""

from collections.abc import Iterable
from typing import Any

import rich.console
from rich.segment import Segment
from rich.style import Style

from clipfleet.printable import printable_lines


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
