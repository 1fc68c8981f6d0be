"""Workers that are replaced while a run is on, by the same or by a newer version of clipfleet."""

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from clipfleet.queues import ASSEMBLE, CAPTION, PREPARE, PREVIEW
from tests.support.outages.fleet import ROOT, OutageFleet

# What a next version changes: numbers go up, and everything that travels or is kept has a field
# that this version does not know.
CHANGES = {
    "clipfleet/messages.py": [
        ("MESSAGE_VERSION = 3\n", "MESSAGE_VERSION = 4\n"),
        (
            "    options_hash: OptionsHash\n",
            '    options_hash: OptionsHash\n    tenant: str = "t"\n',
        ),
    ],
    "clipfleet/records/record.py": [
        ("SCHEMA_VERSION = 2\n", "SCHEMA_VERSION = 3\n"),
        ("    finished_at: str\n", "    finished_at: str\n    reviewed_by: str = 'nobody yet'\n"),
    ],
    "clipfleet/records/stored.py": [
        (
            "    newest: ClassVar[int] = 2\n    version: int = 2\n",
            "    newest: ClassVar[int] = 3\n    version: int = 3\n    added: str = 'later'\n",
        ),
    ],
}
KINDS = (PREPARE, PREVIEW, CAPTION, ASSEMBLE)


def newer_tree(folder: Path) -> Path:
    """This very code as a next version might be, in a new folder. Raises LookupError."""
    for package in ("clipfleet", "producer", "workers", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "*.safetensors")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    for name, changes in CHANGES.items():
        path = folder / name
        text = path.read_text()
        for before, after in changes:
            if text.count(before) != 1:
                raise LookupError(f"{before!r} stands {text.count(before)} times in {name}")
            text = text.replace(before, after)
        path.write_text(text)
    return folder


def _restart(fleet: OutageFleet, chance: random.Random, name: str, tree: Path | None) -> list[str]:
    """Each worker is told to stop, and another started, one after the other, twice."""
    wrong = []
    for round_ in range(2):
        for kind in chance.sample(KINDS, len(KINDS)):
            old = next(each for each in fleet.workers if each.partition(":")[0] == kind)
            fleet.start(kind, name=f"{kind}:{name}.{round_}")
            time.sleep(chance.uniform(0.0, 1.0))
            code = fleet.stop(old)
            wrong += [f"the {kind} worker that was told to stop ended with {code}"] * (code != 0)
    return wrong


def _upgrade(fleet: OutageFleet, chance: random.Random, name: str, tree: Path | None) -> list[str]:
    """Each worker gives way to one of a newer version, which is beside it for a while."""
    assert tree is not None
    wrong = []
    for kind in chance.sample(KINDS, len(KINDS)):
        fleet.start(kind, name=f"{kind}:{name}", tree=tree)
        time.sleep(chance.uniform(0.5, 2.0))
        code = fleet.stop(kind)
        wrong += [f"the {kind} worker that was told to stop ended with {code}"] * (code != 0)
    return wrong


RESTARTS: dict[str, Callable[[OutageFleet, random.Random, str, Path | None], list[str]]] = {
    "restart": _restart,
    "upgrade": _upgrade,
}
