"""`clipfleet runs`: all runs of a store, the newest first."""

import json
from datetime import datetime
from typing import Any

from clipfleet.errors import ExitCode
from clipfleet.options import Options, Shapes
from clipfleet_producer.cli.params import store_settings
from clipfleet_producer.cli.run_rows import run_rows
from clipfleet_producer.cli.terminal import console
from clipfleet_producer.runs.listing import ListedRun, list_runs

_LONGEST_VALUE = 24


def runs(flags: dict[str, Any], *, limit: int | None, as_json: bool) -> int:
    """`clipfleet runs`: print them; returns the exit code."""
    settings = store_settings(flags)
    found = list(list_runs(settings.open_store(), settings.open_broker(), limit=limit))
    if as_json:
        print(json.dumps({"runs": [as_dict(run) for run in found]}))
    elif found:
        console.print(run_rows([(run.head.run_id, _row(run)) for run in found]), crop=False)
    else:
        console.print(f"There is no run in {settings.store}.", soft_wrap=True, markup=False)
    return ExitCode.OK


def as_dict(run: ListedRun) -> dict[str, Any]:
    """One run, for machines."""
    return {
        "run": run.head.run_id,
        "set": run.head.set_name,
        "state": run.state,
        "clips": run.head.clips,
        "done": run.counts.done,
        "failed": run.counts.failed,
        "lost": run.counts.lost,
        "created_at": run.head.created_at,
        "seconds": round(run.seconds, 1),
        "options": chosen_options(run.options) if run.options else None,
    }


def _row(run: ListedRun) -> dict[str, str]:
    when = datetime.fromisoformat(run.head.created_at).astimezone()
    return {
        "state": str(run.state),
        "set": run.head.set_name or "(default)",
        "submitted": f"{when:%Y-%m-%d %H:%M}",
        "clips": f"{run.head.clips:,}",
        "done": f"{run.counts.done:,}",
        "errors": f"{run.counts.failed + run.counts.lost:,}",
        "options": _spelled(run.options),
    }


def chosen_options(options: Options) -> dict[str, Any]:
    """What tells a run from others: its caption model, and options that are not at their default.

    By their flags, without dashes in front; those that shape nothing are left out.
    """
    found: dict[str, Any] = {"captioning-algorithm": options.caption.model_variant}
    for group in (options.prepare, options.preview, options.caption, options.enhance):
        for name, value in group.chosen().items():
            if group.shaped_by(name) is not Shapes.NOTHING:
                extra = type(group).model_fields[name].json_schema_extra
                flag = str(extra["flag"]) if isinstance(extra, dict) else name
                found[flag.partition("/")[0].removeprefix("--")] = value
    return found


def _spelled(options: Options | None) -> str:
    if options is None:
        return "?"
    chosen = chosen_options(options)
    said = [str(chosen.pop("captioning-algorithm"))]
    for flag, value in chosen.items():
        text = " ".join(str(value).split())
        if len(text) > _LONGEST_VALUE:
            text = text[:_LONGEST_VALUE] + "…"
        said.append(flag if value is True else f"no-{flag}" if value is False else f"{flag} {text}")
    return ", ".join(said)
