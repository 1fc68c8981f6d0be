"""`clipfleet config`: the settings and options in force, and where each comes from."""

import json
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from pydantic import SecretStr

from clipfleet import flags, xdg
from clipfleet.config_file import CONFIG_FILE, config_file
from clipfleet.printable import printable
from clipfleet_producer.cli import params
from clipfleet_producer.cli.groups import CommandGroup, examples

HIDDEN = "(hidden)"


@dataclass(frozen=True)
class Entry:
    """A setting or an option: its value in force, and where that comes from."""

    name: str
    value: Any
    origin: str  # flag, variable, file or default
    source: str  # the flag, the variable or the file; empty for a default


@click.group(cls=CommandGroup)
def config() -> None:
    """Show settings and options, and where each comes from."""


@config.command(
    cls=flags.GroupedCommand,
    epilog=examples(
        "clipfleet config show",
        "clipfleet config show --captioning-algorithm qwen3",
        "clipfleet config show --json",
    ),
)
@params.run_flags
@params.as_json
@flags.option_flags()
def show(as_json: bool, **rest: Any) -> None:
    """Print each value in force, and what it comes from.

    Given flags, prints what a command with these flags would use. Secrets are not shown.
    """
    entries = [*_settings(rest), *_options(rest)]
    if as_json:
        print(json.dumps([asdict(entry) for entry in entries], default=str))
        return
    from clipfleet_producer.cli.terminal import console

    for entry in entries:
        value = "(none)" if entry.value in (None, "") else str(entry.value)
        origin = f"{entry.origin} {entry.source}".strip()
        console.print(printable(f"{entry.name} = {value}   [{origin}]"), markup=False)


@config.command(epilog=examples("clipfleet config path", '$EDITOR "$(clipfleet config path)"'))
def path() -> None:
    """Print where the settings file is, or would be."""
    file = config_file()
    if file is None:
        file = xdg.config_folder() / CONFIG_FILE
        print("clipfleet: there is no such file yet", file=sys.stderr)
    print(printable(str(file)))


def _settings(given: Mapping[str, Any]) -> Iterator[Entry]:
    """The settings, each limit of clips by itself."""
    from clipfleet.settings import ClipLimits, Settings, read_settings

    settings = read_settings(**{n: given.get(n) for n in ("broker", "store", "s3_endpoint")})
    places = _Places()
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if name == "options":
            continue  # each of them follows by its own name
        if isinstance(value, ClipLimits):
            for limit, most in value:
                of_file = places.filed.get(name, {})
                yield places.entry(f"{name}.{limit}", most, in_file=limit in of_file)
            continue
        flag = f"--{name.replace('_', '-')}" if given.get(name) is not None else ""
        yield places.entry(name, _shown(name, value), flag=flag, in_file=name in places.filed)


def _options(given: Mapping[str, Any]) -> Iterator[Entry]:
    """The options, by their flags' names."""
    from clipfleet.settings import read_settings

    places = _Places()
    filed = read_settings().options
    options = flags.read_options(dict(given), filed)
    context = click.get_current_context()
    for group, name, _, flag in flags.each_option():
        value = getattr(getattr(options, group), name)
        source = context.get_parameter_source(f"{group}__{name}")
        typed = source is click.core.ParameterSource.COMMANDLINE
        yield places.entry(
            flags.file_name(flag),
            value,
            flag=flag.partition("/")[0] if typed else "",
            variable=flags.variable(flag),
            in_file=flags.file_name(flag) in filed,
        )


def _shown(name: str, value: Any) -> Any:
    if name == "broker":
        from clipfleet.broker.client import redact

        return redact(value.get_secret_value())
    if isinstance(value, SecretStr):
        return HIDDEN
    return str(value) if isinstance(value, Path) else value


class _Places:
    """Where values come from: the environment, and the settings file."""

    def __init__(self) -> None:
        self._file = config_file()
        self._variables = {name.upper() for name in os.environ}
        self.filed: dict[str, Any] = {}
        if self._file is not None:
            self.filed = tomllib.loads(self._file.read_text(encoding="utf-8"))

    def entry(
        self, name: str, value: Any, *, in_file: bool, flag: str = "", variable: str = ""
    ) -> Entry:
        """The entry of a value that a flag or the file may give, or a variable."""
        variable = variable or f"CLIPFLEET_{name.replace('.', '__').upper()}"
        whole = variable.partition("__")[0]  # a table, given as JSON
        named = next((each for each in (variable, whole) if each in self._variables), None)
        if flag:
            return Entry(name, value, "flag", flag)
        if named:
            return Entry(name, value, "variable", named)
        if in_file:
            return Entry(name, value, "file", str(self._file))
        return Entry(name, value, "default", "")
