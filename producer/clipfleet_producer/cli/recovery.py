"""Commands on runs that are there: what failed, do it again, find what was lost."""

import fnmatch
import json
import os
import socket
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from rich.markup import escape
from rich.table import Table

from clipfleet.broker import claims
from clipfleet.errors import ExitCode, UsageError
from clipfleet.printable import printable
from clipfleet.records import ClipRecord, Failure, ManifestLine, find_record
from clipfleet.runs import RunControl
from clipfleet.settings import read_settings
from clipfleet_producer.cli import commands
from clipfleet_producer.cli.terminal import Console
from clipfleet_producer.feeding.following import nothing_to_do
from clipfleet_producer.feeding.submission import say_problems
from clipfleet_producer.runs import manifest
from clipfleet_producer.runs.control import check_fleet
from clipfleet_producer.runs.model import Run, addressed_records, manifest_records
from clipfleet_producer.sources.problems import Problems
from clipfleet_producer.sources.uris import local_path, short_name

_console = Console()
_ROWS_AT_ONCE = 500


def stored_run(run_id: str, flags: dict[str, Any]) -> Run:
    """A run that is there. Raises `UsageError` where there is none."""
    settings = commands.store_settings(flags)
    store = settings.open_store()
    head = manifest.read_head(store, run_id)
    return Run(head=head, store=store, allowed=settings.sources)


def failures(run_id: str | None, flags: dict[str, Any], *, as_json: bool) -> int:
    """`clipfleet failures`: what went wrong in a run; without one, which messages were refused."""
    if run_id is None:
        return _refusals(flags, as_json=as_json)
    run = stored_run(run_id, flags)
    failed = missing = 0
    rows: list[tuple[str, Failure]] = []
    for line, record in manifest_records(run):
        missing += record is None
        if record is None or record.valid:
            continue
        failed += 1
        if as_json:
            errors = [each.model_dump() for each in record.failures()]
            print(json.dumps({"clip": line.source, "clip_uuid": line.clip_uuid, "errors": errors}))
        else:
            rows += [(short_name(line.source), each) for each in record.failures()]
            if len(rows) >= _ROWS_AT_ONCE:
                _console.print(_failure_table(rows))
                rows.clear()
    if not as_json:
        if rows:
            _console.print(_failure_table(rows))
        _console.print(
            f"{failed:,} of {run.head.clips:,} clips have errors, {missing:,} have no record yet."
            + (f" To do them again: clipfleet retry {run_id}" if failed else ""),
            soft_wrap=True,
        )
    return ExitCode.FAILED_CLIPS if failed else ExitCode.OK


def _failure_table(rows: list[tuple[str, Failure]]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("clip", "step", "frames", "error", "what it said"):
        table.add_column(name, overflow="fold")
    for name, each in rows:
        frames = "" if each.start_frame is None else f"{each.start_frame}–{each.end_frame}"
        row = (name, each.step, frames, each.error, each.message)
        table.add_row(*(escape(printable(cell)) for cell in row))
    return table


def _refusals(flags: dict[str, Any], *, as_json: bool) -> int:
    settings = read_settings(broker=flags["broker"])
    refused = settings.open_broker().refusals()
    if as_json:
        for each in refused:
            print(json.dumps(each))
        return ExitCode.OK
    for each in refused:
        line = f"{each['at']}  {each['worker']}  on {each['queue']}: {each['reason']}"
        _console.print(printable(line), soft_wrap=True, markup=False)
    _console.print(f"Messages refused because they were none of ours: {len(refused)}")
    return ExitCode.OK


def retry(run_id: str, flags: dict[str, Any], *, only: Sequence[str], wait: bool) -> int:
    """`clipfleet retry`: do a run's failed clips again, as a run of their own."""
    settings = commands.fleet_settings(flags)
    run = stored_run(run_id, flags)
    options = manifest.read_options(run.store, run_id)
    again = manifest.choose_run_id(flags["run_id"])
    manifest.check_free(run.store, again, options, anew=True)
    _check_reach(run)
    problems = Problems()
    failed = _failed(run, only, problems)
    first = next(failed, None)
    if first is None:
        say_problems(problems, _console)
        _console.print("There is nothing to do again.")
        return ExitCode.FAILED_CLIPS if problems else ExitCode.OK
    broker = settings.open_broker()
    broker.clear_cancellation(again)
    head = manifest.write_run(
        run.store,
        again,
        options,
        chain([first], failed),
        staged=run.stage,
        fleet=broker.fleet(),
        broker=broker.address,
        places=lambda: manifest.read_places(run.store, run.head),
        variants=lambda lines: manifest.read_variants(run.store, run_id, lines),
    )
    say_problems(problems, _console)
    new = Run(head=head, store=run.store, allowed=run.allowed)
    code = commands.send(new, options, settings, in_flight=flags["in_flight"], wait=wait)
    return ExitCode.FAILED_CLIPS if code == ExitCode.OK and problems else code


def _failed(run: Run, only: Sequence[str], problems: Problems) -> Iterator[ManifestLine]:
    """The clips to do again, each with the record that this is for.

    Each whose presigned address is gone is a problem: it would be refused, and its record be worse
    than the one that it has.
    """
    for line, record in addressed_records(run):
        if record is None or record.valid or not _is_meant(line, record, only):
            continue
        if line.presigned and line.address is None:
            problems.add(
                f"{short_name(line.source)}: its presigned address is no longer at hand; submit "
                "the clip again with a fresh one, and --retry-failed"
            )
            continue
        kept = find_record(run.store, line.clip_uuid, run.head.set_name)
        if kept is not None and not kept.record.valid and not kept.newer:
            yield line.model_copy(update={"redo": False, "replaces": kept.digest})


def _is_meant(line: ManifestLine, record: ClipRecord, only: Sequence[str]) -> bool:
    """Whether one of `only` names its error, the step it failed in, or the clip (* for any)."""
    if not only:
        return True
    names = {line.source, short_name(line.source)}
    names |= {name for each in record.failures() for name in (each.error, each.step)}
    return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in only)


def feed(run_id: str, flags: dict[str, Any]) -> int:
    """`clipfleet feed RUN`: feed a run to its end, and find what is lost of it."""
    settings = commands.fleet_settings(flags)
    run = stored_run(run_id, flags)
    options = manifest.read_options(run.store, run_id)
    if _is_over(run):
        return ExitCode.OK
    _check_reach(run)
    broker = settings.open_broker()
    check_fleet(broker, run.store, run.head)
    return commands.see_through(run, options, settings, in_flight=flags["in_flight"])


def _is_over(run: Run) -> bool:
    """Whether the run is not to be fed; says why."""
    if manifest.read_state(run.store, run.head) is not None:
        return False
    ended = manifest.read_summary(run.store, run.head) is not None
    _console.print(
        f"Run {run.run_id} has come to its end."
        if ended
        else f"Run {run.run_id} is cancelled. To take it up again: clipfleet resume {run.run_id}"
    )
    return True


def _check_reach(run: Run) -> None:
    """Raises `UsageError` where the run is of files of another machine, and not to be read here."""
    if run.head.staged_from in (None, socket.gethostname()):
        return
    paths = map(local_path, manifest.read_shard(run.store, run.head, 0))
    first = next((path for path in paths if path is not None), None)
    if first is not None and not os.access(first, os.R_OK):
        raise UsageError(
            f"run {run.run_id} is of files that lie on {run.head.staged_from}; feed it there"
        )


def reconcile(run_id: str, flags: dict[str, Any], *, following: bool) -> int:
    """`clipfleet reconcile`: hold a run's manifest against its records, and feed what is lost."""
    settings = commands.fleet_settings(flags)
    run = stored_run(run_id, flags)
    broker = settings.open_broker()
    state = RunControl(fleet=broker.fleet(), broker=broker.address)
    manifest.reopen(run.store, run.head, state)
    if following:
        return feed(run_id, flags)
    if nothing_to_do(run):
        _console.print(f"All {run.head.clips:,} clips have their records.")
        return ExitCode.OK
    if _is_over(run):
        return ExitCode.OK
    check_fleet(broker, run.store, run.head)
    held = broker.messages()
    if held:
        _console.print(
            f"Some of the {run.head.clips:,} clips have no record yet, and the broker holds "
            f"{held:,} messages: what is lost is known once it holds none (--follow waits for it).",
            soft_wrap=True,
        )
        return ExitCode.FAILED_CLIPS
    claims.forget(broker, run.head)  # of what was fed nothing is left
    options = manifest.read_options(run.store, run_id)
    return commands.send(run, options, settings, in_flight=flags["in_flight"], wait=False)
