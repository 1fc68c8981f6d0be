"""What every benchmark prints and writes: rows of name, value and unit, and the machine."""

import json
import os
import platform
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


def publish(title: str, rows: list[Row], *, json_file: Path | None) -> None:
    """Print the rows as a table and, with `json_file`, write them with the machine."""
    about = machine()
    table = Table(title=title, title_justify="left", box=None, header_style="dim")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("unit")
    for row in rows:
        table.add_row(row.name, f"{row.value:,.3g}", row.unit)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{about['processor']}, {about['cores']} cores", style="dim")
    if json_file is not None:
        text = json.dumps({"machine": about, "rows": [asdict(row) for row in rows]}, indent=1)
        json_file.write_text(text + "\n")
