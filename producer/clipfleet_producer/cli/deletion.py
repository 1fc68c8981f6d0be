"""`clipfleet delete`: a set, or single clips of one; asks first."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from clipfleet import keys
from clipfleet.errors import ExitCode, UsageError
from clipfleet.presigned import shown
from clipfleet.printable import printable
from clipfleet.sets import label, read_set_name
from clipfleet.store import Store
from clipfleet_producer.cli.clip_names import clip_uuids
from clipfleet_producer.cli.params import store_settings
from clipfleet_producer.cli.terminal import Console, size, watched
from clipfleet_producer.runs.deletion import Doomed, find_doomed
from clipfleet_producer.runs.deletion import delete as take_down

_NAMED = 5

_console = Console()


def delete(clips: Sequence[str], set_name: str | None, flags: dict[str, Any]) -> int:
    """`clipfleet delete`: say what goes, ask, and take it down; returns the exit code."""
    if not clips and set_name is None:
        raise UsageError("name what to delete: --set NAME for a whole set, or CLIPs")
    name = read_set_name(set_name or "")
    store = store_settings(flags).open_store()
    uuids = {_uuid(store, name, clip): clip for clip in clips}
    with Console(stderr=True).status("looking for what there is"):
        doomed = find_doomed(store, name, uuids or None)
        whole = not clips and bool(doomed.objects or store.exists(keys.set_file(name)))
    missing = [shown(uuids[uuid]) for uuid in doomed.missing]
    as_json, dry = flags["as_json"], flags["dry_run"]
    if not as_json:
        _say(doomed, missing, store.uri)
    if not doomed.objects and not whole:
        _print_json(doomed, missing, deleted=0, as_json=as_json)
        return ExitCode.FAILED_CLIPS if missing else ExitCode.OK
    deleted = 0
    if not dry:
        _make_sure(doomed, yes=flags["yes"])
        with watched(Console(stderr=True), doomed.objects, "deleting", of="objects") as tick:
            deleted = take_down(store, doomed, tick=tick)
        if not as_json:
            _console.print(f"Deleted {deleted:,} objects.")
    _print_json(doomed, missing, deleted=deleted, as_json=as_json)
    return ExitCode.FAILED_CLIPS if missing else ExitCode.OK


def _uuid(store: Store, set_name: str, clip: str) -> str:
    """The clip that is meant by an address: never by its name alone, which others may have."""
    names = clip_uuids(clip)
    return next((n for n in names if store.exists(keys.record(n, set_name))), names[0])


def _say(doomed: Doomed, missing: Sequence[str], uri: str) -> None:
    of = f"set {label(doomed.set_name)}"
    if doomed.clips is not None:
        found = len(doomed.clips) - len(missing)
        of = f"{found:,} {'clip' if found == 1 else 'clips'} of {of}"
    kinds = [f"{count:,} {kind}" for kind, count in doomed.counts.items() if count]
    what = f"{', '.join(kinds)} ({size(doomed.num_bytes)})" if kinds else "nothing"
    _console.print(
        f"{of[0].upper()}{of[1:]} in {printable(uri)}: {what}.", soft_wrap=True, markup=False
    )
    for clip in missing[:_NAMED]:
        line = f"clipfleet: {printable(clip)}: there is nothing of it in this set"
        _console.print(line, style="red", soft_wrap=True, markup=False)
    if len(missing) > _NAMED:
        _console.print(f"clipfleet: … and {len(missing) - _NAMED:,} more like this", style="red")


def _make_sure(doomed: Doomed, *, yes: bool) -> None:
    """Ask. Raises `UsageError` where nobody can answer, or the answer is no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody can be asked here: give --yes to delete it, or --dry-run")
    if not click.confirm("Delete it? There is no way back.", err=True):
        raise UsageError("nothing was deleted")


def _print_json(doomed: Doomed, missing: Sequence[str], *, deleted: int, as_json: bool) -> None:
    if not as_json:
        return
    clips = None if doomed.clips is None else len(doomed.clips)
    said = {"set": doomed.set_name, "clips": clips, **doomed.counts, "bytes": doomed.num_bytes}
    print(json.dumps({**said, "missing": list(missing), "deleted": deleted}))
