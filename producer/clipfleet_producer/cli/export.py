"""`clipfleet export`: what it shows while it writes, and what it says in the end."""

import json
import time
from pathlib import Path
from typing import Any

from clipfleet.errors import ExitCode, UsageError
from clipfleet.printable import printable
from clipfleet_producer.cli.params import stored_run
from clipfleet_producer.cli.terminal import console, duration, watched
from clipfleet_producer.export import Exported, ExportSpec, Format, Per, export_run, make_spec


def export(
    run_id: str,
    dest: str,
    flags: dict[str, Any],
    *,
    format: Format,
    per: Per,
    only_valid: bool,
    only_approved: bool,
    pictures: bool,
    escape_formulas: bool,
    shard_size: int | None,
    as_json: bool,
) -> int:
    """`clipfleet export`: write a run's results to the folder `dest`; returns the exit code."""
    console.stderr = as_json  # standard output is for one object at the end
    if "://" in dest:
        raise UsageError(
            f"{dest} is not a folder: an export goes to a folder of this machine, from where other "
            "tools copy it"
        )
    run = stored_run(run_id, flags)
    spec = make_spec(
        run.head,
        format,
        per=per,
        only_valid=only_valid,
        only_approved=only_approved,
        pictures=pictures,
        escape_formulas=escape_formulas,
        shard_size=shard_size,
    )
    began = time.monotonic()
    with watched(console, run.head.clips, "exporting") as tick:
        exported = export_run(run.store, run.head, spec, Path(dest).expanduser(), tick=tick)
    seconds = time.monotonic() - began
    _say(spec, exported, dest, seconds=seconds)
    code = ExitCode.FAILED_CLIPS if exported.counts.missing else ExitCode.OK
    if as_json:
        said = _figures(spec, exported, seconds=seconds)
        print(json.dumps({"run": run_id, "folder": dest, **said, "exit_code": int(code)}))
    return code


def _figures(spec: ExportSpec, exported: Exported, *, seconds: float) -> dict[str, Any]:
    return {
        "format": spec.format,
        "per": spec.per,
        **exported.counts.model_dump(exclude={"version"}),
        "parts": exported.parts,
        "parts_written": exported.parts_written,
        "remarks": exported.remarks,
        "seconds": round(seconds, 1),
    }


def _say(spec: ExportSpec, exported: Exported, dest: str, *, seconds: float) -> None:
    counts = exported.counts
    kept = exported.parts - exported.parts_written
    lines = [
        f"{counts.rows:,} rows, one a {spec.per}, of {counts.clips:,} clips in {dest} "
        f"({spec.format}): {exported.parts_written:,} parts written in {duration(seconds)}"
        + (f", {kept:,} were there." if kept else ".")
    ]
    lines += _counted(
        (counts.left_out, "clips were left out, as asked."),
        (counts.windowless, "clips have no windows, so no captions."),
        (counts.unreviewed, "clips have no verdict yet; the same command again looks anew."),
        (counts.missing, "clips have no record yet; the same command again adds them."),
    )
    for line in (*lines, *exported.remarks):
        console.print(printable(line), soft_wrap=True, markup=False)


def _counted(*counts: tuple[int, str]) -> list[str]:
    return [f"{count:,} {words}" for count, words in counts if count]
