"""Where Python finds the code of a checkout: this one's, or that of a copy of it."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]


def python_path(tree: Path = ROOT) -> str:
    """PYTHONPATH for the packages, tests and benchmarks of a tree, before what is installed."""
    return os.pathsep.join(map(str, (tree, tree / "producer", tree / "workers")))
