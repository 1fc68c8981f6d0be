"""What every benchmark prints and writes: rows of name, value and unit, and the machine."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from clipfleet import __version__


@dataclass(frozen=True)
class Row:
    """One figure. Names stay the same from version to version, so that figures can be followed."""

    name: str
    value: float
    unit: str


def machine() -> dict[str, Any]:
    """The machine that the figures come from."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "clipfleet": __version__,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def publish(
    title: str,
    rows: list[Row],
    *,
    json_file: Path | None,
    settings: dict[str, str] | None = None,
    tables: Sequence[Table] = (),
) -> None:
    """Print the rows as a table and, with `json_file`, write them with the machine.

    `settings` say what else the figures depend on. `tables` take the place of the one with a line
    for each row.
    """
    about = machine()
    console = Console(highlight=False)
    if tables:
        console.print(title, style="italic")
    for each in tables or (_table(title, rows),):
        console.print(each)
    console.print(f"{about['processor']}, {about['cores']} cores", style="dim")
    for name, value in (settings or {}).items():
        console.print(f"{name}: {value}", style="dim")
    if json_file is not None:
        write(rows, json_file, settings=settings)


def _table(title: str, rows: list[Row]) -> Table:
    table = Table(title=title, title_justify="left", box=None, header_style="dim")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("unit")
    for row in rows:
        table.add_row(row.name, f"{row.value:,.3g}", row.unit)
    return table


def write(rows: list[Row], json_file: Path, *, settings: dict[str, str] | None = None) -> None:
    """Write the rows with the machine; atomically."""
    content: dict[str, Any] = {"machine": machine()}
    if settings:
        content["settings"] = settings
    content["rows"] = [asdict(row) for row in rows]
    unfinished = json_file.with_name(f".{json_file.name}.part")
    unfinished.write_text(json.dumps(content, indent=1) + "\n")
    unfinished.replace(json_file)
