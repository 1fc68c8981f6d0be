"""How hypothesis runs in these tests: the same cases each time, and nothing kept on disk."""

import tempfile
from collections.abc import Iterator

import hypothesis
import hypothesis.configuration
import pytest

# Without a deadline: a case is as slow as the machine is busy.
hypothesis.settings.register_profile("tests", database=None, deadline=None, derandomize=True)
hypothesis.settings.load_profile("tests")


@pytest.fixture(scope="session", autouse=True)
def _hypothesis_home() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as home:
        hypothesis.configuration.set_hypothesis_home_dir(home)
        yield
