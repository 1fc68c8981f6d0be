"""Command-line flags made from the options: one source for names, defaults, units and help."""

import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

import click
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from clipfleet.config_file import config_file
from clipfleet.errors import UsageError
from clipfleet.models import CAPTIONERS, SAME, TEXT_MODELS
from clipfleet.options import Options
from clipfleet.suggestions import did_you_mean

Command = TypeVar("Command", bound=Callable[..., Any])

GROUP_TITLES = {
    "prepare": "Windows and frames",
    "preview": "Previews",
    "caption": "Captions",
    "enhance": "Enhanced captions",
}


# The options that say which model a worker loads and how, by the queue it serves.
MODEL_OPTIONS = {
    "caption": ("model_variant", "model_dir", "caption_batch_size", "fp8", "disable_mmcache"),
    "enhance": ("model_variant", "model_dir", "model_batch_size", "fp8"),
}


# Variables that are neither a setting's nor an option's.
_OTHER_VARIABLES = (
    *("CLIPFLEET_CONFIG", "CLIPFLEET_CONCURRENCY", "CLIPFLEET_GPUS", "CLIPFLEET_GPUS_PER_ENGINE"),
    *("CLIPFLEET_SUPERVISED", "CLIPFLEET_ENGINE_PLUGIN"),  # what our processes tell each other
)
_MODELS = {"caption": CAPTIONERS, "enhance": (*TEXT_MODELS, *CAPTIONERS, SAME)}


class Choice(click.Choice[str]):
    """One of several words; of another, the most similar is named."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """What is wrong with the value."""
        meant = did_you_mean(str(value), self.choices) or f"; there are {', '.join(self.choices)}"
        return f"there is no {value}{meant}"


class GroupedCommand(click.Command):
    """A command whose help lists its own flags first, then the options by group."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options' sections."""
        sections: dict[str, list[tuple[str, str]]] = {"Flags": []}
        for param in self.get_params(ctx):
            if not isinstance(param, click.Option):
                continue
            row = param.get_help_record(ctx)
            group = (param.name or "").partition("__")[0]
            title = GROUP_TITLES.get(group if param.name != "prepare__verbose" else "", "Flags")
            if row is not None:
                sections.setdefault(title, []).append(row)
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows, col_max=28)


def each_option() -> Iterable[tuple[str, str, FieldInfo, str]]:
    """(group, name, field, flag) of every option, in order."""
    for group, group_field in Options.model_fields.items():
        model = group_field.annotation
        for name, field in model.model_fields.items():  # type: ignore[union-attr]
            extra = field.json_schema_extra
            assert isinstance(extra, dict)
            yield group, name, field, str(extra["flag"])


def option_flags(
    only: Iterable[tuple[str, str]] | None = None,
    *,
    other_defaults: dict[str, str] | None = None,
) -> Callable[[Command], Command]:
    """A decorator that adds the options' flags to a click command, all or `only` those named.

    `other_defaults` (by `group__name`) is the help text for defaults that the command changes.

    Values arrive as `group__name`, None for flags that are not given. Each flag can also be set by
    the variable CLIPFLEET_ with the flag's name.
    """
    wanted = None if only is None else set(only)

    def decorate(command: Command) -> Command:
        for group, name, field, flag in reversed(list(each_option())):
            if wanted is not None and (group, name) not in wanted:
                continue
            key = f"{group}__{name}"
            default = (other_defaults or {}).get(key) or _default_text(field, flag)
            command = click.option(
                flag,
                key,
                default=None,
                type=_click_type(field),
                envvar=variable(flag),
                shell_complete=_completing(_MODELS[group]) if name == "model_variant" else None,
                help=f"{field.description} [default: {default}]",
                is_flag=True if "/" in flag else None,
            )(command)
        return command

    return decorate


def variable(flag: str) -> str:
    """The environment variable that sets an option, by its flag."""
    return "CLIPFLEET_" + file_name(flag).upper().replace("-", "_")


def file_name(flag: str) -> str:
    """What an option is called in the settings file's table [options], by its flag."""
    return flag.partition("/")[0].removeprefix("--")


def unknown_variables(environ: Iterable[str]) -> Iterator[str]:
    """A line on each CLIPFLEET_* variable that nothing reads."""
    from clipfleet.settings import Settings  # a third of the time in which a shell completes

    known = {f"CLIPFLEET_{name.upper()}" for name in Settings.model_fields} | {*_OTHER_VARIABLES}
    known |= {variable(flag) for _, _, _, flag in each_option()}
    for name in sorted(environ):
        setting = name.upper().partition("__")[0]  # and what is in it
        if name.startswith("CLIPFLEET_") and setting not in known:
            yield f"the variable {name} means nothing here{did_you_mean(name, known)}"


def read_options(
    values: dict[str, Any], from_file: dict[str, Any] | None = None, **defaults: Any
) -> Options:
    """The options from flags, else from the settings file (by flag name), else from `defaults`.

    `values` and `defaults` are named `group__name`. A prompt's text may be "@FILE". Raises
    `UsageError`, naming the flag, if a value is out of range or a name in the file is no flag's.
    """
    filed = dict(from_file or {})
    groups: dict[str, dict[str, Any]] = {group: {} for group in Options.model_fields}
    for group, name, _, flag in each_option():
        key = f"{group}__{name}"
        in_file = filed.pop(file_name(flag), None)
        given = (v for v in (values.get(key), in_file, defaults.get(key)) if v is not None)
        value = next(given, None)
        if value is not None:
            groups[group][name] = _text(value, flag) if name.endswith("prompt_text") else value
    if filed:
        known = [file_name(flag) for _, _, _, flag in each_option()]
        meant = did_you_mean(min(filed), known)
        raise UsageError(f"[options] in {config_file()}: there is no option {min(filed)}{meant}")
    try:
        return Options.model_validate(groups)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:  # of them together
            raise UsageError(first["msg"].removeprefix("Value error, ")) from None
        flags = {(g, n): flag for g, n, _, flag in each_option()}
        group, name = (str(part) for part in first["loc"][:2])
        flag = flags.get((group, name), name)
        said = first["msg"].replace("Input should", "should").removeprefix("Value error, ")
        value = textwrap.shorten(str(first["input"]), 60, placeholder=" …")
        raise UsageError(f"{flag.partition('/')[0]} {value}: {said}") from None


def _completing(names: Iterable[str]) -> Callable[[Any, Any, str], list[str]]:
    return lambda _context, _param, incomplete: [n for n in names if n.startswith(incomplete)]


def _text(value: Any, flag: str) -> Any:
    """A text, or the content of the file that "@FILE" names. Raises `UsageError`."""
    if not isinstance(value, str) or not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{flag} {value}: it cannot be read ({error})") from None


def _click_type(field: FieldInfo) -> Any:
    annotation: Any = field.annotation
    arguments = [a for a in get_args(annotation) if a is not type(None)]
    if arguments and all(isinstance(a, str) for a in arguments):
        return Choice(arguments)
    if arguments:  # Optional[...] or Annotated[...]
        annotation = arguments[0]
        annotation = get_args(annotation)[0] if get_args(annotation) else annotation
    if isinstance(annotation, type) and issubclass(annotation, str) and annotation is not str:
        return Choice([member.value for member in annotation])  # type: ignore[attr-defined]
    return annotation


def _default_text(field: FieldInfo, flag: str) -> str:
    if "/" in flag:
        return "on" if field.default else "off"
    limits = _limits_text(field)
    default = (
        "none" if field.default is None else str(getattr(field.default, "value", field.default))
    )
    return f"{default}{limits}"


def _limits_text(field: FieldInfo) -> str:
    limits = {}
    for constraint in field.metadata:
        for kind in ("ge", "gt", "le", "lt"):
            if getattr(constraint, kind, None) is not None:
                limits[kind] = getattr(constraint, kind)
    if "ge" in limits and "le" in limits:
        return f"; {limits['ge']:g} to {limits['le']:g}"
    if "gt" in limits and "le" in limits:
        return f"; over {limits['gt']:g}, to {limits['le']:g}"
    return ""
