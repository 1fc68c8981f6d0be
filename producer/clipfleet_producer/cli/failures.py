"""`clipfleet failures`: the errors of a run, and the messages that workers refused."""

import json
from typing import Any

from rich.markup import escape
from rich.table import Table

from clipfleet.errors import ExitCode, UsageError
from clipfleet.printable import printable
from clipfleet.records import Failure
from clipfleet.settings import read_settings
from clipfleet_producer.cli.params import stored_run
from clipfleet_producer.cli.terminal import console
from clipfleet_producer.sources.uris import short_name

_ROWS_AT_ONCE = 500


def failures(run_id: str | None, flags: dict[str, Any], *, as_json: bool) -> int:
    """`clipfleet failures`: print a run's errors; without a run, the messages that were refused."""
    if run_id is None:
        if flags.get("set_name") is not None:
            raise UsageError("--set goes with RUN: refused messages are of no set")
        return _refusals(flags, as_json=as_json)
    run = stored_run(run_id, flags)
    failed = missing = 0
    rows: list[tuple[str, Failure]] = []
    for line, record in run.records():
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
                console.print(_failure_table(rows))
                rows.clear()
    if not as_json:
        if rows:
            console.print(_failure_table(rows))
        console.print(
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
        console.print(printable(line), soft_wrap=True, markup=False)
    console.print(f"Unrecognised messages, refused by workers: {len(refused)}")
    return ExitCode.OK
