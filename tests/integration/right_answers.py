"""The page docs/right-answers.md; run as a module, it is written anew."""

import re
from collections.abc import Sequence
from pathlib import Path

from clipfleet.records import SourceInfo
from tests.support.corpus.answers import answer, is_right
from tests.support.corpus.case import Case
from tests.support.corpus.cases import TOPICS

DOCS = Path(__file__).parents[2] / "docs" / "right-answers.md"


# What most cases are, and a row therefore leaves out where it is so and its topic is another.
USUAL = {"size": "192×128", "codec": "h264 yuv420p", "colours": "bt601 (guessed) limited"}
ABOUT = {
    "Codecs": {"codec"},
    "Colours": {"codec", "colours"},
    "Turned and mirrored": {"size"},
    "Pixels that are not square": {"size"},
    "Sizes": {"size"},
}

Parts = dict[str, str]


def expected(case: Case) -> Parts:
    """What must be found."""
    if case.unreadable:
        return {"refused": f"refused: {case.unreadable}"}
    count = len(case.shown())
    least = count if case.at_least is None else case.at_least
    windows = [(0, count - 1)] if case.windows is None else list(case.windows)
    matrix = case.look.matrix if case.matrix == "" else case.matrix
    return {
        "frames": _counted(f"{count}" if least == count else f"{least} to {count}"),
        "rate": "" if case.rate is None else _rate(case.rate),
        "size": f"{round(case.size[0] * case.look.aspect)}×{case.size[1]}",
        "codec": f"{case.codec} {case.pixel_format}",
        "colours": _colours(matrix, case.guessed, case.look.full_range, case.transfer),
        "turned": _turned(case.turned, case.mirrored),
        "aspect": _aspect(case.look.aspect),
        "fields": "top fields" if case.look.interlaced else "",
        "windows": "" if case.at_least is not None else _windows(windows),
        "sampling": f"sampled by {case.sampling}" if case.sampling and windows else "",
        "right": "all right" if windows else "",
        "streams": f"{case.video_streams} video streams" if case.video_streams != 1 else "",
        "warnings": ", ".join("a warning" for _ in case.warnings),
    }


def found(case: Case) -> Parts:
    """What was found, of what is asked."""
    it = answer(case.name)
    if it.source is None:
        return {"refused": f"refused: {it.error}"}
    source, windows = it.source, it.at_source_size or it.at_model_size
    seen = [seen for window in windows for seen in window.frames]
    right = sum(is_right(case, each) for each in seen)
    width, height = it.at_source_size[0].size if it.at_source_size else _shown_size(source)
    sampled = f"sampled by {it.planned[0].sampling}" if case.sampling and it.planned else ""
    spans = [(plan.start_frame, plan.end_frame) for plan in it.planned]
    return {
        "frames": _counted(str(source.num_frames)),
        "rate": "" if case.rate is None else _rate(source.framerate),
        "size": f"{width}×{height}",
        "codec": f"{source.video_codec} {source.pixel_format}",
        "colours": _colours(
            None if case.matrix is None else source.color_matrix,
            None if case.guessed is None else source.color_matrix_guessed,
            source.color_range == "full",
            None if case.transfer is None else source.color_transfer,
        ),
        "turned": _turned(source.rotation_degrees, source.mirrored),
        "aspect": _aspect(source.pixel_aspect_ratio),
        "fields": "top fields" if source.interlaced else "",
        "windows": "" if case.at_least is not None else _windows(spans),
        "sampling": sampled,
        "right": _right(right, len(seen)),
        "streams": f"{source.video_streams} video streams" if source.video_streams != 1 else "",
        "warnings": ", ".join(f"“{warning}”" for warning in it.warnings),
    }


def _counted(number: str) -> str:
    return f"{number} {'frame' if number == '1' else 'frames'}"


def _rate(rate: float) -> str:
    return f"{round(rate, 2):g} fps"


def _shown_size(source: SourceInfo) -> tuple[int, int]:
    return round(source.width * source.pixel_aspect_ratio), source.height


def _colours(matrix: str | None, guessed: bool | None, full: bool, transfer: str | None) -> str:
    words = (
        matrix or "",
        "(guessed)" if guessed else "",
        "full" if full else "limited",
        transfer or "",
    )
    return " ".join(word for word in words if word)


def _turned(degrees: int, mirrored: bool) -> str:
    words = ("mirrored" if mirrored else "", f"turned {degrees}°" if degrees else "")
    return ", ".join(word for word in words if word)


def _aspect(aspect: float) -> str:
    return f"pixels {aspect:.3g}:1" if abs(aspect - 1) > 1e-3 else ""


def _windows(windows: Sequence[tuple[int, int]]) -> str:
    if not windows:
        return "no window"
    if len(windows) == 1:
        return ""
    spans = ", ".join(f"{start}–{end}" for start, end in windows[:4])
    more = f" and {len(windows) - 4} more" if len(windows) > 4 else ""
    return f"windows {spans}{more}"


def _right(right: int, of: int) -> str:
    if not of:
        return ""
    return "all right" if right == of else f"{right} of {of} right"


HEAD = """# Right answers

Every kind of file that the tests know, what must be found in it, and what is found. The files are
made by the tests; frames carry their numbers, and pixels are compared with a full decode whose
colours are computed from the standards' own numbers. “All right” means: each sampled frame is the
one that it says it is, no block of it is off, and flat colours are within 2 of 255.

Where a row says nothing else, the file is 192×128 in H.264, 8 bits 4:2:0, limited range, and its
matrix is not said: BT.601 is taken.

This page is written by `python -m tests.integration.right_answers`, and a test holds it to what
the code does.
"""


def page() -> str:
    """The docs page: a table for each topic."""
    lines = [HEAD]
    for topic, cases in TOPICS.items():
        lines += [f"## {topic}", "", "| case | expected | found |", "|---|---|---|"]
        lines += [_row(case, ABOUT.get(topic, set())) for case in cases]
        lines.append("")
    return "\n".join(lines)


def _row(case: Case, about: set[str]) -> str:
    sides = expected(case), found(case)

    def is_told(part: str) -> bool:
        usual = {side.get(part, "") for side in sides} == {USUAL.get(part)}
        return part in about or not usual

    cells = [case.name] + [
        ", ".join(text for part, text in side.items() if text and is_told(part)) for side in sides
    ]
    return "| " + " | ".join(re.sub(r"\s+", " ", c).replace("|", "\\|") for c in cells) + " |"


if __name__ == "__main__":
    DOCS.write_text(page())
