"""What engine tests share: one vLLM engine for the whole run, as it takes half a minute to start.

Also loads what pytest would load after the tests, when it no longer can: see `tests/conftest.py`.
"""

from collections.abc import Iterator
from pathlib import Path

import hypothesis  # noqa: F401
import pytest

from workers.engines.placeholders import install
from workers.engines.vllm import VllmEngine

install()


@pytest.fixture(scope="session")
def vllm_mini(cache_dir: Path) -> Iterator[VllmEngine]:
    """`mini` on vLLM, in float32. `test_vllm_death.py` comes last and kills it."""
    from tests.support.meaning.engine import mini_engine

    with mini_engine("float32", cache_dir) as engine:
        yield engine
