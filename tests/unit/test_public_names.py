"""What `from clipfleet import …` gives: each name when it is asked for, and nothing else."""

import os
import subprocess
import sys

import pytest

import clipfleet
from clipfleet_producer.api import Fleet


@pytest.mark.parametrize("name", clipfleet.__all__)
def test_every_name_that_is_promised_is_there(name: str) -> None:
    assert getattr(clipfleet, name).__name__ == name


def test_the_api_is_the_producers() -> None:
    assert clipfleet.Fleet is Fleet


@pytest.mark.parametrize("name", ["Flet", "import_module_", "feeder"])
def test_another_name_is_an_error_that_names_it(name: str) -> None:
    with pytest.raises(AttributeError, match=f"no attribute {name}"):
        getattr(clipfleet, name)


def test_a_module_is_imported_as_ever() -> None:
    from clipfleet import keys

    assert keys.__name__ == "clipfleet.keys"


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys, clipfleet\n"
        "assert 'pydantic' not in sys.modules\n"
        "clipfleet.ClipfleetError\n"
        "assert 'clipfleet_producer' not in sys.modules\n"
        "clipfleet.Fleet\n"
        "assert not {'torch', 'av', 'numpy', 'clipfleet_workers'} & set(sys.modules)\n"
    )
    # Not with the engine's own hook, which tests of the engine leave in their process.
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-c", code], check=True, env=clean)
