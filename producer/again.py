"""Commands on runs that are there: how they stand, what failed, do it again, find what was lost."""

import dataclasses
import fnmatch
import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from clipfleet.broker import Broker, WorkerBeat
from clipfleet.errors import BrokerError, ExitCode, UsageError
from clipfleet.records import ClipRecord, ManifestLine
from clipfleet.settings import Settings, read_settings
from producer import commands, feed, manifest, report
from producer.plan import Job, begin
from producer.sources import printable, short_name

_console = Console(highlight=False)


def status(run_id: str, flags: dict[str, Any], *, as_json: bool) -> int:
    """`clipfleet status`: how a run stands, by the store and the broker."""
    settings = commands.store_settings(flags)
    job, found = _read(settings, run_id)
    standing = report.standing(record for _, record in found)
    backlog: dict[str, int] | None = None
    workers: list[WorkerBeat] = []
    away = None
    try:
        broker = Broker(settings.broker.get_secret_value())
        backlog, workers = broker.backlog(), broker.workers()
    except BrokerError as error:  # what the store says is true without it
        away = str(error)
    if as_json:
        beats = [dataclasses.asdict(beat) for beat in workers]
        print(json.dumps({"run": run_id, **standing, "backlog": backlog, "workers": beats}))
    else:
        failed = [(line, r) for line, r in found if r is not None and not r.valid]
        if failed:
            _console.print(report.clip_table(failed, enhance=job.options.enhance.enabled))
        _console.print(report.status_table(run_id, standing, backlog, workers))
        if away:
            _console.print(away, style="yellow", soft_wrap=True, markup=False)
    return ExitCode.FAILED_CLIPS if standing["failed"] else ExitCode.OK


def failures(run_id: str | None, flags: dict[str, Any], *, as_json: bool) -> int:
    """`clipfleet failures`: what went wrong in a run; without one, which messages were refused."""
    if run_id is None:
        return _refusals(flags, as_json=as_json)
    job, found = _stored(commands.store_settings(flags), run_id)
    failed = [(line, record) for line, record in found if record is not None and not record.valid]
    if as_json:
        for line, record in failed:
            errors = [each.model_dump() for each in record.failures()]
            print(json.dumps({"clip": line.source, "clip_uuid": line.clip_uuid, "errors": errors}))
    else:
        table = Table(box=None, header_style="dim", pad_edge=False)
        for name in ("clip", "step", "frames", "error", "what it said"):
            table.add_column(name, overflow="fold")
        for line, record in failed:
            for each in record.failures():
                frames = "" if each.start_frame is None else f"{each.start_frame}–{each.end_frame}"
                row = (short_name(line.source), each.step, frames, each.error, each.message)
                table.add_row(*(escape(printable(cell)) for cell in row))
        if failed:
            _console.print(table)
        missing = sum(record is None for _, record in found)
        _console.print(
            f"{len(failed)} of {len(job.clips)} clips have errors, {missing} have no record yet."
            + (f" To do them again: clipfleet retry {run_id}" if failed else ""),
            soft_wrap=True,
        )
    return ExitCode.FAILED_CLIPS if failed else ExitCode.OK


def _refusals(flags: dict[str, Any], *, as_json: bool) -> int:
    settings = read_settings(broker=flags["broker"])
    refused = Broker(settings.broker.get_secret_value()).refusals()
    if as_json:
        for each in refused:
            print(json.dumps(each))
        return ExitCode.OK
    for each in refused:
        line = f"{each['at']}  {each['worker']}  on {each['queue']}: {each['reason']}"
        _console.print(printable(line), soft_wrap=True, markup=False)
    _console.print(f"Messages refused because they were none of ours: {len(refused)}")
    return ExitCode.OK


def retry(
    run_id: str, flags: dict[str, Any], *, only: Sequence[str], wait: bool, stage: bool | None
) -> int:
    """`clipfleet retry`: do a run's failed clips again, as a run of their own."""
    settings = commands.fleet_settings(flags)
    job, found = _stored(settings, run_id)
    failed = [
        line.model_copy(update={"redo": True})
        for line, record in found
        if record is not None and not record.valid and _is_meant(line, record, only)
    ]
    if not failed:
        _console.print("There is nothing to do again.")
        return ExitCode.OK
    again = Job(
        run_id=manifest.check_run_id(flags["run_id"] or manifest.new_run_id()),
        options=job.options,
        store=job.store,
        clips=failed,
        todo=failed,
        problems=[],
    )
    manifest.check_free(again.store, again.run_id, again.options)
    begin(again.store, again.run_id, again.options, failed, failed)
    return commands.send(again, settings, flags, wait=wait, stage=stage)


def _is_meant(line: ManifestLine, record: ClipRecord, only: Sequence[str]) -> bool:
    """Whether one of `only` names its error, the step it failed in, or the clip (* for any)."""
    if not only:
        return True
    names = {line.source, short_name(line.source)}
    names |= {name for each in record.failures() for name in (each.error, each.step)}
    return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in only)


def reconcile(run_id: str, flags: dict[str, Any], *, following: bool, stage: bool | None) -> int:
    """`clipfleet reconcile`: hold a run's manifest against its records, and feed what is lost."""
    settings = commands.fleet_settings(flags)
    job, _ = _stored(settings, run_id)
    if following:
        return commands.follow(job, settings, flags, stage=stage, fed=True)
    if not job.todo:
        _console.print(f"All {len(job.clips)} clips have their records.")
        return ExitCode.OK
    held = Broker(settings.broker.get_secret_value()).messages()
    if held:
        _console.print(
            f"{len(job.todo)} of {len(job.clips)} clips have no record yet, and the broker holds "
            f"{held} messages: what is lost is known once it holds none. --follow waits for that.",
            soft_wrap=True,
        )
        return ExitCode.FAILED_CLIPS
    return commands.send(job, settings, flags, wait=False, stage=stage)


def _stored(
    settings: Settings, run_id: str
) -> tuple[Job, list[tuple[ManifestLine, ClipRecord | None]]]:
    """As `_read`. Raises `UsageError` for a run without clips as well."""
    job, found = _read(settings, run_id)
    if not job.clips:
        raise UsageError(f"run {run_id} has no clips in {job.store.uri}")
    return job, found


def _read(
    settings: Settings, run_id: str
) -> tuple[Job, list[tuple[ManifestLine, ClipRecord | None]]]:
    """A run as its manifest and its records have it. Raises `UsageError` where there is none."""
    store = settings.open_store(settings.store)
    options = manifest.read_options(store, manifest.check_run_id(run_id))
    clips = list(manifest.read_clips(store, run_id))
    with _console.status("looking at the run's records"):
        found = list(feed.find_done(store, clips, options.hash, run_id=run_id))
    todo = [line for line, record in found if record is None]
    job = Job(run_id=run_id, options=options, store=store, clips=clips, todo=todo, problems=[])
    return job, found
