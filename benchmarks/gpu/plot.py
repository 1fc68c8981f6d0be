"""A plot of what `benchmarks.gpu` found: `python -m benchmarks.gpu.plot RESULT.json… PLOT.svg`."""

import argparse
import json
from pathlib import Path

from benchmarks.plot import document, text

TITLE = "Windows captioned in a second by one GPU, Qwen2.5-VL-7B's shape"
WIDTH, LEFT, RIGHT, TOP, BOTTOM, ROW = 760, 290, 60, 40, 44, 26
BARS = (
    ("reference-shipped", "peer", "reference loop as shipped, bfloat16"),
    ("reference-resized", "peer", "reference loop on resized frames, bfloat16"),
    ("worker-bf16", "ours", "our worker, bfloat16"),
    ("worker-fp8", "ours", "our worker, fp8"),
)


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path, nargs="+", help="what `benchmarks.gpu --json` wrote")
    parser.add_argument("svg", type=Path)
    given = parser.parse_args()
    rates: dict[str, float] = {}
    for path in reversed(given.result):  # the first that has a figure says it
        result = json.loads(path.read_text())
        for row in result["rows"]:
            kind, _, name = row["name"].partition("/")
            if kind == "windows_per_s":
                rates[name] = row["value"]
        gpu = result["settings"]["gpu"]
    given.svg.write_text(draw(rates, gpu))


def draw(rates: dict[str, float], gpu: str) -> str:
    """The plot as SVG; `rates` are windows a second by run."""
    height = TOP + ROW * len(BARS) + BOTTOM
    scale = (WIDTH - LEFT - RIGHT) / max(rates[name] for name, _, _ in BARS)
    parts = [text(LEFT, 18, TITLE)]
    for number, (name, kind, label) in enumerate(BARS):
        y = TOP + ROW * number
        wide = rates[name] * scale
        parts += [
            text(LEFT - 12, y + 14, label, anchor="end"),
            f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{wide:.1f}" height="18" rx="3"/>',
            text(LEFT + wide + 8, y + 14, f"{rates[name]:.2f}"),
        ]
    return document(TITLE, WIDTH, height, [*parts, text(LEFT, height - 14, gpu, kind="small")])


if __name__ == "__main__":
    main()
