"""One vLLM engine for all tests of this folder, which run in one process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clipfleet_workers.inference.vllm_engine.engine import VllmEngine


@pytest.fixture(scope="session")
def vllm_mini(cache_dir: Path) -> Iterator[VllmEngine]:
    """`mini` on vLLM, in float32. `test_vllm_death.py` comes last and kills it."""
    from tests.support.meaning.engine import mini_engine

    with mini_engine("float32", cache_dir) as engine:
        yield engine
