"""`clipfleet sets`: the sets of a store, for people and for machines."""

import json
from typing import Any

from rich.text import Text

from clipfleet.errors import ExitCode
from clipfleet.printable import printable
from clipfleet.sets import label
from clipfleet_producer.cli.params import store_settings
from clipfleet_producer.cli.terminal import Console, size
from clipfleet_producer.runs.set_list import SetInfo
from clipfleet_producer.runs.set_list import list_sets as find_sets

_console = Console()


def list_sets(flags: dict[str, Any], *, as_json: bool) -> int:
    """`clipfleet sets`: list them; returns the exit code."""
    store = store_settings(flags).open_store()
    clips = 0
    with Console(stderr=True).status("looking at sets") as shown:

        def tick(count: int) -> None:
            nonlocal clips
            clips += count
            if clips % 1000 == 0:
                shown.update(f"looking at sets: {clips:,} clips so far")

        found = find_sets(store, tick=tick)
    if as_json:
        print(json.dumps([as_dict(info) for info in found]))
        return ExitCode.OK
    if not found:
        _console.print(f"There is no set in {printable(store.uri)} yet.", soft_wrap=True)
    for info in found:
        print_set(_console, info)
    return ExitCode.OK


def as_dict(info: SetInfo) -> dict[str, Any]:
    """A set for machines."""
    return {
        "set": info.name,
        "clips": info.clips,
        "record_bytes": info.record_bytes,
        "preview_bytes": info.preview_bytes,
        "created_at": info.created_at,
        "runs": info.runs,
        "products": sorted(info.file.products) if info.file else [],
        "models": {n: m.model_dump() for n, m in info.file.models.items()} if info.file else {},
        "differences": [
            {"option": each.what, "default_set": each.of_set, "this_set": each.asked}
            for each in info.differences
        ],
    }


def print_set(console: Console, info: SetInfo) -> None:
    """Print a set in a few lines: its name stands alone, so that no width cuts it."""
    console.print(Text(label(info.name), style="bold"), soft_wrap=True)
    plural = "clip" if info.clips == 1 else "clips"
    parts = [f"{info.clips:,} {plural}", size(info.num_bytes)]
    parts += [f"begun {info.created_at[:16].replace('T', ' ')}"] if info.created_at else []
    parts += [f"{info.runs:,} {'run' if info.runs == 1 else 'runs'}"]
    console.print(f"  {', '.join(parts)}", soft_wrap=True)
    for each in info.differences:
        line = f"  {each.what} {each.asked} (default set: {each.of_set})"
        console.print(Text(printable(line), style="cyan"), soft_wrap=True)
    if info.file is None and info.clips:
        console.print("  its options are not known: it has no set.json", soft_wrap=True)
