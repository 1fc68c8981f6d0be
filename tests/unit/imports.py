"""Reads what a source does when it is imported, without importing it."""

import ast
import gc
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
# The packages that ship, and the folder that each lies in.
PACKAGES = {
    "clipfleet": ROOT,
    "clipfleet_producer": ROOT / "producer",
    "clipfleet_workers": ROOT / "workers",
}


def sources(package: str) -> dict[str, str]:
    """The text of every module of a package, by its path: `clipfleet_workers/cli.py`."""
    found = {
        str(path.relative_to(PACKAGES[package])): path.read_text("utf-8")
        for path in sorted((PACKAGES[package] / package).rglob("*.py"))
    }
    assert found, f"no module in {package}"
    return found


def parsed(source: str) -> ast.Module:
    """The tree of a source, made while no finalizer can run.

    One that compiles or parses something itself makes CPython 3.11's parser fail with "AST
    constructor recursion depth mismatch" (python/cpython#106905, mended in 3.12).
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(source)
    finally:
        if collects:
            gc.enable()


def environment_reads(source: str) -> list[int]:
    """The lines on which a source touches the environment when it is imported."""
    return sorted(
        node.lineno
        for node in _at_import(parsed(source))
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"})
        or (isinstance(node, ast.Name) and node.id in {"environ", "environb", "getenv"})
        or (isinstance(node, ast.Call) and _called(node) in {"getenv", "read_settings", "Settings"})
    )


def _at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run when the module is imported: not bodies of functions, but their defaults."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and _is_type_checking(child.test):
            for other in child.orelse:
                yield other
                yield from _at_import(other)
            continue
        yield child
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            defaults = [d for d in (*child.args.defaults, *child.args.kw_defaults) if d]
            for part in (*child.decorator_list, *defaults):
                yield part
                yield from _at_import(part)
        elif not isinstance(child, ast.Lambda):
            yield from _at_import(child)


def _is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def _called(node: ast.Call) -> str:
    return ast.unparse(node.func).rpartition(".")[2]
