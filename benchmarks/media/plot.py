"""A plot of what `benchmarks.media` found: `python -m benchmarks.media.plot RESULT.json… PLOT.svg`.

CPU seconds on a logarithmic scale, so points and not bars: a bar's length would mean nothing.
"""

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path

from benchmarks.plot import document, text

WIDTH, LEFT, RIGHT, TOP, BOTTOM, ROW = 760, 150, 60, 56, 44, 26
SIDES = ("peer", "ours", "floor")
TITLE = "CPU seconds to prepare a clip and its previews"


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "result", type=Path, nargs="+", help="what `python -m benchmarks.media --json` wrote"
    )
    parser.add_argument("svg", type=Path)
    arguments = parser.parse_args()
    results = [json.loads(path.read_text()) for path in arguments.result]
    values = {row["name"]: row["value"] for result in results for row in result["rows"]}
    first = results[0]["machine"]
    machine = f"{first['processor']}, {first['cores']} cores"
    arguments.svg.write_text(draw(values, machine))


def draw(values: dict[str, float], machine: str) -> str:
    """The plot as SVG; `values` are the figures by name, such as `cpu_s_ours/10s-720p-h264`."""
    measured = [name.partition("/")[2] for name in values if name.startswith("cpu_ratio_vs_peer/")]
    names = [name for name in measured if all(f"cpu_s_{side}/{name}" in values for side in SIDES)]
    if not names:
        raise SystemExit("there is no clip in this result that the peer was measured on")
    seconds = [values[f"cpu_s_{side}/{name}"] for name in names for side in SIDES]
    low, high = math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)))
    height = TOP + ROW * len(names) + BOTTOM

    def x(value: float) -> float:
        return LEFT + (math.log10(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    parts = [_legend()]
    for exponent in range(low, high + 1):
        at = x(10**exponent)
        parts.append(f'<path class="grid" d="M{at:.1f} {TOP - 6}V{height - BOTTOM + 4}"/>')
        label = f"{10.0**exponent:g} s"
        parts.append(text(at, height - BOTTOM + 18, label, kind="small", anchor="middle"))
    for number, name in enumerate(names):
        parts += _row(name, values, TOP + ROW * (number + 0.5), x)
    parts.append(text(LEFT, height - 8, machine, kind="small"))
    return document(TITLE, WIDTH, height, parts)


def _row(name: str, values: dict[str, float], y: float, x: Callable[[float], float]) -> list[str]:
    peer, ours, floor = (x(values[f"cpu_s_{side}/{name}"]) for side in SIDES)
    ratio = values[f"cpu_ratio_vs_peer/{name}"]
    return [
        text(LEFT - 12, y + 4, name, anchor="end"),
        f'<path class="gap" d="M{ours:.1f} {y:.1f}H{peer:.1f}"/>',
        f'<path class="floor" d="M{floor:.1f} {y - 8:.1f}v16"/>',
        f'<circle class="peer" cx="{peer:.1f}" cy="{y:.1f}" r="6"/>',
        f'<circle class="ours" cx="{ours:.1f}" cy="{y:.1f}" r="6"/>',
        text(peer + 12, y + 4, f"{ratio:.2g}×" if ratio < 10 else f"{ratio:.0f}×"),
    ]


def _legend() -> str:
    at = LEFT
    parts = [text(at, 18, TITLE)]
    for kind, label, width in (
        ("ours", "clipfleet", 92),
        ("peer", "NeMo Curator 1.4.0", 152),
        ("floor", "decoding alone, one thread", 0),
    ):
        if kind == "floor":
            parts.append(f'<path class="floor" d="M{at + 6} 28v16"/>')
        else:
            parts.append(f'<circle class="{kind}" cx="{at + 6}" cy="36" r="6"/>')
        parts.append(text(at + 18, 40, label))
        at += width + 12
    return "\n".join(parts)


if __name__ == "__main__":
    main()
