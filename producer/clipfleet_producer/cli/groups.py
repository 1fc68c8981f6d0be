"""How `clipfleet --help` lays out its commands, and the examples in theirs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from clipfleet.errors import ExitCode

Titles = Mapping[str, Sequence[str]]


class CommandGroup(click.Group):
    """A group whose help lists its commands under titles, each with the first line of its help.

    `titles` gives the commands of each title, in order; one that is under none comes last.
    """

    def __init__(self, *arguments: Any, titles: Titles | None = None, **of_click: Any) -> None:
        super().__init__(*arguments, **of_click)
        self._titles = titles or {}

    def make_context(self, *arguments: Any, **of_click: Any) -> click.Context:
        """As click's; it may print help."""
        with _may_be_closed():
            return super().make_context(*arguments, **of_click)

    def invoke(self, ctx: click.Context) -> Any:
        """Carry out a command."""
        with _may_be_closed():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in the order of the help."""
        return [name for names in self._sections().values() for name in names]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each title."""
        for title, names in self._sections().items():
            with formatter.section(title):
                formatter.write_dl([(name, summary(self.commands[name])) for name in names])

    def _sections(self) -> dict[str, list[str]]:
        listed = {name for names in self._titles.values() for name in names}
        others = [name for name in self.commands if name not in listed]
        sections = {
            title: [name for name in names if name in self.commands]
            for title, names in self._titles.items()
        }
        sections["Commands"] = others
        return {title: names for title, names in sections.items() if names}


@contextmanager
def _may_be_closed() -> Iterator[None]:
    """Where nobody reads the output any more, the command ends; click would say that it failed."""
    try:
        yield
    except BrokenPipeError:
        raise click.exceptions.Exit(ExitCode.CLOSED_PIPE) from None


def summary(command: click.Command) -> str:
    """What the command does, in a line: the first of its help, without the dot."""
    return (command.short_help or command.help or "").partition("\n")[0].strip().removesuffix(".")


def examples(*commands: str, note: str = "") -> str:
    """The end of a command's help: how it is used, then `note`."""
    lines = ["\b", "Examples:", *(f"  {command}" for command in commands)]
    return "\n".join(lines) + (f"\n\n{note}" if note else "")
