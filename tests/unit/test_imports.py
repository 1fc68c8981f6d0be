"""Who may import whom: the sides never see each other, and within a side imports go down."""

from collections.abc import Callable

import pytest

from tests.unit.imports import PACKAGES, environment_reads, imported, packages, sources

SIDES = {"clipfleet_producer", "clipfleet_workers", "clipfleet_review"}
FORBIDDEN = {package: SIDES - {package} for package in PACKAGES}
FACADE = "clipfleet/__init__.py"  # hands users the producer's API, once they ask for it
# The rooms of each side from the top down. Those on one floor do not see each other.
FLOORS: dict[str, list[set[str]]] = {
    "clipfleet_producer": [
        {"__main__"},
        {"cli"},
        {"api"},
        {"feeding", "embedded", "export", "samples"},
        {"runs"},
        {"sources"},
        {"prefetch"},
    ],
    "clipfleet_workers": [
        {"__main__"},
        {"cli"},
        {"supervisor", "delivery"},
        {"steps"},
        {"context"},
        {"media", "inference", "sources"},
    ],
}
UNSHIPPED = {"tests", "benchmarks", "training"}
HEAVY = {"torch", "av", "vllm", "numpy", "transformers"}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_a_package_imports_none_that_it_must_not_know(package: str) -> None:
    broken = {
        path: found
        for path, source in sources(package).items()
        if path != FACADE
        and (found := packages(imported(source, path=path)) & (FORBIDDEN[package] | UNSHIPPED))
    }

    assert broken == {}


def test_the_facade_imports_no_side_until_it_is_asked() -> None:
    source = sources("clipfleet")[FACADE]

    assert packages(imported(source, path=FACADE, at_import_only=True)) & SIDES == set()


@pytest.mark.parametrize("package", FLOORS)
def test_imports_within_a_side_go_down(package: str) -> None:
    broken = {
        path: found for path, source in sources(package).items() if (found := upward(source, path))
    }

    assert broken == {}


@pytest.mark.parametrize("package", FLOORS)
def test_every_room_has_one_floor(package: str) -> None:
    rooms = [room for floor in FLOORS[package] for room in floor]

    assert sorted(rooms) == sorted({room_of(path) for path in sources(package)} - {"__init__"})


def upward(source: str, path: str) -> set[str]:
    """The rooms that a module imports from, and that are not below its own."""
    package, room = path.partition("/")[0], room_of(path)
    floors = FLOORS[package]
    at = next((n for n, floor in enumerate(floors) if room in floor), len(floors))
    below = set().union(*floors[at + 1 :])
    rooms = set().union(*floors)
    names = (name.split(".") for name in imported(source, path=path))
    found = {name[1] for name in names if name[0] == package and len(name) > 1}
    return (found & rooms) - below - {room}


def room_of(path: str) -> str:
    """The room that a module is in, or is."""
    return path.split("/")[1].removesuffix(".py")


@pytest.mark.parametrize("package", ["clipfleet", "clipfleet_producer"])
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
        lambda source: (
            "clipfleet_workers"
            in packages(imported(source, path="clipfleet_producer/sub/module.py"))
        ),
        [
            "import clipfleet_workers",
            "import clipfleet_workers.media.decode as d",
            "from clipfleet_workers import models",
            "from clipfleet_workers.media.decode import index",
            "from ...clipfleet_workers import models",
            "def f():\n    from clipfleet_workers.models import find",
            "import typing\nif typing.TYPE_CHECKING:\n    import clipfleet_workers.models",
            "try:\n    import clipfleet_workers\nexcept ImportError:\n    pass",
            "import importlib\nimportlib.import_module('clipfleet_workers.models')",
            "__import__('clipfleet_workers')",
        ],
        ["from . import feed", "import clipfleet.clipfleet_workers_", "clipfleet_workers = 1"],
    ),
    "a room that is not below": (
        lambda source: upward(source, "clipfleet_producer/runs/model.py") != set(),
        [
            "from clipfleet_producer.cli import terminal",
            "from clipfleet_producer.cli.terminal import Console",
            "import clipfleet_producer.feeding.feeder",
            "from clipfleet_producer import api",
            "from ..feeding import feeder",
            "def f():\n    from clipfleet_producer.api import Fleet",
            "import typing\nif typing.TYPE_CHECKING:\n    import clipfleet_producer.export",
        ],
        [
            "from clipfleet_producer.runs import manifest",
            "from . import manifest",
            "from clipfleet_producer.sources.uris import local_path",
            "from clipfleet_producer import prefetch",
            "from clipfleet import keys",
        ],
    ),
    "a room beside": (
        lambda source: upward(source, "clipfleet_workers/media/decode.py") != set(),
        ["from clipfleet_workers.inference import engine"],
        ["from clipfleet_workers.media import windows", "import numpy"],
    ),
    "a heavy import at module level": (
        lambda source: (
            "torch"
            in packages(imported(source, path="clipfleet_producer/module.py", at_import_only=True))
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
