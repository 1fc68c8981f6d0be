"""`clipfleet feed`, `reconcile`, `retry`: feeding runs of the store. Each returns its exit code."""

import fnmatch
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from clipfleet import logs
from clipfleet.broker import claims
from clipfleet.errors import ExitCode, UsageError
from clipfleet.records import ClipRecord, ManifestLine, find_record
from clipfleet.runs import RunControl
from clipfleet_producer.cli.following import see_through, send
from clipfleet_producer.cli.params import fleet_settings, store_settings, stored_run
from clipfleet_producer.cli.report import print_problems
from clipfleet_producer.cli.terminal import console
from clipfleet_producer.runs.control import check_fleet
from clipfleet_producer.runs.ending import end_if_done, finish, nothing_to_do
from clipfleet_producer.runs.model import Run
from clipfleet_producer.runs.names import choose_run_id
from clipfleet_producer.runs.sets import check_is_of_set
from clipfleet_producer.runs.writing import check_free, write_run
from clipfleet_producer.sources.problems import Problems
from clipfleet_producer.sources.uris import local_path, short_name


def serve(flags: dict[str, Any], *, following: bool) -> int:
    """`clipfleet feed`: feed all unfinished runs of the store."""
    from clipfleet_producer.feeding.service import Service

    settings = fleet_settings(flags)
    logs.set_up(log_format=settings.log_format, verbose=False)
    try:
        Service(settings, in_flight=flags["in_flight"]).serve(following=following)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return ExitCode.OK


def feed(run_id: str, flags: dict[str, Any]) -> int:
    """`clipfleet feed RUN`: feed a run until it has finished, and find what was lost of it."""
    settings = store_settings(flags)
    run = stored_run(run_id, flags)
    options = run.options()
    if _is_over(run):
        return ExitCode.OK
    _check_reach(run)
    check_is_of_set(run)
    broker = settings.open_broker()
    broker.check()
    check_fleet(broker, run)
    return see_through(run, options, settings, in_flight=flags["in_flight"])


def _is_over(run: Run) -> bool:
    """Whether the run is not to be fed; says why."""
    if end_if_done(run):
        console.print(f"Run {run.run_id} has finished.", soft_wrap=True)
        return True
    if run.control() is None:
        console.print(
            f"Run {run.run_id} is cancelled. To feed it again: clipfleet resume {run.run_id}",
            soft_wrap=True,
        )
        return True
    return False


def _check_reach(run: Run) -> None:
    """Raises `UsageError` where the run is of files of another machine, and not to be read here."""
    if run.head.staged_from in (None, socket.gethostname()):
        return
    paths = map(local_path, run.manifest.shard(0))
    first = next((path for path in paths if path is not None), None)
    if first is not None and not os.access(first, os.R_OK):
        raise UsageError(
            f"run {run.run_id} is of files that lie on {run.head.staged_from}; feed it there"
        )


def reconcile(run_id: str, flags: dict[str, Any], *, following: bool) -> int:
    """`clipfleet reconcile`: compare a run's manifest with its records, and feed what was lost."""
    settings = fleet_settings(flags)
    run = stored_run(run_id, flags)
    check_is_of_set(run)
    broker = settings.open_broker()
    run.reopen(RunControl(fleet=broker.fleet(), broker=broker.address))
    if following:
        return feed(run_id, flags)
    if nothing_to_do(run):
        finish(run)
        console.print(f"All {run.head.clips:,} clips have their records.")
        return ExitCode.OK
    if _is_over(run):
        return ExitCode.OK
    check_fleet(broker, run)
    messages = broker.messages()
    if messages:
        console.print(
            f"Some of the {run.head.clips:,} clips have no record yet, and the broker has "
            f"{messages:,} messages: what is lost is known once it has none (--follow waits for "
            "that).",
            soft_wrap=True,
        )
        return ExitCode.FAILED_CLIPS
    claims.forget(broker, run.head)  # of what was fed nothing is left
    return send(run, run.options(), settings, in_flight=flags["in_flight"], wait=False)


def retry(run_id: str, flags: dict[str, Any], *, only: Sequence[str], wait: bool) -> int:
    """`clipfleet retry`: do a run's failed clips again, as a run of their own."""
    settings = fleet_settings(flags)
    run = stored_run(run_id, flags)
    end_if_done(run)
    options = run.options()
    again = choose_run_id(flags["run_id"])
    check_free(run.store, again, options, set_name=run.head.set_name, anew=True)
    check_is_of_set(run)
    _check_reach(run)
    problems = Problems()
    failed = _failed(run, only, problems)
    first = next(failed, None)
    if first is None:
        print_problems(problems)
        console.print("There is nothing to do again.")
        return ExitCode.FAILED_CLIPS if problems else ExitCode.OK
    broker = settings.open_broker()
    broker.clear_cancellation(again)
    written = write_run(
        run.store,
        again,
        options,
        chain([first], failed),
        set_name=run.head.set_name,
        control=RunControl(
            fleet=broker.fleet(), broker=broker.address, in_flight=flags["in_flight"]
        ),
        staged=run.stage,
        places=run.places,
        variants=run.variants,
    )
    print_problems(problems)
    new = replace(run, head=written.head)
    code = send(new, options, settings, in_flight=flags["in_flight"], wait=wait)
    return ExitCode.FAILED_CLIPS if code == ExitCode.OK and problems else code


def _failed(run: Run, only: Sequence[str], problems: Problems) -> Iterator[ManifestLine]:
    """The clips to do again, each with the record that this is for.

    Each whose presigned address is gone is a problem: it would be refused, and its record be worse
    than the one that it has.
    """
    for line, record in run.records(addressed=True):
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
