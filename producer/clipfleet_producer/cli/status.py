"""`clipfleet status`: runs, queues and workers, on one screen or as JSON."""

import dataclasses
import json
import time
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from clipfleet.errors import ExitCode, StoreError, UsageError
from clipfleet.printable import printable
from clipfleet.queues import QUEUES
from clipfleet.runs import FeederState, RunState
from clipfleet.settings import Settings
from clipfleet_producer.cli.params import check_set, store_settings
from clipfleet_producer.cli.run_rows import run_name, run_rows
from clipfleet_producer.cli.terminal import console, duration
from clipfleet_producer.runs.model import Run
from clipfleet_producer.runs.status import FleetStatus, RunStatus, StatusReader, read_fleet
from clipfleet_producer.runs.store import active_runs

EVERY_S = 2.0
ERRORS_SHOWN = 5
WORKERS_SHOWN = 24


class Status:
    """One run, or all that are unfinished, and the fleet."""

    def __init__(self, settings: Settings, run_id: str | None, set_name: str | None) -> None:
        self._store = settings.open_store()
        self._broker = settings.open_broker()
        self._run_id, self._set_name = run_id, set_name
        self._readers: dict[str, StatusReader] = {}

    def read(self) -> tuple[list[RunStatus], FleetStatus]:
        """As of now. Raises `StoreError`, and `UsageError` for a run that there is not."""
        names = [self._run_id] if self._run_id else active_runs(self._store)
        for name in names:
            if name not in self._readers or not self._readers[name].is_current():
                try:
                    self._readers[name] = StatusReader(Run.open(self._store, name), self._broker)
                except UsageError:  # it is being written
                    if self._run_id:
                        raise
        found = [self._readers[name].read() for name in names if name in self._readers]
        if self._run_id is None and self._set_name is not None:
            found = [run for run in found if run.head.set_name == self._set_name]
        for run in found:
            check_set(run.head, self._set_name)
        return found, read_fleet(self._broker)


def status(run_id: str | None, flags: dict[str, Any], *, following: bool, as_json: bool) -> int:
    """`clipfleet status`: show it, again and again while `following`, until the run is over.

    Returns the exit code.
    """
    seen = Status(store_settings(flags), run_id, flags.get("set_name"))
    runs, fleet = seen.read()
    if not following:
        _show(runs, fleet, as_json=as_json, one=run_id is not None)
        return _exit_code(runs, fleet, one=run_id is not None)
    live = console.is_terminal and not as_json
    with Live(console=console, auto_refresh=False, screen=False) if live else _Lines() as shown:
        while True:
            if live:
                shown.update(screen(runs, fleet, one=run_id is not None), refresh=True)
            else:
                _show(runs, fleet, as_json=as_json, one=run_id is not None)
            if run_id is not None and _is_over(runs[0]):
                return _exit_code(runs, fleet, one=True)
            time.sleep(EVERY_S)
            try:
                runs, fleet = seen.read()
            except StoreError as error:
                fleet = dataclasses.replace(fleet, away=str(error))


class _Lines:
    """In place of a live screen."""

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        return


def _is_over(run: RunStatus) -> bool:
    return run.state in (RunState.FINISHED, RunState.CANCELLED)


def _exit_code(runs: list[RunStatus], fleet: FleetStatus, *, one: bool) -> int:
    """Without a broker half of the answer is missing, but for a run that is over."""
    if fleet.away and not (one and _is_over(runs[0])):
        return ExitCode.BROKER
    wrong = any(run.counts.failed or run.counts.lost for run in runs)
    return ExitCode.FAILED_CLIPS if wrong else ExitCode.OK


def _show(runs: list[RunStatus], fleet: FleetStatus, *, as_json: bool, one: bool) -> None:
    if as_json:
        shown = [as_dict(run) for run in runs]
        beats = [dataclasses.asdict(beat) for beat in fleet.workers]
        found: dict[str, Any] = {**shown[0]} if one else {"runs": shown}
        print(json.dumps(found | {"backlog": fleet.backlog or None, "workers": beats}), flush=True)
    else:
        console.print(screen(runs, fleet, one=one), crop=False)


def as_dict(run: RunStatus) -> dict[str, Any]:
    """One run, for machines."""
    return {
        "run": run.head.run_id,
        "set": run.head.set_name,
        "state": run.state,
        "feeder": run.feeder,
        "blocked_reason": run.blocked_reason,
        "priority": run.priority,
        **run.counts.model_dump(),
        "clips": run.head.clips,
        "missing": run.head.clips - run.counts.done,
        "in_flight": run.in_flight,
        "clips_per_s": run.clips_per_s,
        "windows_per_s": run.windows_per_s,
        "mean_clips_per_s": round(run.mean_clips_per_s, 3),
        "seconds": round(run.elapsed_s, 1),
        "seconds_left": run.seconds_left,
    }


def screen(runs: list[RunStatus], fleet: FleetStatus, *, one: bool) -> RenderableType:
    """One screen: the run, or a line for each, then queues and workers."""
    if one:
        parts: list[RenderableType] = [_run(runs[0])]
    elif runs:
        parts = [_runs(runs)]
    else:
        parts = [Text("No run is under way.")]
    if fleet.away:
        parts.append(Text(printable(fleet.away), style="yellow"))
    else:
        parts += [Text(), _queues(fleet), Text(), _workers(fleet)]
    return Group(*parts)


def _run(run: RunStatus) -> RenderableType:
    counts = run.counts
    share = counts.done / run.head.clips if run.head.clips else 1.0
    title = Text.assemble(("run ", "dim"), (run.head.run_id, "bold"))
    said = Text.assemble(f"  {_spelled(run)}  ", (f"{share:.1%}", "bold"))
    fits = len(title) + len(said) <= console.width
    titles = [title + said] if fits else [run_name(run.head.run_id), said]
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    in_flight = "" if run.in_flight is None else f", {run.in_flight:,} in flight"
    lost = f", [red]{counts.lost:,} given up without a record[/]" if counts.lost else ""
    failed = f", [red]{counts.failed:,} with errors[/]" if counts.failed else ", 0 with errors"
    waiting = max(0, run.left - (run.in_flight or 0))
    table.add_row(
        "clips",
        f"{counts.done:,} of {run.head.clips:,} done{failed}{lost}{in_flight}, {waiting:,} to come",
    )
    steps = f"{counts.captions:,} captions"
    steps += f", {counts.enhanced:,} enhanced" if counts.enhanced else ""
    table.add_row("windows", f"{counts.windows:,} done: {steps}, {counts.previews:,} previews")
    tokens = f"{counts.prompt_tokens:,} read, {counts.output_tokens:,} written"
    table.add_row("tokens", tokens)
    whole = f"{run.mean_clips_per_s:.2f} clips/s on the whole"
    if run.clips_per_s is not None and run.windows_per_s is not None:
        now = f"{run.clips_per_s:.2f} clips/s, {run.windows_per_s:.2f} windows/s in the last minute"
        whole = f"{now}; {whole}"
    table.add_row("rate", whole)
    table.add_row("time", duration(run.elapsed_s) + _left(run))
    if counts.errors:
        often = sorted(counts.errors.items(), key=lambda pair: -pair[1])[:ERRORS_SHOWN]
        table.add_row("errors", escape(", ".join(f"{name} {count:,}" for name, count in often)))
    bar = Table.grid()
    width = min(60, console.width)
    bar.add_row(ProgressBar(total=max(1, run.head.clips), completed=counts.done, width=width))
    return Group(*titles, bar, table)


def _left(run: RunStatus) -> str:
    """How much longer it takes, or that this is not known."""
    if run.state not in (RunState.PENDING, RunState.RUNNING) or not run.left:
        return ""
    left = run.seconds_left
    return ", time left not known yet" if left is None else f", about {duration(left)} left"


def _spelled(run: RunStatus) -> str:
    if run.blocked_reason:
        return f"{run.state}: {run.blocked_reason}"
    unfed = run.state in (RunState.PENDING, RunState.RUNNING) and run.feeder is FeederState.NONE
    return f"{run.state}, no feeder" if unfed else run.state


def _runs(runs: list[RunStatus]) -> RenderableType:
    return run_rows([(run.head.run_id, _row(run)) for run in runs])


def _row(run: RunStatus) -> dict[str, str]:
    left, rate = run.seconds_left, run.clips_per_s
    return {
        "state": _spelled(run),
        "priority": str(run.priority or 0),
        "clips": f"{run.head.clips:,}",
        "done": f"{run.counts.done:,}",
        "errors": f"{run.counts.failed + run.counts.lost:,}",
        "in flight": "" if run.in_flight is None else f"{run.in_flight:,}",
        "clips/s": "" if rate is None else f"{rate:.2f}",
        "left": "" if left is None else duration(left),
    }


def _queues(fleet: FleetStatus) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("queue")
    for name in ("waiting", "workers", "in progress"):
        table.add_column(name, justify="right")
    for queue in QUEUES:
        serving = [beat for beat in fleet.workers if queue in beat.queues]
        none = "[red]none[/]" if fleet.backlog.get(queue) else "[dim]none[/]"
        table.add_row(
            queue,
            f"{fleet.backlog.get(queue, 0):,}",
            f"{len(serving):,}" if serving else none,
            f"{sum(beat.unacked for beat in serving if len(beat.queues) == 1):,}",
        )
    return table


def _workers(fleet: FleetStatus) -> RenderableType:
    if not fleet.workers:
        return Text("No worker is alive; start some with clipfleet-worker.", style="yellow")
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("worker", "queues"):
        table.add_column(name)
    for name in ("in progress", "engine busy"):
        table.add_column(name, justify="right")
    for beat in fleet.workers[:WORKERS_SHOWN]:
        busy = "" if beat.busy is None else f"{beat.busy:.0%}"
        name, queues = (escape(printable(s)) for s in (beat.name, ", ".join(beat.queues)))
        table.add_row(name, queues, f"{beat.unacked:,}", busy)
    more = len(fleet.workers) - WORKERS_SHOWN
    if more > 0:
        table.add_row(f"… and {more:,} more", "", "", "")
    return table
