"""Faults can be planted, wherever the code that they change stands by now."""

from pathlib import Path

import pytest

from tests.planted import FAULTS, Fault, find, plant

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_its_place_and_its_test_file(name: str) -> None:
    find(FAULTS[name], ROOT)

    assert (ROOT / FAULTS[name].turns_red).exists()


CODE = """
class Other:
    def holds(self):
        return 1


class Files:
    def holds(self):
        return 1
"""


def test_only_the_definition_that_is_named_is_changed(tmp_path: Path) -> None:
    (tmp_path / "workers" / "deep").mkdir(parents=True)
    (tmp_path / "workers" / "deep" / "moved.py").write_text(CODE)
    fault = Fault(symbol="Files.holds", right="return 1", wrong="return 2", turns_red="")

    changed = plant(fault, tmp_path).read_text()

    other, _, files = CODE.partition("class Files")
    assert changed == f"{other}class Files{files.replace('return 1', 'return 2')}"


def test_a_fault_without_a_place_is_told_of(tmp_path: Path) -> None:
    fault = Fault(symbol="Files.holds", right="return 1", wrong="return 2", turns_red="")

    with pytest.raises(LookupError, match="stands in 0 definitions"):
        plant(fault, tmp_path)
