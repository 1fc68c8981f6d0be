"""Who may import whom, as pyproject.toml's contracts say; and what no contract can say."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clipfleet.queues import QUEUES
from tests.unit.imports import PACKAGES, ROOT, environment_reads, sources

LINTER = Path(sys.executable).with_name("lint-imports")
# An import by name is one that the contracts do not see. So only these do it.
BY_NAME = {
    "clipfleet/__init__.py",  # what users ask of the facade
    "clipfleet/store/__init__.py",  # the store whose address it is
    "clipfleet_producer/export/libraries.py",  # what an extra installs
    "clipfleet_workers/delivery/tasks.py",  # the step of a queue that the worker serves
    "clipfleet_workers/inference/loader.py",  # the engine that is set
}
# (where, what is planted as the last line, what the linter must name)
PLANTED = [
    (
        "clipfleet/keys.py",
        "import clipfleet_workers.media.windows as w",
        "clipfleet.keys -> clipfleet_workers.media.windows",
    ),
    ("clipfleet/grid.py", "from torch import Tensor", "clipfleet.grid -> torch"),
    (
        "clipfleet/clock.py",
        "def f():\n    from tests.support import clock",
        "clipfleet.clock -> tests",
    ),
    (
        "clipfleet_producer/api.py",
        "try:\n    from clipfleet_workers.cli import main\nexcept ImportError:\n    pass",
        "clipfleet_producer.api -> clipfleet_workers.cli",
    ),
    (
        "clipfleet_producer/runs/names.py",
        "def f():\n    from ..feeding import feeder",
        "clipfleet_producer.runs.names -> clipfleet_producer.feeding.feeder",
    ),
    (
        "clipfleet_producer/sources/uris.py",
        "import typing\nif typing.TYPE_CHECKING:\n    import clipfleet_producer.runs.model",
        "clipfleet_producer.sources.uris -> clipfleet_producer.runs.model",
    ),
    (
        "clipfleet_workers/context.py",
        "from clipfleet_workers import steps",
        "clipfleet_workers.context -> clipfleet_workers.steps",
    ),
    (
        "clipfleet_workers/media/windows.py",
        "from clipfleet_workers.inference import engine",
        "clipfleet_workers.media.windows -> clipfleet_workers.inference.engine",
    ),
]


def test_the_contracts_are_kept() -> None:
    assert contracts_of(ROOT).endswith(" 0 broken.\n")


def test_every_planted_import_is_named(tmp_path: Path) -> None:
    copy_packages(tmp_path)
    for path, source, _ in PLANTED:
        with (tmp_path / path).open("a") as module:
            module.write(f"\n{source}\n")

    said = contracts_of(tmp_path)

    assert [named for _, _, named in PLANTED if f"{named} (l." not in said] == []


def test_a_room_on_no_floor_is_named(tmp_path: Path) -> None:
    copy_packages(tmp_path)
    (tmp_path / "clipfleet_workers" / "attic.py").touch()

    assert "clipfleet_workers.attic" in contracts_of(tmp_path)


def copy_packages(folder: Path) -> None:
    for package, parent in PACKAGES.items():
        shutil.copytree(parent / package, folder / package)


def contracts_of(folder: Path) -> str:
    """What the linter says of the packages in the folder."""
    done = subprocess.run(
        [LINTER, "--no-cache", "--no-logo", ROOT / "pyproject.toml"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ("BROKEN" in done.stdout) is (done.returncode != 0), done.stdout + done.stderr
    return done.stdout


def test_only_what_is_known_imports_by_name() -> None:
    found = {
        path
        for package in PACKAGES
        for path, source in sources(package).items()
        if any(how in source for how in ("import_module", "__import__", "resolve_name"))
    }

    assert found == BY_NAME


@pytest.mark.parametrize("queue", QUEUES)
def test_a_queues_step_imports_no_other_queues(queue: str) -> None:
    source = sources("clipfleet_workers")[f"clipfleet_workers/steps/{queue}.py"]
    imported = re.findall(r"^ *(?:from|import) .*", source, re.MULTILINE)
    others = set(QUEUES) - {queue}

    assert [
        line for line in imported if set(re.findall(r"steps[.]? ?(?:import )?(\w+)", line)) & others
    ] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_reads_the_environment_when_it_is_imported(package: str) -> None:
    broken = {
        path: lines
        for path, source in sources(package).items()
        if (lines := environment_reads(source))
    }

    assert broken == {}


READS = [
    "import os\nHOME = os.environ['HOME']",
    "import os\nHOME = os.environ.get('HOME')",
    "import os\nHOME = os.getenv('HOME')",
    "from os import environ\nHOME = environ['HOME']",
    "from os import getenv\nHOME = getenv('HOME')",
    "import os\nclass A:\n    home = os.environ['HOME']",
    "import os\ndef f(home=os.environ['HOME']): ...",
    "import os\nif os.environ.get('DEBUG'):\n    pass",
    "from clipfleet.settings import Settings\nSETTINGS = Settings()",
]
READS_LATER = [
    "import os\ndef home():\n    return os.environ['HOME']",
    "import os\nhome = lambda: os.environ['HOME']",
    "from clipfleet.settings import Settings\ndef f(settings: Settings) -> None: ...",
]


def test_a_read_of_the_environment_at_import_is_seen_and_one_within_a_function_is_not() -> None:
    assert [source for source in READS if not environment_reads(source)] == []
    assert [source for source in READS_LATER if environment_reads(source)] == []
