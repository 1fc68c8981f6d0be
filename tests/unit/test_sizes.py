"""No file is longer than 400 lines, and no function than 50, but for a reason."""

import ast
from collections.abc import Iterator

from tests.unit.imports import ROOT, parsed

LONGEST_FILE, LONGEST_FUNCTION = 400, 50
FOLDERS = ("benchmarks", "clipfleet", "deploy", "producer", "tests", "training", "workers")
REASONS = {
    "producer/clipfleet_producer/api.py: submit": "most of it names its parameters",
    "producer/clipfleet_producer/cli/params.py: clip_flags": "a list of flags",
    "tests/support/clips.py: encode": "half of it says what its parameters are",
}


def too_long(path: str, source: str) -> Iterator[str]:
    """The file, if it is too long, and those of its functions that are."""
    if source.count("\n") > LONGEST_FILE:
        yield path
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            if node.end_lineno - node.lineno >= LONGEST_FUNCTION:
                yield f"{path}: {node.name}"


FOUND = {
    each
    for file in (*ROOT.glob("*.py"), *(f for name in FOLDERS for f in (ROOT / name).rglob("*.py")))
    for each in too_long(str(file.relative_to(ROOT)), file.read_text("utf-8"))
}


def test_nothing_is_too_long_but_for_a_reason() -> None:
    assert FOUND - set(REASONS) == set()


def test_every_reason_is_of_what_is_too_long() -> None:
    assert set(REASONS) - FOUND == set()


def test_a_line_too_many_is_seen() -> None:
    function = "def f():\n" + "    x = 1\n" * (LONGEST_FUNCTION - 1)

    assert list(too_long("a.py", function)) == []
    assert list(too_long("a.py", function + "    x = 1\n")) == ["a.py: f"]
    assert list(too_long("a.py", "x = 1\n" * LONGEST_FILE)) == []
    assert list(too_long("a.py", "x = 1\n" * (LONGEST_FILE + 1))) == ["a.py"]
