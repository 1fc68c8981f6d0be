"""What every plot is drawn with: SVG that follows the reader's theme."""

from collections.abc import Iterable
from html import escape

# Colours that stand out from white and from black alike; text follows the reader's theme.
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.small { font-size: 11px; fill: #59636e }
.grid { stroke: #8b949e; stroke-opacity: .35 }
.gap { stroke: #8b949e; stroke-width: 2 }
.peer { fill: #d1622b }
.ours { fill: #2f7ed8 }
.floor { stroke: #6aa84f; stroke-width: 3 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .small { fill: #9198a1 } }
""".strip()


def document(title: str, width: float, height: float, parts: Iterable[str]) -> str:
    """The whole SVG."""
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">'
    )
    titled = f"<title>{escape(title)}</title>"
    return "\n".join([opening, titled, f"<style>{_STYLE}</style>", *parts, "</svg>", ""])


def text(x: float, y: float, words: str, *, kind: str = "", anchor: str = "start") -> str:
    """Words at a place; `anchor` is start, middle or end."""
    kind = f' class="{kind}"' if kind else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
