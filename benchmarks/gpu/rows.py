"""Figures and ratios from the runs' results."""

from typing import Any

from benchmarks.report import Row

RATIOS = (
    *((f"ratio_vs_reference/{p}", f"worker-{p}", "reference-shipped") for p in ("fp8", "bf16")),
    *((f"ratio_vs_resized/{p}", f"worker-{p}", "reference-resized") for p in ("fp8", "bf16")),
    *((f"worker_vs_bare/{p}", f"worker-{p}", f"bare-{p}") for p in ("fp8", "bf16")),
    ("two_workers_vs_one/fp8", "two-workers-fp8", "worker-fp8"),
)


def rows(found: dict[str, dict[str, Any]]) -> list[Row]:
    """The figures of runs by name, and the ratios for which both are there."""
    rates = {name: each["windows_per_s"] for name, each in found.items() if "windows_per_s" in each}
    rows = [Row(f"windows_per_s/{name}", rate, "windows/s") for name, rate in rates.items()]
    for name, ours, theirs in RATIOS:
        if ours in rates and theirs in rates:
            rows.append(Row(name, rates[ours] / rates[theirs], f"times {theirs}"))
    for name, each in found.items():
        for number, busy in enumerate(each.get("busy", [])):
            rows.append(Row(f"gpu_busy/{name}/{number}", busy, "of the time"))
        if "front_cpu_ms_per_window" in each:
            rows.append(Row(f"front_cpu/{name}", each["front_cpu_ms_per_window"], "ms a window"))
        if "prompt_tokens" in each:
            rows.append(Row(f"prompt_tokens/{name}", each["prompt_tokens"], "tokens"))
        if name.startswith("anatomy-"):
            numbers = {key: value for key, value in each.items() if isinstance(value, float)}
            rows += [
                Row(f"{name.replace('-', '/')}/{key}", value, key.rpartition("_")[2])
                for key, value in numbers.items()
            ]
    return rows
