"""Who may import whom: producers and workers share `clipfleet` and never see each other."""

from collections.abc import Callable

import pytest

from tests.unit.imports import environment_reads, imported, packages, sources

FORBIDDEN = {
    "clipfleet": {"producer", "workers", "review"},
    "producer": {"workers", "review"},
    "workers": {"producer", "review"},
}
UNSHIPPED = {"tests", "benchmarks", "training"}
HEAVY = {"torch", "av", "vllm", "numpy", "transformers"}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_a_package_imports_none_that_it_must_not_know(package: str) -> None:
    broken = {
        path: found
        for path, source in sources(package).items()
        if (found := packages(imported(source, path=path)) & (FORBIDDEN[package] | UNSHIPPED))
    }

    assert broken == {}


@pytest.mark.parametrize("package", ["clipfleet", "producer"])
def test_a_package_can_be_imported_without_what_only_workers_install(package: str) -> None:
    broken = {
        path: found
        for path, source in sources(package).items()
        if (found := packages(imported(source, path=path, at_import_only=True)) & HEAVY)
    }

    assert broken == {}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_module_reads_the_environment_when_it_is_imported(package: str) -> None:
    broken = {
        path: lines
        for path, source in sources(package).items()
        if (lines := environment_reads(source))
    }

    assert broken == {}


# What the scanner must see, and what only looks like it: (what is asked of a source, sources).
SEEN: dict[str, tuple[Callable[[str], bool], list[str], list[str]]] = {
    "another package": (
        lambda source: "workers" in packages(imported(source, path="producer/sub/module.py")),
        [
            "import workers",
            "import workers.media.decode as d",
            "from workers import models",
            "from workers.media.decode import index",
            "from ...workers import models",
            "def f():\n    from workers.models import find",
            "import typing\nif typing.TYPE_CHECKING:\n    import workers.models",
            "try:\n    import workers\nexcept ImportError:\n    pass",
            "import importlib\nimportlib.import_module('workers.models')",
            "__import__('workers')",
        ],
        ["from . import feed", "import clipfleet.workers_", "workers = 1"],
    ),
    "a heavy import at module level": (
        lambda source: (
            "torch" in packages(imported(source, path="producer/module.py", at_import_only=True))
        ),
        [
            "import torch",
            "import torch.nn as nn",
            "from torch import Tensor",
            "try:\n    import torch\nexcept ImportError:\n    torch = None",
            "class A:\n    import torch",
            "if True:\n    import torch",
            "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    pass\nelse:\n    import torch",
        ],
        [
            "def f():\n    import torch",
            "async def f():\n    from torch import Tensor",
            "class A:\n    def f(self):\n        import torch",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch",
        ],
    ),
    "a read of the environment at import": (
        lambda source: environment_reads(source) != [],
        [
            "import os\nHOME = os.environ['HOME']",
            "import os\nHOME = os.environ.get('HOME')",
            "import os\nHOME = os.getenv('HOME')",
            "from os import environ\nHOME = environ['HOME']",
            "from os import getenv\nHOME = getenv('HOME')",
            "import os\nclass A:\n    home = os.environ['HOME']",
            "import os\ndef f(home=os.environ['HOME']): ...",
            "import os\nif os.environ.get('DEBUG'):\n    pass",
            "from clipfleet.settings import Settings\nSETTINGS = Settings()",
        ],
        [
            "import os\ndef home():\n    return os.environ['HOME']",
            "import os\nhome = lambda: os.environ['HOME']",
            "from clipfleet.settings import Settings\ndef f(settings: Settings) -> None: ...",
        ],
    ),
}


@pytest.mark.parametrize("what", SEEN)
def test_the_scanner_sees_it_wherever_it_stands_and_nothing_else(what: str) -> None:
    sees, there, not_there = SEEN[what]

    assert [source for source in there if not sees(source)] == []
    assert [source for source in not_there if sees(source)] == []
