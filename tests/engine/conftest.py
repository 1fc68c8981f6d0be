"""What tests of engines share. vLLM and what it imports warn of much that is theirs to mend."""

from pathlib import Path

import pytest

from clipfleet_workers.inference.vllm_engine.placeholders import install

install()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Their warnings are no errors."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("default"))
